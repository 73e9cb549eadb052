"""Flatten: a map as a flat tensor, channel first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip.graph import Array, Interval, Region, Shape, Signal, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True)
class Flatten(BaseOp):
    """``y[c*H*W + i*W + j] = s[c, i, j]``: another view, nothing moves and nothing is charged."""

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        per_channel = source.size // source.shape[0]
        low, high = (np.repeat(bound, per_channel) for bound in (source.interval.low, source.interval.high))
        return Signal((source.size,), source.kind, Interval(frozen(low), frozen(high)))

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        return x.reshape(x.shape[0], -1), None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        reached = np.zeros(int(np.prod(source)), dtype=np.int64)
        reached[target.channels.start : target.channels.stop] = 1
        return reached.reshape(source)
