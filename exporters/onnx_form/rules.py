"""One rule per operation: how it is said in ONNX's integer operators. A new operation is one function and one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from snn2chip.exporters.onnx_form.builder import Builder, State, Value
from snn2chip.exporters.onnx_form.names import DOMAIN, NEURON, NEURON_FROM_REST
from snn2chip.graph import Array, Node
from snn2chip.ops import Add, Conv2d, Flatten, Linear, MultiLevelIF, Readout, SumPool2d, Upsample2d

#: Weights are stored as uint8 with this zero point: onnxruntime before 1.24 has no ConvInteger for int8 weights,
#: and its int8 kernels may saturate on x86 processors without VNNI.
WEIGHT_ZERO_POINT = 128

Rule = Callable[[Builder, Node, Any], Value]


def conv2d(builder: Builder, node: Node, op: Conv2d) -> Value:
    bias = None if op.bias is None else op.bias.reshape(-1, 1, 1)
    return _synapses(
        builder,
        node,
        "ConvInteger",
        op.weight,
        bias,
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=(*op.padding, *op.padding),
        dilations=op.dilation,
        group=op.groups,
    )


def linear(builder: Builder, node: Node, op: Linear) -> Value:
    return _synapses(builder, node, "MatMulInteger", op.weight.T, op.bias)


def _synapses(
    builder: Builder, node: Node, op_type: str, weight: Array, bias: Array | None, **attributes: Any
) -> Value:
    """The product, linear in the bytes of its operand: one product per byte, times the byte's weight, plus the bias."""
    shifted = (weight.astype(np.int16) + WEIGHT_ZERO_POINT).astype(np.uint8)
    stored = builder.constant(f"{node.name}/weight", shifted)
    # The operand's zero point could be left out, but onnxruntime up to 1.21 crashes on a ConvInteger without it.
    zero_points = [
        builder.shared("operand_zero_point", np.array(0, np.uint8)),
        builder.shared("weight_zero_point", np.array(WEIGHT_ZERO_POINT, np.uint8)),
    ]
    operands = [[digit, stored, *zero_points] for digit in builder.bytes_of(node.inputs[0])]
    if bias is None and len(operands) == 1:
        return Value(builder.emit_as(node.name, op_type, operands[0], **attributes), narrow=False)
    terms = [builder.emit(op_type, inputs, f"{node.name}/product", **attributes) for inputs in operands]
    for place in range(1, len(terms)):
        terms[place] = builder.emit("Mul", [terms[place], builder.power(place)], f"{node.name}/scaled{place}")
    if bias is not None:
        terms.append(builder.constant(f"{node.name}/bias", bias))
    return _sum(builder, node.name, terms)


def add(builder: Builder, node: Node, op: Add) -> Value:
    # In int32: a sum may exceed 255, and older releases of onnxruntime have no Add of uint8.
    return _sum(builder, node.name, [builder.integer(name) for name in node.inputs])


def _sum(builder: Builder, ours: str, terms: Sequence[str]) -> Value:
    """The sum of at least two int32 tensors."""
    partial = reduce(lambda a, b: builder.emit("Add", [a, b], f"{ours}/partial"), terms[:-1])
    return Value(builder.emit_as(ours, "Add", [partial, terms[-1]]), narrow=False)


def multi_level_if(builder: Builder, node: Node, op: MultiLevelIF) -> Value:
    shape = builder.signal(node.name).shape
    current = builder.integer(node.inputs[0])
    theta = builder.constant(f"{node.name}/theta", op.theta.reshape(-1, *(1,) * (len(shape) - 1)))
    if not builder.carried:
        spikes = builder.emit_as(node.name, NEURON_FROM_REST, [current, theta], domain=DOMAIN, levels=op.levels)
        return Value(spikes, narrow=True)
    before, after = builder.fresh(f"{node.name}/potential"), builder.fresh(f"{node.name}/next_potential")
    builder.states.append(State(before, after, shape))
    inputs = [current, before, theta]
    return Value(builder.emit_as(node.name, NEURON, inputs, after, domain=DOMAIN, levels=op.levels), narrow=True)


