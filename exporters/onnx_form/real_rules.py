"""Rules in float32 that holds integers, for runtimes without integer convolution, and where they are not exact."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from snn2chip.exporters.onnx_form import real_neuron
from snn2chip.exporters.onnx_form.builder import Builder, Value
from snn2chip.exporters.onnx_form.layouts import Rules
from snn2chip.exporters.onnx_form.rules import RULES
from snn2chip.graph import Graph, Node, Signal
from snn2chip.kernels import FLOAT32_EXACT
from snn2chip.ops import LIF, Add, Conv2d, LeakyIntegrator, Linear, MaxPool2d, MultiLevelIF, Readout, SumPool2d
from snn2chip.ops.base import BaseOp


def conv2d(builder: Builder, node: Node, op: Conv2d) -> Value:
    inputs = [builder.integer(node.inputs[0]), builder.weight(node.name, op.weight.astype(np.float32))]
    convolved = builder.emit_as(
        node.name,
        "Conv",
        inputs + _bias(builder, node, op),
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=(*op.padding, *op.padding),
        dilations=op.dilation,
        group=op.groups,
    )
    return Value(convolved, narrow=False)


def linear(builder: Builder, node: Node, op: Linear) -> Value:
    inputs = [builder.integer(node.inputs[0]), builder.weight(node.name, op.weight.astype(np.float32))]
    return Value(builder.emit_as(node.name, "Gemm", inputs + _bias(builder, node, op), transB=1), narrow=False)


def _bias(builder: Builder, node: Node, op: Conv2d | Linear) -> list[str]:
    return [] if op.bias is None else [builder.constant(f"{node.name}/bias", op.bias.astype(np.float32))]


def sum_pool2d(builder: Builder, node: Node, op: SumPool2d) -> Value:
    """A convolution of ones: an average would round."""
    channels = builder.signal(node.name).shape[0]
    ones = builder.constant(f"{node.name}/ones", np.ones((channels, 1, *op.kernel), np.float32))
    pooled = builder.emit_as(
        node.name,
        "Conv",
        [builder.integer(node.inputs[0]), ones],
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=(*op.padding, *op.padding),
        group=channels,
    )
    return Value(pooled, narrow=False)


def max_pool2d(builder: Builder, node: Node, op: MaxPool2d) -> Value:
    """The border is below everything; it is padded apart, for ONNX's reference evaluator (1.23) mixes up its sides."""
    source = builder.integer(node.inputs[0])
    if op.padding != (0, 0):
        widths = builder.constant(f"{node.name}/border", np.array([0, 0, *op.padding] * 2, np.int64))
        lowest = builder.shared("float_lowest", np.array(-2 * FLOAT32_EXACT, np.float32))
        source = builder.emit("Pad", [source, widths, lowest], f"{node.name}/padded")
    largest = builder.emit_as(node.name, "MaxPool", [source], kernel_shape=op.kernel, strides=op.stride)
    return Value(largest, narrow=False)


def readout(builder: Builder, node: Node, op: Readout) -> Value:
    logits = builder.emit_as(node.name, "Cast", [builder.integer(node.inputs[0])], to=TensorProto.INT32)
    return Value(logits, narrow=False)


REAL_RULES: Rules = {
    **RULES,  # what only moves values, and their sum
    LIF: real_neuron.lif,
    Conv2d: conv2d,
    LeakyIntegrator: real_neuron.leaky_integrator,
    Linear: linear,
    MaxPool2d: max_pool2d,
    MultiLevelIF: real_neuron.multi_level_if,
    Readout: readout,
    SumPool2d: sum_pool2d,
}


def inexact(graph: Graph) -> str | None:
    """The first node of a legal integer graph whose partial sums may pass what float32 holds exactly; None for none.

    Potentials need no look: they have 24 bits with their sign.
    """
    for node in graph.nodes[1:]:
        bound = _partial_sums(node.op, [graph.signals[name] for name in node.inputs])
        if bound > FLOAT32_EXACT:
            return (
                f"node {node.name!r} ({node.kind}) may form sums of {bound}, beyond the {FLOAT32_EXACT} that float32 "
                f"holds exactly: use fewer weight bits, or the onnx form"
            )
    return None


def _partial_sums(op: object, sources: list[Signal]) -> int:
    """A bound of the magnitude of whatever is added up on the way to the output, before it reaches a potential."""
    largest = [max(-source.interval.min, source.interval.max) for source in sources]
    if isinstance(op, (Conv2d, Linear)):
        row: int = int(np.abs(op.weight.astype(np.int64)).reshape(len(op.weight), -1).sum(axis=1).max())
        bias = 0 if op.bias is None else int(np.abs(op.bias.astype(np.int64)).max())
        return row * largest[0] + bias
    if isinstance(op, Add):
        return sum(largest)
    if isinstance(op, SumPool2d):
        return op.kernel[0] * op.kernel[1] * largest[0]
    if isinstance(op, (LIF, LeakyIntegrator)):
        drive: int = 0 if not isinstance(op, LIF) or op.drive is None else int(np.abs(op.drive.astype(np.int64)).max())
        return int(max(largest[0] * 2**op.fraction_bits, drive))
    return max(largest) if isinstance(op, BaseOp) else 0
