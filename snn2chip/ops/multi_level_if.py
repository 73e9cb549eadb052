"""MultiLevelIF: the multi-level integrate-and-fire neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Kind, Signal, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True, eq=False)
class MultiLevelIF(BaseOp):
    """``v = u + i;  z = clip(floor(v / theta), 0, N);  u = v - z * theta;  u(0) = 0`` per sample.

    Source: Castagnetti et al., "All in one timestep" (arXiv 2510.24637), figure 2; N = 1 is the binary IF neuron with
    soft reset. `theta` is one level: the neuron saturates at ``N * theta``.

    Attributes:
        theta: ``[C]``, positive; int32 in an integer graph.
        levels: N, 1..255.
    """

    theta: Array
    levels: int

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        if self.theta.shape != source.shape[:1]:
            raise GraphError(f"theta {self.theta.shape} does not fit an input of {source.shape[0]} channels")
        if type(self.levels) is not int or not 1 <= self.levels <= 255:
            raise GraphError(f"levels is {self.levels}: N must be a whole number in 1..255")
        if not (self.theta > 0).all():
            raise GraphError("theta must be positive in every channel")
        reached = np.clip(np.floor_divide(self.membrane(source.interval, steps).high, self.theta), 0, self.levels)
        interval = Interval(frozen(np.zeros(len(reached), np.int64)), frozen(reached, np.int64))
        return Signal(source.shape, Kind.SPIKE, interval)

    def membrane(self, source: Interval, steps: int) -> Interval:
        """Proven bounds of v over `steps` steps, per channel.

        What is left after the reset is below theta, or above it only by what exceeded ``N * theta``; below zero nothing
        is subtracted, so that negative potential piles up.
        """
        low_u = high_u = np.zeros_like(source.low)
        low_v, high_v = source.low, source.high
        for _ in range(steps):
            low, high = low_u + source.low, high_u + source.high
            low_v, high_v = np.minimum(low_v, low), np.maximum(high_v, high)
            # In the integer graph theta - 1 is the most that is left; real numbers come as close to theta as they like.
            rest = self.theta - (0 if self.theta.dtype.kind == "f" else 1)
            next_low, next_high = (
                np.minimum(low, 0),
                np.maximum(np.minimum(high, rest), high - self.levels * self.theta),
            )
            if (next_low == low_u).all() and (next_high == high_u).all():
                break
            low_u, high_u = next_low, next_high
        return Interval(frozen(low_v), frozen(high_v))

    def initial_state(self, source: Signal, batch: int) -> Array | None:
        return np.zeros((batch, *source.shape), dtype=np.float64 if self.theta.dtype.kind == "f" else np.int32)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (current,) = inputs
        if state is None:
            raise ValueError("a neuron needs its potential: pass initial_state() at the first step")
        return kernels.multi_level_if(current, state, self.theta, self.levels)
