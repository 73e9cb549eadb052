"""Readout: where the logits leave the network."""

from __future__ import annotations

from dataclasses import dataclass

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Kind, Signal
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True)
class Readout(BaseOp):
    """``y(t) = i(t)``; the logits of a sample are the sum of ``y(t)`` over its T steps.

    What it reads is a current, or spikes that are counted. It stands for a non-spiking integrator with one membrane per
    class: hardware models charge T additions per class.
    """

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        if len(source.shape) != 1:
            raise GraphError(f"it reads a tensor of shape {source.shape}, but logits are flat: one number a class")
        return Signal(source.shape, Kind.CURRENT, source.interval)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (current,) = inputs
        return current, None
