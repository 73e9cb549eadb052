"""Upsample2d: nearest-neighbour repetition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Region, Shape, Signal
from snn2chip.ops.base import BaseOp, map_shape


@dataclass(frozen=True)
class Upsample2d(BaseOp):
    """``y[c, i, j] = s[c, i // factor, j // factor]``: every event is sent to ``factor ** 2`` places.

    Attributes:
        factor: (vertical, horizontal) repetition, at least 1.
    """

    factor: tuple[int, int]

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        channels, height, width = map_shape(source)
        if min(self.factor) < 1:
            raise GraphError(f"factor {self.factor} must be at least 1")
        shape = (channels, height * self.factor[0], width * self.factor[1])
        return Signal(shape, source.kind, source.interval)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        return x.repeat(self.factor[0], axis=2).repeat(self.factor[1], axis=3), None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        channels, height, width = source
        inside = np.zeros(channels, dtype=np.int64)
        inside[target.channels.start : target.channels.stop] = 1
        rows = np.zeros(height * self.factor[0], dtype=np.int64)
        rows[target.rows.start : target.rows.stop] = 1
        per_row = rows.reshape(height, self.factor[0]).sum(axis=1) * self.factor[1]
        reached: Array = inside[:, None, None] * per_row[None, :, None] * np.ones((1, 1, width), dtype=np.int64)
        return reached
