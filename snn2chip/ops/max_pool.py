"""MaxPool2d: the largest value in a window."""

from __future__ import annotations

from dataclasses import dataclass

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Region, Shape, Signal
from snn2chip.ops.base import BaseOp, map_shape, window_fan_out, window_shape


@dataclass(frozen=True)
class MaxPool2d(BaseOp):
    """``y[c, i, j] = max over the window of s[c]``, of spike counts or of currents; positions outside do not count.

    Attributes:
        kernel, stride, padding: (vertical, horizontal); padding is at most half the kernel, so that every window meets
            the map (torch's rule).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        channels, height, width = map_shape(source)
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel, strict=True)):
            raise GraphError(f"padding {self.padding} is more than half of the kernel {self.kernel}")
        size = window_shape((height, width), self.kernel, self.stride, self.padding)
        return Signal((channels, *size), source.kind, source.interval)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        return kernels.max_pool(x, self.kernel, self.stride, self.padding), None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        return window_fan_out(source, target, self.kernel, self.stride, self.padding)
