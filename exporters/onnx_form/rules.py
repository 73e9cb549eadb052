"""One rule per operation: how it is said in ONNX's integer operators. A new operation is one function and one line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from snn2chip.exporters.onnx_form.builder import Builder, State, Value
from snn2chip.exporters.onnx_form.layouts import Rules
from snn2chip.exporters.onnx_form.leaky import integrator_function, lif_from_rest_function, lif_function
from snn2chip.exporters.onnx_form.neuron import neuron_from_rest_function, neuron_function
from snn2chip.graph import Array, Node
from snn2chip.kernels import DECAY_ONE
from snn2chip.ops import (
    LIF,
    Add,
    Concat,
    Conv2d,
    Flatten,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    SumPool2d,
    Upsample2d,
)

#: Weights are stored as uint8 with this zero point: onnxruntime before 1.24 has no ConvInteger for int8 weights,
#: and its int8 kernels may saturate on x86 processors without VNNI.
WEIGHT_ZERO_POINT = 128


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
    stored = builder.weight(node.name, shifted, transposed=op_type == "MatMulInteger")
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
    return _joined(builder, node.name, "Add", terms)


def add(builder: Builder, node: Node, op: Add) -> Value:
    # In int32: a sum may exceed 255, and older releases of onnxruntime have no Add of uint8.
    return _joined(builder, node.name, "Add", [builder.integer(name) for name in node.inputs])


def _joined(builder: Builder, ours: str, op_type: str, terms: Sequence[str]) -> Value:
    """The sum (Add) or the largest (Max) of at least two int32 tensors."""
    partial = reduce(lambda a, b: builder.emit(op_type, [a, b], f"{ours}/partial"), terms[:-1])
    return Value(builder.emit_as(ours, op_type, [partial, terms[-1]]), narrow=False)


def concat(builder: Builder, node: Node, op: Concat) -> Value:
    sources = [builder.values[name] for name in node.inputs]
    narrow = all(source.narrow for source in sources)
    tensors = [source.name for source in sources] if narrow else [builder.integer(name) for name in node.inputs]
    return Value(builder.emit_as(node.name, "Concat", tensors, axis=1), narrow)


def multi_level_if(builder: Builder, node: Node, op: MultiLevelIF) -> Value:
    current, theta = builder.integer(node.inputs[0]), _channelwise(builder, node, "theta", op.theta)
    if not builder.carried:
        function = neuron_from_rest_function()
        return Value(builder.call(node.name, function, [current, theta], levels=op.levels), narrow=True)
    before, after = _state(builder, node, "potential", "next_potential")
    inputs = [current, before, theta]
    return Value(builder.call(node.name, neuron_function(), inputs, after, levels=op.levels), narrow=True)


def lif(builder: Builder, node: Node, op: LIF) -> Value:
    current = _entering(builder, node, op)
    theta, step_size = (_channelwise(builder, node, name, getattr(op, name)) for name in ("theta", "step_size"))
    inputs = [current, theta, step_size]
    if not builder.carried:
        return Value(builder.call(node.name, lif_from_rest_function(), inputs, levels=op.levels), narrow=True)
    before, after = _state(builder, node, "potential", "next_potential")
    inputs.insert(1, before)
    if op.leaks:
        inputs.append(_decay(builder, node, op.decay))
    if op.floor is not None:
        inputs.append(_channelwise(builder, node, "floor", op.floor))
    return Value(builder.call(node.name, lif_function(op), inputs, after, levels=op.levels), narrow=True)


def _entering(builder: Builder, node: Node, op: LIF) -> str:
    """What a step adds to the potential: the current, in its finer unit, and the drive. Their sum fits 24 bits.

    The whole units of the drive go first, so that what they cancel of the current does not pass 32 bits.
    """
    current = builder.integer(node.inputs[0])
    if op.drive is None:
        return _finer(builder, node, current, op.fraction_bits)
    whole, rest = op.drive >> op.fraction_bits, op.drive & (2**op.fraction_bits - 1)
    current = builder.emit("Add", [current, _channelwise(builder, node, "drive", whole)], f"{node.name}/driven")
    current = _finer(builder, node, current, op.fraction_bits)
    if rest.any():
        fraction = _channelwise(builder, node, "drive_fraction", rest)
        current = builder.emit("Add", [current, fraction], f"{node.name}/driven")
    return current


def _finer(builder: Builder, node: Node, current: str, fraction_bits: int) -> str:
    if not fraction_bits:
        return current
    unit = builder.shared(f"2**{fraction_bits}", np.array(2**fraction_bits, np.int32))
    return builder.emit("Mul", [current, unit], f"{node.name}/finer")


def leaky_integrator(builder: Builder, node: Node, op: LeakyIntegrator) -> Value:
    current = _finer(builder, node, builder.integer(node.inputs[0]), op.fraction_bits)
    if not builder.carried:  # from zero, nothing is left of before
        return Value(builder.emit_as(node.name, "Identity", [current]), narrow=False)
    before = builder.fresh(f"{node.name}/value")
    if (op.decay == DECAY_ONE).all():
        value = builder.emit_as(node.name, "Add", [before, current])
    else:
        inputs = [current, before, _decay(builder, node, op.decay)]
        value = builder.call(node.name, integrator_function(op.toward_zero), inputs)
    builder.states.append(State(before, value, builder.signal(node.name).shape))
    return Value(value, narrow=False)


def _state(builder: Builder, node: Node, before: str, after: str) -> tuple[str, str]:
    """Names of what the node is given from the step before, and what it leaves for the step after."""
    state = State(
        builder.fresh(f"{node.name}/{before}"), builder.fresh(f"{node.name}/{after}"), builder.signal(node.name).shape
    )
    builder.states.append(state)
    return state.before, state.after


def _channelwise(builder: Builder, node: Node, name: str, values: Array) -> str:
    """``[C]`` as a constant that broadcasts over ``[B, C, ...]``."""
    positions = (1,) * (len(builder.signal(node.name).shape) - 1)
    return builder.constant(f"{node.name}/{name}", values.reshape(-1, *positions))


def _decay(builder: Builder, node: Node, decay: Array) -> str:
    return _channelwise(builder, node, "decay", decay.astype(np.int64))


def sum_pool2d(builder: Builder, node: Node, op: SumPool2d) -> Value:
    if op.padding == (0, 0) and op.kernel == builder.signal(node.inputs[0]).shape[1:]:
        axes = builder.shared("map_axes", np.array([2, 3], np.int64))
        summed = builder.emit_as(node.name, "ReduceSum", [builder.integer(node.inputs[0]), axes], keepdims=1)
        return Value(summed, narrow=False)
    # onnxruntime pools floating point only.
    source = _padded(builder, node, op, builder.integer(node.inputs[0]), np.array(0, np.int32))
    return _by_axes(builder, node, op, "Add", source)


def max_pool2d(builder: Builder, node: Node, op: MaxPool2d) -> Value:
    """onnxruntime's MaxPool takes bytes, but no int32. The border is the lowest value, so that it does not count."""
    source = builder.values[node.inputs[0]]
    lowest = np.array(np.iinfo(np.uint8 if source.narrow else np.int32).min, np.uint8 if source.narrow else np.int32)
    # MaxPool's own border would do, but ONNX's reference evaluator (1.23) mixes up its sides.
    padded = _padded(builder, node, op, source.name, lowest)
    if not source.narrow:
        return _by_axes(builder, node, op, "Max", padded)
    largest = builder.emit_as(node.name, "MaxPool", [padded], kernel_shape=op.kernel, strides=op.stride)
    return Value(largest, narrow=True)


