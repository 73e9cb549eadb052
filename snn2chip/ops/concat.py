"""Concat: tensors side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Region, Shape, Signal, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True)
class Concat(BaseOp):
    """``y = [a, b, ...]`` along the channels (or features): all spikes, or all currents."""

    arity: ClassVar[range] = range(2, 65)

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        first = sources[0]
        if any(source.shape[1:] != first.shape[1:] for source in sources):
            raise GraphError(f"it joins maps of different sizes: {[source.shape for source in sources]}")
        if any(source.kind != first.kind for source in sources):
            raise GraphError("it joins spikes with currents: put a neuron before it")
        low = np.concatenate([source.interval.low for source in sources])
        high = np.concatenate([source.interval.high for source in sources])
        channels = sum(source.shape[0] for source in sources)
        return Signal((channels, *first.shape[1:]), first.kind, Interval(frozen(low), frozen(high)))

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        # An input may be a uint8 frame: a common type is needed, and int32 holds every integer value.
        wide = [x if x.dtype.kind == "f" else x.astype(np.int32) for x in inputs]
        return np.concatenate(wide, axis=1), None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        raise GraphError("it moves nothing by itself: snn2chip.lowering.concat takes it into the synapses behind it")
