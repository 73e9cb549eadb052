"""What all spiking neurons share."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Kind, Shape, Signal, frozen
from snn2chip.ops.base import BaseOp

LARGEST_LEVELS = 255


class SpikingNeuron(BaseOp):
    """Adds currents up to a potential and emits ``0 .. levels`` spikes per neuron and step.

    Attributes:
        theta: ``[C]``, the potential at which the first spike is emitted.
        levels: N, 1..255.
    """

    theta: Array
    levels: int

    @property
    def channels(self) -> int:
        return len(self.theta)

    @property
    @abstractmethod
    def saturation(self) -> Array:
        """``[C]``: the potential beyond which no further spike is emitted."""

    @property
    @abstractmethod
    def keeps_state(self) -> bool:
        """Whether a step can depend on the one before it."""

    @abstractmethod
    def membrane(self, source: Interval, steps: int) -> Interval:
        """Proven bounds of the potential v over `steps` steps, per channel; `source` bounds the current."""

    @abstractmethod
    def count(self, potential: Array) -> Array:
        """Spikes that potentials ``[C]`` give."""

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        self._check(source.shape)
        reached = self.count(self.membrane(source.interval, steps).high)
        interval = Interval(frozen(np.zeros(len(reached), np.int64)), frozen(reached, np.int64))
        return Signal(source.shape, Kind.SPIKE, interval)

    def initial_state(self, source: Signal, batch: int) -> Array | None:
        return np.zeros((batch, *source.shape), dtype=np.float64 if self.theta.dtype.kind == "f" else np.int32)

    def _check(self, shape: Shape) -> None:
        if self.theta.shape != shape[:1]:
            raise GraphError(f"theta {self.theta.shape} does not fit an input of {shape[0]} channels")
        if type(self.levels) is not int or not 1 <= self.levels <= LARGEST_LEVELS:
            raise GraphError(f"levels is {self.levels}: N must be a whole number in 1..{LARGEST_LEVELS}")
        if not (self.theta > 0).all():
            raise GraphError("theta must be positive in every channel")