def _padded(builder: Builder, node: Node, op: SumPool2d | MaxPool2d, source: str, border: Array) -> str:
    """The map within its border, of one value."""
    if op.padding == (0, 0):
        return source
    widths = builder.constant(f"{node.name}/border", np.array([0, 0, *op.padding] * 2, np.int64))
    value = builder.shared(f"{border.dtype}_{border}", border)
    return builder.emit("Pad", [source, widths, value], f"{node.name}/padded")


def _by_axes(builder: Builder, node: Node, op: SumPool2d | MaxPool2d, op_type: str, source: str) -> Value:
    """A pool of int32: what comes out of a window comes out of its rows, each of which comes out of its columns."""
    rows = _window_terms(builder, node, op, source, axis=2)
    pooled = reduce(lambda a, b: builder.emit(op_type, [a, b], f"{node.name}/rows"), rows)
    columns = _window_terms(builder, node, op, pooled, axis=3)
    if len(columns) == 1:
        return Value(builder.emit_as(node.name, "Identity", columns), narrow=False)
    return _joined(builder, node.name, op_type, columns)


def _window_terms(builder: Builder, node: Node, op: SumPool2d | MaxPool2d, source: str, axis: int) -> list[str]:
    """Along `axis`, what each tap of the window meets: one strided slice per tap."""
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


RULES: Rules = {
    LIF: lif,
    Add: add,
    Concat: concat,
    Conv2d: conv2d,
    Flatten: flatten,
    LeakyIntegrator: leaky_integrator,
    Linear: linear,
    MaxPool2d: max_pool2d,
    MultiLevelIF: multi_level_if,
    Readout: readout,
    SumPool2d: sum_pool2d,
    Upsample2d: upsample2d,
}