def sum_pool2d(builder: Builder, node: Node, op: SumPool2d) -> Value:
    source = builder.integer(node.inputs[0])
    if op.padding == (0, 0) and op.kernel == builder.signal(node.inputs[0]).shape[1:]:
        axes = builder.shared("map_axes", np.array([2, 3], np.int64))
        return Value(builder.emit_as(node.name, "ReduceSum", [source, axes], keepdims=1), narrow=False)
    if op.padding != (0, 0):
        border = builder.constant(f"{node.name}/border", np.array([0, 0, *op.padding] * 2, np.int64))
        source = builder.emit("Pad", [source, border], f"{node.name}/padded")
    # onnxruntime pools floating point only: the sum over a window is the sum of its rows, each the sum of its columns.
    rows = _window_terms(builder, node, source, axis=2)
    summed = reduce(lambda a, b: builder.emit("Add", [a, b], f"{node.name}/rows"), rows)
    columns = _window_terms(builder, node, summed, axis=3)
    if len(columns) == 1:
        return Value(builder.emit_as(node.name, "Identity", columns), narrow=False)
    return _sum(builder, node.name, columns)


def _window_terms(builder: Builder, node: Node, source: str, axis: int) -> list[str]:
    """Along `axis`, what each tap of the window meets: one strided slice per tap."""
    op: SumPool2d = node.op  # type: ignore[assignment]  # the caller is SumPool2d's rule
    kernel, stride = op.kernel[axis - 2], op.stride[axis - 2]
    reach = (builder.signal(node.name).shape[axis - 1] - 1) * stride + 1
    on = builder.shared(f"axis{axis}", np.array([axis], np.int64))
    step = builder.shared(f"stride{stride}", np.array([stride], np.int64))
    terms = []
    for tap in range(kernel):
        first = builder.shared(f"index{tap}", np.array([tap], np.int64))
        end = builder.shared(f"index{tap + reach}", np.array([tap + reach], np.int64))
        terms.append(builder.emit("Slice", [source, first, end, on, step], f"{node.name}/tap{axis}"))
    return terms


def upsample2d(builder: Builder, node: Node, op: Upsample2d) -> Value:
    # Resize would do, but its coordinates are floating point: repetition by broadcasting is exact by construction.
    source = builder.values[node.inputs[0]]
    channels, height, width = builder.signal(node.inputs[0]).shape
    vertical, horizontal = op.factor
    apart = _shape(builder, f"{node.name}/apart", 0, channels, height, 1, width, 1)
    spread = _shape(builder, f"{node.name}/spread", 1, channels, height, vertical, width, horizontal)
    joined = _shape(builder, f"{node.name}/joined", 0, channels, height * vertical, width * horizontal)
    cells = builder.emit("Reshape", [source.name, apart], f"{node.name}/cells")
    repeated = builder.emit("Expand", [cells, spread], f"{node.name}/repeated")
    return Value(builder.emit_as(node.name, "Reshape", [repeated, joined]), source.narrow)


def flatten(builder: Builder, node: Node, op: Flatten) -> Value:
    source = builder.values[node.inputs[0]]
    return Value(builder.emit_as(node.name, "Flatten", [source.name], axis=1), source.narrow)


def readout(builder: Builder, node: Node, op: Readout) -> Value:
    return Value(builder.emit_as(node.name, "Identity", [builder.integer(node.inputs[0])]), narrow=False)


def _shape(builder: Builder, wanted: str, *dimensions: int) -> str:
    """A shape constant; in Reshape a leading 0 keeps the batch, in Expand a leading 1 does."""
    return builder.constant(wanted, np.array(dimensions, np.int64))


RULES: dict[type, Rule] = {
    Add: add,
    Conv2d: conv2d,
    Flatten: flatten,
    Linear: linear,
    MultiLevelIF: multi_level_if,
    Readout: readout,
    SumPool2d: sum_pool2d,
    Upsample2d: upsample2d,
}
