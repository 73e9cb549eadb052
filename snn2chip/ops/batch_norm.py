"""BatchNorm2d: the affine map that is left of batch normalisation after training, in float graphs only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Signal, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True, eq=False)
class BatchNorm2d(BaseOp):
    """``y[c] = gain[c] * x[c] + offset[c]``; folding merges it into the convolution before it.

    Attributes:
        gain: ``gamma / sqrt(running_var + eps)``, ``[C]``.
        offset: ``beta - running_mean * gain``, ``[C]``.
    """

    gain: Array
    offset: Array

    integer: ClassVar[bool] = False

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        if self.gain.shape != source.shape[:1] or self.offset.shape != self.gain.shape:
            raise GraphError(f"gain {self.gain.shape} does not fit an input of {source.shape[0]} channels")
        ends = np.stack([self.gain * source.interval.low, self.gain * source.interval.high]) + self.offset
        return Signal(source.shape, source.kind, Interval(frozen(ends.min(axis=0)), frozen(ends.max(axis=0))))

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        return x * kernels.per_channel(self.gain, x.ndim) + kernels.per_channel(self.offset, x.ndim), None
