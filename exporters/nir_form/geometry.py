"""Convolutions that NIR cannot type, rewritten as ones that it can, with the same integers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array
from snn2chip.kernels import output_size

Pair = tuple[int, int]
Map = tuple[int, int, int]

#: Largest tensor that is written, in elements (256 MiB of float32).
MOST_ELEMENTS = 2**26


def check_size(*shape: int, most: int = MOST_ELEMENTS) -> None:
    """GraphError where a tensor of `shape` would be too large to write."""
    if math.prod(shape) > most:
        raise GraphError(
            f"NIR has no primitive for it but a dense tensor of shape {shape}, which is more than {most} elements: "
            "leave the NIR form out"
        )


@dataclass(frozen=True)
class Window:
    """How a kernel slides: (vertical, horizontal) each."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def axis(self, axis: int) -> tuple[int, int, int]:
        """(stride, padding, dilation) of one axis."""
        return self.stride[axis], self.padding[axis], self.dilation[axis]

    def outputs(self, size: Pair, kernel: Pair) -> Pair:
        """(Ho, Wo) over a map of `size`."""
        height, width = (output_size(size[axis], kernel[axis], *self.axis(axis)) for axis in (0, 1))
        return height, width


def dense(weight: Array, groups: int) -> Array:
    """``[O, C / groups, Kh, Kw]`` as the block-diagonal ``[O, C, Kh, Kw]`` of one group.

    NIR types a convolution's input by ``weight.shape[1]``, which mistypes a grouped one.
    """
    if groups == 1:
        return weight
    outputs, inputs = weight.shape[:2]
    check_size(outputs, inputs * groups, *weight.shape[2:])
    per_group = outputs // groups
    whole = np.zeros((outputs, inputs * groups, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        rows = slice(group * per_group, (group + 1) * per_group)
        whole[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return whole


def diagonal(channels: int, taps: Array) -> Array:
    """``[C, C, Kh, Kw]`` that applies `taps` ``[Kh, Kw]`` to every channel by itself."""
    check_size(channels, channels, *taps.shape)
    return np.eye(channels, dtype=np.float32)[:, :, None, None] * taps.astype(np.float32)


def square(weight: Array, window: Window, size: Pair) -> tuple[Array, Window] | None:
    """The same convolution with a square kernel, zero taps and padding added; None where no such padding exists.

    NIR types both axes by the kernel's height. Padding is the same on both sides of an axis, so that an odd number of
    new taps moves one end of the map too far, which is harmless only where the stride swallows it.
    """
    kernel = weight.shape[2], weight.shape[3]
    if kernel[0] == kernel[1]:
        return weight, window
    window = replace(window, stride=_free_strides(window, size, kernel))
    for taps in (max(kernel), max(kernel) + 1):
        leads = [_leading_taps(size[axis], kernel[axis], taps, *window.axis(axis)) for axis in (0, 1)]
        if leads[0] is not None and leads[1] is not None:
            return _padded(weight, window, taps, (leads[0], leads[1]))
    return None


def _free_strides(window: Window, size: Pair, kernel: Pair) -> Pair:
    """Strides; where an axis has a single output its stride is free, and a long one swallows the odd tap."""
    outputs = window.outputs(size, kernel)
    rows, columns = (
        max(window.stride[axis], window.dilation[axis] + 1) if outputs[axis] == 1 else window.stride[axis]
        for axis in (0, 1)
    )
    return rows, columns


def _leading_taps(size: int, kernel: int, taps: int, stride: int, padding: int, dilation: int) -> int | None:
    """How many of the new zero taps come first, so that `taps` taps yield as many outputs as `kernel` did."""
    new = taps - kernel
    wanted = output_size(size, kernel, stride, padding, dilation)
    for lead in (new // 2, new - new // 2):
        if output_size(size, taps, stride, padding + lead * dilation, dilation) == wanted:
            return lead
    return None


def _padded(weight: Array, window: Window, taps: int, lead: Pair) -> tuple[Array, Window]:
    border = [(lead[axis], taps - weight.shape[2 + axis] - lead[axis]) for axis in (0, 1)]
    rows, columns = (window.padding[axis] + lead[axis] * window.dilation[axis] for axis in (0, 1))
    return np.pad(weight, [(0, 0), (0, 0), *border]), replace(window, padding=(rows, columns))
