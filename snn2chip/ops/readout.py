"""Readout: where the logits leave the network."""

from __future__ import annotations

from dataclasses import dataclass

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Kind, Signal
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True)
class Readout(BaseOp):
    """``y(t) = i(t)``; the logits of a sample are the sum of ``y(t)`` over its T steps.

    It stands for a non-spiking integrator with one membrane per class: hardware models charge T additions per class.
    """

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        if len(source.shape) != 1 or source.kind is not Kind.CURRENT:
            raise GraphError(f"it reads {source.kind.value}s of shape {source.shape}, but logits are a flat current")
        return source

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (current,) = inputs
        return current, None
