"""Add: a residual sum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Signal, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True)
class Add(BaseOp):
    """``y = a + b (+ ...)``: the sum of spike counts, or the sum of currents; the two do not mix.

    A sum of spike counts may exceed the number of levels N of the neurons that feed it.
    """

    arity: ClassVar[range] = range(2, 65)

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        first = sources[0]
        if any(source.shape != first.shape for source in sources):
            raise GraphError(f"it sums tensors of different shapes: {[source.shape for source in sources]}")
        if any(source.kind != first.kind for source in sources):
            raise GraphError("it sums spikes with currents, whose units differ: put a neuron before the sum")
        low = sum(source.interval.low for source in sources)
        high = sum(source.interval.high for source in sources)
        return Signal(first.shape, first.kind, Interval(frozen(low), frozen(high)))

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        # Inputs may be uint8 frames: widen before the sum, not after it.
        wide = [x if x.dtype.kind == "f" else x.astype(np.int32) for x in inputs]
        return reduce(np.add, wide), None
