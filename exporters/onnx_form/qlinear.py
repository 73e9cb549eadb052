"""Rules with QLinearConv: a convolution or linear layer and the neurons that it feeds, in one quantized kernel (T = 1).

What cannot be said so stays in integer operators, in the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper

from snn2chip.exporters.onnx_form.builder import Builder, StoredWeight, Value
from snn2chip.exporters.onnx_form.layouts import Rules
from snn2chip.exporters.onnx_form.merging import Merged, merged
from snn2chip.exporters.onnx_form.requantize import floor_scales
from snn2chip.exporters.onnx_form.rules import RULES, WEIGHT_ZERO_POINT
from snn2chip.graph import Array, Graph, Interval, Kind, Node
from snn2chip.ops import LIF, Add, Conv2d, Linear, MultiLevelIF, SpikingNeuron
from snn2chip.spec import INT32_LIMIT

LARGEST_BYTE = 255
#: x86 processors without VNNI add two products of a byte and an int8 weight in a saturating int16.
LARGEST_PAIR = 2**15 - 1


@dataclass(frozen=True)
class Requantized:
    """What turns a neuron's current into its spikes inside QLinearConv: ``round((current + shift) * scales)``."""

    shift: Array
    scales: Array


def reads_quantized(graph: Graph, node: Node) -> Requantized | None:
    """How the neurons `node` of a single step follow from currents without a bias; None where that is not exact."""
    op, current = node.op, graph.signals[node.inputs[0]].interval
    if not isinstance(op, SpikingNeuron) or graph.steps > 1:
        return None
    if isinstance(op, LIF):
        if op.fraction_bits:
            return None
        step, first = op.step_size, op.theta.astype(np.int64) - op.step_size - (0 if op.drive is None else op.drive)
    else:
        step, first = op.theta, np.zeros(len(op.theta), np.int64)
    shift = -first - step // 2
    scales = floor_scales(step, op.levels)
    if scales is None or not _fits(current, shift):
        return None
    return Requantized(shift, scales)


def quantized(graph: Graph, node: Node) -> Requantized | None:
    """How the convolution or linear layer `node` yields its neurons' spikes; None where it stays in integers."""
    readers = graph.consumers[node.name]
    if not isinstance(node.op, (Conv2d, Linear)) or len(readers) != 1 or not _is_byte(graph, node.inputs[0]):
        return None
    return reads_quantized(graph, graph[readers[0]])


def quantized_sum(graph: Graph, node: Node) -> tuple[Merged, Requantized] | None:
    """The same of a sum of convolutions, as one convolution of all their sources; None where it stays in integers."""
    readers = graph.consumers[node.name]
    if not isinstance(node.op, Add) or len(readers) != 1:
        return None
    requantized, together = reads_quantized(graph, graph[readers[0]]), merged(graph, node)
    if requantized is None or together is None:
        return None
    if not all(_is_byte(graph, part.node.inputs[0]) for part in together.parts):
        return None
    return together, requantized


def in_integers(graph: Graph) -> list[str]:
    """The convolutions and linear layers that are not quantized."""
    sums = [found[0] for node in graph.of_kind(Add) if (found := quantized_sum(graph, node))]
    inside = {part.node.name for together in sums for part in together.parts}
    layers = graph.of_kind(Conv2d, Linear)
    return [node.name for node in layers if node.name not in inside and quantized(graph, node) is None]


def whole_in_integers(graph: Graph) -> str | None:
    """Why no layer of `graph` can be quantized, or None."""
    if graph.steps > 1:
        return (
            f"node {graph.input.name!r} (Input) gives {graph.steps} steps, and QLinearConv keeps no potential between "
            f"them: use the onnx form"
        )
    layers = graph.of_kind(Conv2d, Linear)
    if len(in_integers(graph)) < len(layers):
        return None
    if not layers:
        return f"node {graph.output.name!r} (Readout) has no convolution or linear layer before it: use the onnx form"
    return (
        f"node {layers[0].name!r} ({layers[0].kind}), as every other, feeds no neuron layer of its own from bytes and "
        f"with N * theta up to about 2**20, which QLinearConv needs in order to be exact: use the onnx form"
    )


def conv2d(builder: Builder, node: Node, op: Conv2d) -> Value:
    graph = builder.graph
    requantized = quantized(graph, node)
    if requantized is None:
        readers = graph.consumers[node.name]
        if any(quantized_sum(graph, graph[reader]) for reader in readers):
            return builder.values[node.inputs[0]]  # the sum's kernel has its weights
        return RULES[Conv2d](builder, node, op)
    operand = builder.bytes_of(node.inputs[0])[0]
    largest = builder.signal(node.inputs[0]).interval.max
    weight, zero = _stored(builder, node.name, op.weight, largest)
    builder.weights[node.name] = StoredWeight(weight)
    shift = requantized.shift + (0 if op.bias is None else op.bias)
    geometry = {**_geometry(op), "group": op.groups}
    levels = _convolved(builder, node.name, node.name, [operand, weight, zero], shift, requantized.scales, geometry)
    return Value(levels, narrow=True)


def add(builder: Builder, node: Node, op: Add) -> Value:
    found = quantized_sum(builder.graph, node)
    if found is None:
        return RULES[Add](builder, node, op)
    together, requantized = found
    sources = [part.node.inputs[0] for part in together.parts]
    operand = builder.emit("Concat", [builder.bytes_of(name)[0] for name in sources], f"{node.name}/sources", axis=1)
    largest = max(builder.signal(name).interval.max for name in sources)
    weight, zero = _stored(builder, node.name, together.weight, largest)
    for part in together.parts:
        builder.weights[part.node.name] = StoredWeight(weight, place=(part.channel, *part.taps))
    shift, geometry = requantized.shift + together.bias, _geometry(together.geometry)
    levels = _convolved(builder, node.name, node.name, [operand, weight, zero], shift, requantized.scales, geometry)
    return Value(levels, narrow=True)


