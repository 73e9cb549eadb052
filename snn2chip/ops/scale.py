"""Scale: multiplication by a number, or by one per channel, in float graphs only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Signal, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True, eq=False)
class Scale(BaseOp):
    """``y = factor * x`` with ``factor > 0``: scale-only normalisation of the input, or the value of one spike.

    Quantization folds it into the unit of what it reads. (A mean could not be folded into a bias under zero padding.)

    Attributes:
        factor: one number, or float64 ``[C]``.
    """

    factor: float | Array

    integer: ClassVar[bool] = False

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        factors = np.atleast_1d(np.asarray(self.factor, dtype=np.float64))
        if not (np.isfinite(factors) & (factors > 0)).all():
            raise GraphError(f"factor is {self.factor}: a scale must be positive and finite")
        if factors.shape not in ((1,), source.shape[:1]):
            raise GraphError(f"factor {factors.shape} does not fit an input of {source.shape[0]} channels")
        interval = Interval(frozen(source.interval.low * factors), frozen(source.interval.high * factors))
        return Signal(source.shape, source.kind, interval)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        factor = self.factor if isinstance(self.factor, float) else kernels.per_channel(np.asarray(self.factor), x.ndim)
        return x * factor, None
