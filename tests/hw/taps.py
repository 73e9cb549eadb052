"""Every synapse of an operation, one by one: the slow way to count, without fan-outs or patterns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from snn2chip.lowering.populations import Synapse
from snn2chip.ops import Conv2d, Linear, MaxPool2d, SumPool2d, Upsample2d

#: A tap: source position, target position, and whether its weight is not 0.
Tap = tuple[tuple[int, ...], tuple[int, ...], bool]


def windows(op: Conv2d | SumPool2d | MaxPool2d, size: tuple[int, int]) -> Iterator[tuple[int, ...]]:
    """(row, column, tap row, tap column, source row, source column) of every tap that lies on the map."""
    dilation = op.dilation if isinstance(op, Conv2d) else (1, 1)
    places = [
        (size[axis] + 2 * op.padding[axis] - dilation[axis] * (op.kernel[axis] - 1) - 1) // op.stride[axis] + 1
        for axis in (0, 1)
    ]
    for i, j, a, b in product(*map(range, (*places, *op.kernel))):
        y = i * op.stride[0] + a * dilation[0] - op.padding[0]
        x = j * op.stride[1] + b * dilation[1] - op.padding[1]
        if 0 <= y < size[0] and 0 <= x < size[1]:
            yield i, j, a, b, y, x


def taps(op: Synapse, shape: tuple[int, ...]) -> Iterator[Tap]:
    """Every synapse of an operation that reads a map of `shape`, one by one."""
    if isinstance(op, Linear):
        yield from (((f,), (o,), bool(op.weight[o, f])) for o, f in np.ndindex(op.weight.shape))
    elif isinstance(op, Conv2d):
        yield from conv_taps(op, (shape[1], shape[2]))
    elif isinstance(op, SumPool2d | MaxPool2d):
        for i, j, _, _, y, x in windows(op, (shape[1], shape[2])):
            yield from (((c, y, x), (c, i, j), True) for c in range(shape[0]))
    elif isinstance(op, Upsample2d):
        for c, i, j in np.ndindex(shape[0], shape[1] * op.factor[0], shape[2] * op.factor[1]):
            yield (c, i // op.factor[0], j // op.factor[1]), (c, i, j), True
    else:
        yield from ((place, place, True) for place in np.ndindex(shape))


def conv_taps(op: Conv2d, size: tuple[int, int]) -> Iterator[Tap]:
    inputs = op.weight.shape[1]
    for i, j, a, b, y, x in windows(op, size):
        for o, c in np.ndindex(op.outputs, inputs):
            group = o // (op.outputs // op.groups)
            yield (group * inputs + c, y, x), (o, i, j), bool(op.weight[o, c, a, b])
