"""The multi-level neuron as a model-local ONNX function: one node per neuron layer, defined inside the file."""

from __future__ import annotations

from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper

from snn2chip.exporters.onnx_form.names import DOMAIN, NEURON, NEURON_FROM_REST

#: ONNX 1.13's operators: the oldest set in which every operator used here has the form that newer sets kept.
OPSET = 18

_SOURCE = (
    "theta: int32, one level, per channel; levels: the most spikes per step. Div truncates toward zero, which clipped "
    "at 0 is the floor. Castagnetti et al., All in one timestep (arXiv 2510.24637), figure 2."
)
_DOC = (
    "One step of the multi-level integrate-and-fire neuron with soft reset: v = potential + current; "
    "spikes = clip(floor(v / theta), 0, levels), uint8; next_potential = v - spikes * theta. " + _SOURCE
)
_DOC_FROM_REST = (
    "The only step of the multi-level integrate-and-fire neuron, from a potential of zero: "
    "spikes = clip(floor(current / theta), 0, levels), uint8. " + _SOURCE
)


def neuron_function() -> FunctionProto:
    """``MultiLevelIF(current, potential, theta; levels) -> (spikes, next_potential)``, for T > 1."""
    nodes = [
        helper.make_node("Add", ["potential", "current"], ["v"]),
        *_fire("v"),
        helper.make_node("Mul", ["fired", "theta"], ["spent"]),
        helper.make_node("Sub", ["v", "spent"], ["next_potential"]),
    ]
    return _function(NEURON, ["current", "potential", "theta"], ["spikes", "next_potential"], nodes, _DOC)


def neuron_from_rest_function() -> FunctionProto:
    """``MultiLevelIFFromRest(current, theta; levels) -> spikes``, for T = 1.

    A function of its own, because onnxruntime would compute the next potential although nobody reads it.
    """
    return _function(NEURON_FROM_REST, ["current", "theta"], ["spikes"], _fire("current"), _DOC_FROM_REST)


def _fire(potential: str) -> list[NodeProto]:
    """``fired`` (int32) and ``spikes`` (uint8) from a potential before the reset."""
    zero = helper.make_tensor("zero", TensorProto.INT32, [], [0])
    levels = helper.make_node("Constant", [], ["levels_int64"])
    levels.attribute.append(AttributeProto(name="value_int", type=AttributeProto.INT, ref_attr_name="levels"))
    return [
        levels,
        helper.make_node("Cast", ["levels_int64"], ["most"], to=TensorProto.INT32),
        helper.make_node("Constant", [], ["zero"], value=zero),
        helper.make_node("Div", [potential, "theta"], ["quotient"]),
        helper.make_node("Clip", ["quotient", "zero", "most"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spikes"], to=TensorProto.UINT8),
    ]


def _function(name: str, inputs: list[str], outputs: list[str], nodes: list[NodeProto], doc: str) -> FunctionProto:
    function = helper.make_function(DOMAIN, name, inputs, outputs, nodes, [helper.make_opsetid("", OPSET)], ["levels"])
    function.doc_string = doc
    return function
