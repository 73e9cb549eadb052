"""What operations share: the base class and the geometry of windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Region, Shape, Signal, check_size
from snn2chip.kernels import output_size


class BaseOp(ABC):
    """An operation with one input, no state and no parameters, until a subclass says otherwise."""

    #: How many inputs the operation takes.
    arity: ClassVar[range] = range(1, 2)
    #: Whether the operation may stand in an integer graph.
    integer: ClassVar[bool] = True

    @abstractmethod
    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        """See `snn2chip.graph.Op.signal`."""

    @abstractmethod
    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        """See `snn2chip.graph.Op.step`."""

    def initial_state(self, source: Signal, batch: int) -> Array | None:
        """See `snn2chip.graph.Op.initial_state`."""
        return None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        """See `snn2chip.graph.Op.fan_out`; one target each unless a subclass says otherwise."""
        return target.mask(source)


def axis_hits(size: int, outputs: range, kernel: int, stride: int, padding: int, dilation: int = 1) -> Array:
    """For one axis: ``[size, kernel]`` int64, 1 where input position i meets an output of `outputs` through tap k."""
    position = np.arange(size)[:, None] + padding - np.arange(kernel)[None, :] * dilation
    output, rest = np.divmod(position, stride)
    hits: Array = (rest == 0) & (output >= outputs.start) & (output < outputs.stop)
    return hits.astype(np.int64)


def window_fan_out(
    source: Shape, target: Region, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Array:
    """Targets in `target` whose window an event at each source position falls into, for pools: int64 of `source`."""
    channels, height, width = source
    out_width = output_size(width, kernel[1], stride[1], padding[1])
    rows = axis_hits(height, target.rows, kernel[0], stride[0], padding[0]).sum(axis=1)
    cols = axis_hits(width, range(out_width), kernel[1], stride[1], padding[1]).sum(axis=1)
    inside = np.zeros(channels, dtype=np.int64)
    inside[target.channels.start : target.channels.stop] = 1
    reached: Array = inside[:, None, None] * rows[None, :, None] * cols[None, None, :]
    return reached


def map_shape(signal: Signal) -> tuple[int, int, int]:
    """(C, H, W) of a map; GraphError for a flat tensor."""
    if len(signal.shape) != 3:
        raise GraphError(f"its input has shape {signal.shape}, but it needs a (channels, height, width) map")
    channels, height, width = signal.shape
    return channels, height, width


def window_shape(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int]:
    """(Ho, Wo) of a windowed operation; GraphError where nothing is left or a number is out of range."""
    if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1 or min(padding) < 0:
        raise GraphError("kernel, stride and dilation must be at least 1, and padding at least 0")
    check_size((size[0] + 2 * padding[0], size[1] + 2 * padding[1]))
    height = output_size(size[0], kernel[0], stride[0], padding[0], dilation[0])
    width = output_size(size[1], kernel[1], stride[1], padding[1], dilation[1])
    if min(height, width) < 1:
        raise GraphError(f"a kernel of {kernel} does not fit into a map of {size}")
    return height, width
