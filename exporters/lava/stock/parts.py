"""From an integer graph to Lava's own processes, or the reason why they cannot compute it.

Lava's maps are ``(X, Y, C)`` and its kernels ``(O, X, Y, I)``, flipped: its Conv convolves where we correlate. What its
processes do to numbers, and what is done about it, as measured with lava-nc 0.10.0:

- Conv wraps its sums at 24 bits and ignores `weight_exp`: sums are proven to stay inside.
- Dense and Sparse clip weights to 8 bits and drop the lowest bit where signs are mixed: they get twice the weights, the
  exponent -1, and are told that signs are mixed.
- Spikes become 0 or 1 unless `num_message_bits` is given.
- Each of them takes one step, neurons take none: what arrives too early at a node is delayed.
- They have no bias: what follows adds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Interval, Kind, Node, Shape, attributes, frozen, parameters
from snn2chip.ops import Conv2d, Linear, SumPool2d
from snn2chip.ops.base import BaseOp
from snn2chip.spec import check_integer

#: Lava's Conv keeps sums modulo 2**24, signed; Dense and Sparse keep twice the sums in 32 bits.
CONV_LIMIT, DENSE_LIMIT = 2**23 - 1, 2**30 - 1
#: Lava convolves each channel with each kernel by itself: for 10,000 of 3x3 on maps of 8x8, a step took a quarter of a
#: second on a busy machine.
MOST_KERNELS = 2**14
#: Weights of all dense layers together.
MOST_WEIGHTS = 2**21
#: A matrix with fewer weights than this share becomes a Sparse process.
SPARSE_SHARE = 0.5

INPUT, CONV, DENSE, SPARSE, DELAY, CELLS = "Input", "Conv", "Dense", "Sparse", "Delay", "Cells"


@dataclass(frozen=True)
class Part:
    """One Lava process.

    Attributes:
        name: of the node that it computes, or of a delay.
        process: ``Input``, ``Conv``, ``Dense``, ``Sparse``, ``Delay`` or ``Cells``.
        inputs: names of the parts that it reads.
        shape: of what it sends, ``(C, H, W)`` or ``(F,)``; Lava sees it reversed.
        lag: steps by which that is late.
        arguments: of Lava's process, JSON-ready; of Cells, the operation.
        tensors: its weights in Lava's layout; of Cells, parameters and biases.
    """

    name: str
    process: str
    inputs: tuple[str, ...]
    shape: Shape
    lag: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Array] = field(default_factory=dict)


def lower(graph: Graph) -> tuple[Part, ...]:
    """The processes of `graph`, sources first. Raises: GraphError naming the node that Lava's processes cannot take."""
    check_integer(graph)
    _check_size(graph)
    parts: dict[str, Part] = {}
    for node in graph.nodes:
        lag = max((parts[name].lag for name in node.inputs), default=0)
        inputs = tuple(_on_time(parts, name, lag) for name in node.inputs)
        parts[node.name] = _part(graph, node, inputs, lag)
    return tuple(parts.values())


def _check_size(graph: Graph) -> None:
    kernels = weights = 0
    for node in graph.nodes:
        if isinstance(node.op, Conv2d):
            kernels += node.op.weight.shape[0] * node.op.weight.shape[1]
        elif isinstance(node.op, Linear):
            weights += node.op.weight.size
        if kernels > MOST_KERNELS or weights > MOST_WEIGHTS:
            what = f"{MOST_KERNELS} kernels" if kernels > MOST_KERNELS else f"{MOST_WEIGHTS} dense weights"
            raise _refusal(node, f"takes the network past {what}: Lava's own processes are for small networks")


def _on_time(parts: dict[str, Part], name: str, lag: int) -> str:
    """The part that sends the value of `name` with `lag`: itself, or a delay behind it."""
    source = parts[name]
    if source.lag == lag:
        return name
    delayed = f"{name} + {lag - source.lag} steps"
    if delayed not in parts:
        parts[delayed] = Part(delayed, DELAY, (name,), source.shape, lag, {"lag": lag - source.lag})
    return delayed


def _part(graph: Graph, node: Node, inputs: tuple[str, ...], lag: int) -> Part:
    op, shape = node.op, graph.signals[node.name].shape
    if not node.inputs:
        return Part(node.name, INPUT, (), shape, 0)
    source = graph.signals[node.inputs[0]]
    bits = {"num_message_bits": source.interval.bits}
    if isinstance(op, Conv2d):
        _check_sums(graph, node, op.bias, CONV_LIMIT)
        return Part(node.name, CONV, inputs, shape, lag + 1, _window(op, source.shape) | bits, _kernels(op.weight))
    if isinstance(op, SumPool2d) and source.kind is Kind.SPIKE:
        _check_sums(graph, node, None, CONV_LIMIT)
        ones = Conv2d(np.ones((shape[0], 1, *op.kernel), np.int8), None, op.stride, op.padding, (1, 1), shape[0])
        return Part(node.name, CONV, inputs, shape, lag + 1, _window(ones, source.shape) | bits, _kernels(ones.weight))
    if isinstance(op, Linear):
        _check_sums(graph, node, op.bias, DENSE_LIMIT)
        process = SPARSE if np.count_nonzero(op.weight) < SPARSE_SHARE * op.weight.size else DENSE
        doubled = {"weights": frozen(op.weight.astype(np.int32) * 2)}
        return Part(node.name, process, inputs, shape, lag + 1, {"weight_exp": -1} | bits, doubled)
    return _cells(graph, node, inputs, lag)


def _window(op: Conv2d, source: Shape) -> dict[str, Any]:
    pairs = {"stride": op.stride, "padding": op.padding, "dilation": op.dilation}
    lava = {name: list(pair[::-1]) for name, pair in pairs.items()}
    return {"input_shape": list(source[::-1]), "groups": op.groups, **lava}


def _kernels(weight: Array) -> dict[str, Array]:
    return {"weight": frozen(weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1), np.int32)}


def _cells(graph: Graph, node: Node, inputs: tuple[str, ...], lag: int) -> Part:
    assert isinstance(node.op, BaseOp)
    tensors = {f"{node.name}/{name}": array for name, array in parameters(node.op).items()}
    for index, source in enumerate(node.inputs):
        bias = getattr(graph[source].op, "bias", None)
        if bias is not None:
            tensors[f"bias_{index}"] = bias
    arguments = {"op": node.kind, "attributes": attributes(node.op)}
    return Part(node.name, CELLS, inputs, graph.signals[node.name].shape, lag, arguments, tensors)


def _check_sums(graph: Graph, node: Node, bias: Array | None, limit: int) -> None:
    own, added = graph.signals[node.name].interval, 0 if bias is None else bias.astype(np.int64)
    sums = Interval(own.low - added, own.high - added)
    if (reach := max(-sums.min, sums.max)) > limit:
        raise _refusal(node, f"may reach {reach}, but Lava's process keeps sums up to {limit}: use fewer weight bits")


def _refusal(node: Node, reason: str) -> GraphError:
    return GraphError(f"node {node.name!r} ({node.kind}) {reason}")
