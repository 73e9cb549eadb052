"""Input: unsigned counts from outside, the same at every step or one frame a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Kind, Region, Shape, Signal, check_size, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True)
class Input(BaseOp):
    """``y(t) = x`` (direct encoding, x ``[B, C, H, W]``) or ``y(t) = x[:, t]`` (frames, x ``[B, T, C, H, W]``).

    Attributes:
        shape: ``(C, H, W)`` or ``(F,)`` of one frame.
        largest: the largest value that may occur, 1..255; ranges are proven for 0..largest.
    """

    shape: tuple[int, ...]
    largest: int = 255

    arity: ClassVar[range] = range(1)

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise GraphError(f"shape {self.shape} is neither (features,) nor (channels, height, width)")
        if not 1 <= self.largest <= 255:
            raise GraphError(f"largest is {self.largest}, but inputs are uint8: it must lie in 1..255")
        check_size(self.shape)
        channels = self.shape[0]
        interval = Interval(frozen(np.zeros(channels, np.int64)), frozen(np.full(channels, self.largest, np.int64)))
        return Signal(self.shape, Kind.SPIKE, interval)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        """The interpreter feeds the frame itself: an input computes nothing."""
        (frame,) = inputs
        return frame, None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        raise GraphError("an input has no source: nothing fans out into it")
