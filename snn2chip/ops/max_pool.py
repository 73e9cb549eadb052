"""MaxPool2d: the largest spike count in a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Kind, Region, Shape, Signal, frozen
from snn2chip.ops.base import BaseOp, map_shape, window_fan_out, window_shape


@dataclass(frozen=True)
class MaxPool2d(BaseOp):
    """``y[c, i, j] = max over the window of s[c]``, of spike counts; positions outside the map count 0.

    Attributes:
        kernel, stride, padding: (vertical, horizontal); padding is at most half the kernel, so that every window meets
            the map (torch's rule, under which a border of zeros equals torch's border of minus infinity).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        if source.kind is not Kind.SPIKE:
            raise GraphError("it reads currents, but only spike counts have a maximum here: put a neuron before it")
        channels, height, width = map_shape(source)
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel, strict=True)):
            raise GraphError(f"padding {self.padding} is more than half of the kernel {self.kernel}")
        size = window_shape((height, width), self.kernel, self.stride, self.padding)
        low = source.interval.low if self.padding == (0, 0) else np.minimum(source.interval.low, 0)
        return Signal((channels, *size), Kind.SPIKE, Interval(frozen(low), source.interval.high))

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        return kernels.max_pool(x, self.kernel, self.stride, self.padding), None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        return window_fan_out(source, target, self.kernel, self.stride, self.padding)
