"""Scale: multiplication by one number, in float graphs only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Signal, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True)
class Scale(BaseOp):
    """``y = factor * x`` with ``factor > 0``: scale-only normalisation of the input.

    Quantization folds it into the unit of the input. (A mean could not be folded into a bias under zero padding.)
    """

    factor: float

    integer: ClassVar[bool] = False

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        if not 0 < self.factor < math.inf:
            raise GraphError(f"factor is {self.factor}: a scale must be positive and finite")
        interval = Interval(frozen(source.interval.low * self.factor), frozen(source.interval.high * self.factor))
        return Signal(source.shape, source.kind, interval)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        return x * self.factor, None
