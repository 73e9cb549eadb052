"""What the model-local ONNX functions share: a function is one node per layer, defined inside the file."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper

from snn2chip.exporters.onnx_form.names import DOMAIN

#: ONNX 1.13's operators: the oldest set in which every operator used here has the form that newer sets kept.
OPSET = 18


def function(
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    nodes: Sequence[NodeProto],
    doc: str,
    attributes: Sequence[str] = (),
) -> FunctionProto:
    """A function of our domain; `attributes` are those that every call has to give."""
    imports = [helper.make_opsetid("", OPSET)]
    made = helper.make_function(DOMAIN, name, inputs, outputs, nodes, imports, attributes)
    made.doc_string = doc
    return made


def scalar(name: str, value: int, element_type: int = TensorProto.INT32) -> NodeProto:
    tensor = helper.make_tensor(name, element_type, [], [value])
    return helper.make_node("Constant", [], [name], value=tensor)


def levels() -> list[NodeProto]:
    """``most``, int32: the attribute ``levels`` of the call."""
    constant = helper.make_node("Constant", [], ["levels_int64"])
    constant.attribute.append(AttributeProto(name="value_int", type=AttributeProto.INT, ref_attr_name="levels"))
    return [constant, helper.make_node("Cast", ["levels_int64"], ["most"], to=TensorProto.INT32)]


def count(potential: str, below: str, step: str, counted: str) -> list[NodeProto]:
    """``counted = clip(floor((potential - below) / step), 0, most)``, int32.

    Div truncates toward zero; it differs from the floor for negative values only, which Clip at ``zero`` makes equal.
    """
    return [
        helper.make_node("Sub", [potential, below], [f"{counted}_above"]),
        helper.make_node("Div", [f"{counted}_above", step], [f"{counted}_quotient"]),
        helper.make_node("Clip", [f"{counted}_quotient", "zero", "most"], [counted]),
    ]
