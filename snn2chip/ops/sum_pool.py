"""SumPool2d: sums over windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip import kernels
from snn2chip.graph import Array, Interval, Region, Shape, Signal, frozen
from snn2chip.ops.base import BaseOp, map_shape, window_fan_out, window_shape


@dataclass(frozen=True)
class SumPool2d(BaseOp):
    """``y[c, i, j] = sum over the window of s[c]``: an average pool whose divisor is folded into the next scale.

    Attributes:
        kernel, stride, padding: (vertical, horizontal); padding is with zeros.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        channels, height, width = map_shape(source)
        size = window_shape((height, width), self.kernel, self.stride, self.padding)
        area = self.kernel[0] * self.kernel[1]
        low, high = source.interval.low * area, source.interval.high * area
        if self.padding != (0, 0):
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        return Signal((channels, *size), source.kind, Interval(frozen(low), frozen(high)))

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        return kernels.sum_pool(x, self.kernel, self.stride, self.padding), None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        return window_fan_out(source, target, self.kernel, self.stride, self.padding)
