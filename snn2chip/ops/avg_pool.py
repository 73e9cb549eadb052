"""AvgPool2d: averages over windows, in float graphs only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snn2chip.graph import Array, Interval, Signal, frozen
from snn2chip.ops.base import BaseOp
from snn2chip.ops.sum_pool import SumPool2d


@dataclass(frozen=True)
class AvgPool2d(BaseOp):
    """``y = sum over the window / area``, the zero border counted in (a uniform divisor).

    Quantization turns it into `SumPool2d` and folds the divisor into the next scale.

    Attributes:
        kernel, stride, padding: (vertical, horizontal).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    integer: ClassVar[bool] = False

    @property
    def area(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def as_sum(self) -> SumPool2d:
        """The same windows, summed."""
        return SumPool2d(self.kernel, self.stride, self.padding)

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        total = self.as_sum.signal(sources, steps)
        interval = Interval(frozen(total.interval.low / self.area), frozen(total.interval.high / self.area))
        return Signal(total.shape, total.kind, interval)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        total, _ = self.as_sum.step(inputs, None)
        return total / self.area, None