def _geometry(op: Conv2d) -> dict[str, Any]:
    return {
        "kernel_shape": op.kernel,
        "strides": op.stride,
        "pads": (*op.padding, *op.padding),
        "dilations": op.dilation,
    }


def linear(builder: Builder, node: Node, op: Linear) -> Value:
    """As a convolution over a map of one position: QLinearMatMul has no bias."""
    requantized = quantized(builder.graph, node)
    if requantized is None:
        return RULES[Linear](builder, node, op)
    operand = _as_map(builder, node)
    largest = builder.signal(node.inputs[0]).interval.max
    weight, zero = _stored(builder, node.name, op.weight[:, :, None, None], largest)
    builder.weights[node.name] = StoredWeight(weight)
    shift = requantized.shift + (0 if op.bias is None else op.bias)
    levels = _convolved(builder, node.name, node.name, [operand, weight, zero], shift, requantized.scales, {})
    return Value(builder.emit("Flatten", [levels], f"{node.name}/flat", axis=1), narrow=True)


def neuron(builder: Builder, node: Node, op: MultiLevelIF | LIF) -> Value:
    graph, source = builder.graph, node.inputs[0]
    if quantized(graph, graph[source]) or quantized_sum(graph, graph[source]):
        levels = builder.values[source].name
    elif isinstance(op, MultiLevelIF) and _is_byte(graph, source) and (op.theta == 1).all():
        levels = builder.bytes_of(source)[0]
    elif _is_byte(graph, source) and (requantized := reads_quantized(graph, node)):
        levels = _by_channel(builder, node, requantized)
    else:
        return RULES[type(op)](builder, node, op)
    bounds = [builder.shared(f"uint8_{value}", np.array(value, np.uint8)) for value in (0, op.levels)]
    return Value(builder.emit_as(node.name, "Clip", [levels, *bounds]), narrow=True)


def _by_channel(builder: Builder, node: Node, requantized: Requantized) -> str:
    """The levels of counts, by a convolution of weight 1 in every channel."""
    shape = builder.signal(node.name).shape
    flat = len(shape) == 1
    operand = _as_map(builder, node) if flat else builder.bytes_of(node.inputs[0])[0]
    ones = builder.constant(f"{node.name}/ones", np.full((shape[0], 1, 1, 1), 1 + WEIGHT_ZERO_POINT, np.uint8))
    inputs = [operand, ones, _weight_zero(builder)]
    label = builder.fresh(f"{node.name}/division")
    levels = _convolved(builder, label, node.name, inputs, requantized.shift, requantized.scales, {"group": shape[0]})
    return builder.emit("Flatten", [levels], f"{node.name}/flat", axis=1) if flat else levels


def _convolved(
    builder: Builder, label: str, name: str, inputs: list[str], bias: Array, scales: Array, geometry: dict[str, Any]
) -> str:
    """The QLinearConv called `label` of (operand, weight, its zero point); returns the tensor ``<name>/levels``."""
    operand, weight, weight_zero = inputs
    one, zero = _one(builder), _zero(builder)
    scale = builder.constant(f"{name}/scale", scales)
    shifted = builder.constant(f"{name}/bias", bias.astype(np.int32))
    levels = builder.fresh(f"{name}/levels")
    ordered = [operand, one, zero, weight, scale, weight_zero, one, zero, shifted]
    builder.nodes.append(helper.make_node("QLinearConv", ordered, [levels], name=label, **geometry))
    return levels


def _stored(builder: Builder, name: str, weight: Array, largest: int) -> tuple[str, str]:
    """The weights and their zero point: int8, whose kernels are the fastest, where no pair of products saturates.

    `largest` is the largest value that they meet.
    """
    if 2 * largest * int(np.abs(weight.astype(np.int16)).max()) <= LARGEST_PAIR:
        return builder.constant(f"{name}/weight", weight), builder.shared("int8_0", np.array(0, np.int8))
    shifted = (weight.astype(np.int16) + WEIGHT_ZERO_POINT).astype(np.uint8)
    return builder.constant(f"{name}/weight", shifted), _weight_zero(builder)


def _as_map(builder: Builder, node: Node) -> str:
    """What the node reads, ``[B, F]`` as ``[B, F, 1, 1]``: F is given as a number, for no size follows from B = 0."""
    (features,) = builder.signal(node.inputs[0]).shape
    shape = builder.shared(f"one_position_{features}", np.array([0, features, 1, 1], np.int64))
    return builder.emit("Reshape", [builder.bytes_of(node.inputs[0])[0], shape], f"{node.name}/map")


def _one(builder: Builder) -> str:
    return builder.shared("float_1", np.array(1, np.float32))


def _zero(builder: Builder) -> str:
    return builder.shared("operand_zero_point", np.array(0, np.uint8))


def _weight_zero(builder: Builder) -> str:
    return builder.shared("weight_zero_point", np.array(WEIGHT_ZERO_POINT, np.uint8))


def _is_byte(graph: Graph, name: str) -> bool:
    signal = graph.signals[name]
    return signal.kind is Kind.SPIKE and signal.interval.max <= LARGEST_BYTE


def _fits(current: Interval, shift: Array) -> bool:
    low, high = current.low.astype(np.int64) + shift, current.high.astype(np.int64) + shift
    return bool((low >= -INT32_LIMIT).all() and (high <= INT32_LIMIT).all() and (np.abs(shift) <= INT32_LIMIT).all())


QLINEAR_RULES: Rules = {**RULES, Add: add, Conv2d: conv2d, LIF: neuron, Linear: linear, MultiLevelIF: neuron}
