"""Convolutions whose currents meet in one sum as a single convolution of their concatenated sources."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import Add, Conv2d


@dataclass(frozen=True)
class Part:
    """One convolution's place in the merged weights: its first channel, and its first tap on both axes."""

    node: Node
    op: Conv2d
    channel: int
    taps: tuple[int, int]


@dataclass(frozen=True)
class Merged:
    """The one convolution.

    Attributes:
        geometry: the convolution of the largest kernel, whose stride, padding and dilation hold for all.
        parts: in the order of their channels.
        weight: ``[O, sum of C, Kh, Kw]`` int8, zero where a part has no tap or another group.
        bias: ``[O]`` int64.
    """

    geometry: Conv2d
    parts: tuple[Part, ...]
    weight: Array
    bias: Array


def merged(graph: Graph, node: Node) -> Merged | None:
    """The sum `node` as one convolution; None where its terms are not convolutions of their own on equal grids."""
    terms = [(graph[name], graph[name].op) for name in node.inputs]
    convolutions = [(term, op) for term, op in terms if isinstance(op, Conv2d)]
    if not isinstance(node.op, Add) or len(convolutions) < len(terms):
        return None
    if any(graph.consumers[term.name] != (node.name,) for term, _ in convolutions):
        return None
    if len({graph.signals[term.inputs[0]].shape[1:] for term, _ in convolutions}) > 1:
        return None
    geometry = max((op for _, op in convolutions), key=lambda op: op.kernel[0] * op.kernel[1])
    parts, channel = [], 0
    for term, op in convolutions:
        taps = _first_taps(op, geometry)
        if taps is None:
            return None
        parts.append(Part(term, op, channel, taps))
        channel += op.weight.shape[1] * op.groups
    bias = np.sum([np.zeros(geometry.outputs, np.int64) if op.bias is None else op.bias for _, op in convolutions], 0)
    return Merged(geometry, tuple(parts), _weight(geometry, parts, channel), bias.astype(np.int64))


def _first_taps(op: Conv2d, whole: Conv2d) -> tuple[int, int] | None:
    """Where the kernel of `op` lies in the larger one, so that both meet the same positions."""
    if op.stride != whole.stride:
        return None
    taps = []
    for axis in (0, 1):
        dilation = whole.dilation[axis]
        first, rest = divmod(whole.padding[axis] - op.padding[axis], dilation)
        spread = op.kernel[axis] > 1 and op.dilation[axis] != dilation
        if rest or spread or first < 0 or first + op.kernel[axis] > whole.kernel[axis]:
            return None
        taps.append(first)
    return taps[0], taps[1]


def _weight(geometry: Conv2d, parts: list[Part], channels: int) -> Array:
    weight = np.zeros((geometry.outputs, channels, *geometry.kernel), np.int8)
    for part in parts:
        outputs, inputs, height, width = part.op.weight.shape
        (row, column), size = part.taps, outputs // part.op.groups
        for group in range(part.op.groups):
            first = part.channel + group * inputs
            rows = slice(group * size, (group + 1) * size)
            weight[rows, first : first + inputs, row : row + height, column : column + width] = part.op.weight[rows]
    return weight
