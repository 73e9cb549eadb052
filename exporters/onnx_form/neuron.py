"""The multi-level neuron as a model-local ONNX function: one node per neuron layer, defined inside the file."""

from __future__ import annotations

from onnx import FunctionProto, NodeProto, TensorProto, helper

from snn2chip.exporters.onnx_form.functions import function, levels, scalar
from snn2chip.exporters.onnx_form.names import NEURON, NEURON_FROM_REST

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
    inputs, outputs = ["current", "potential", "theta"], ["spikes", "next_potential"]
    return function(NEURON, inputs, outputs, nodes, _DOC, ["levels"])


def neuron_from_rest_function() -> FunctionProto:
    """``MultiLevelIFFromRest(current, theta; levels) -> spikes``, for T = 1.

    A function of its own, because onnxruntime would compute the next potential although nobody reads it.
    """
    return function(NEURON_FROM_REST, ["current", "theta"], ["spikes"], _fire("current"), _DOC_FROM_REST, ["levels"])


def _fire(potential: str) -> list[NodeProto]:
    """``fired`` (int32) and ``spikes`` (uint8) from a potential before the reset."""
    return [
        *levels(),
        scalar("zero", 0),
        helper.make_node("Div", [potential, "theta"], ["quotient"]),
        helper.make_node("Clip", ["quotient", "zero", "most"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spikes"], to=TensorProto.UINT8),
    ]
