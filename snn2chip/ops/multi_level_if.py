"""MultiLevelIF: the multi-level integrate-and-fire neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip import kernels
from snn2chip.graph import Array, Interval, frozen
from snn2chip.ops.neuron import SpikingNeuron


@dataclass(frozen=True, eq=False)
class MultiLevelIF(SpikingNeuron):
    """``v = u + i;  z = clip(floor(v / theta), 0, N);  u = v - z * theta;  u(0) = 0`` per sample.

    Source: Castagnetti et al., "All in one timestep" (arXiv 2510.24637), figure 2; N = 1 is the binary IF neuron with
    soft reset. `theta` is one level: the neuron saturates at ``N * theta``.

    Attributes:
        theta: ``[C]``, positive; int32 in an integer graph.
        levels: N, 1..255.
    """

    theta: Array
    levels: int

    @property
    def saturation(self) -> Array:
        most: Array = self.theta * (self.levels if self.theta.dtype.kind == "f" else np.int64(self.levels))
        return most

    @property
    def keeps_state(self) -> bool:
        return True

    def count(self, potential: Array) -> Array:
        spikes: Array = np.clip(np.floor_divide(potential, self.theta), 0, self.levels)
        return spikes

    def membrane(self, source: Interval, steps: int) -> Interval:
        """What is left after the reset is below theta, or above it only by what exceeded ``N * theta``; below zero
        nothing is subtracted, so that negative potential piles up."""
        low_u = high_u = np.zeros_like(source.low)
        low_v, high_v = source.low, source.high
        for _ in range(steps):
            low, high = low_u + source.low, high_u + source.high
            low_v, high_v = np.minimum(low_v, low), np.maximum(high_v, high)
            # In the integer graph theta - 1 is the most that is left; real numbers come as close to theta as they like.
            rest = self.theta - (0 if self.theta.dtype.kind == "f" else 1)
            next_low = np.minimum(low, 0)
            next_high = np.maximum(np.minimum(high, rest), high - self.levels * self.theta)
            if (next_low == low_u).all() and (next_high == high_u).all():
                break
            low_u, high_u = next_low, next_high
        return Interval(frozen(low_v), frozen(high_v))

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (current,) = inputs
        if state is None:
            raise ValueError("a neuron needs its potential: pass initial_state() at the first step")
        return kernels.multi_level_if(current, state, self.theta, self.levels)
