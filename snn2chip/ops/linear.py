"""Linear: a fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Kind, Region, Shape, Signal, frozen
from snn2chip.ops.base import BaseOp


@dataclass(frozen=True, eq=False)
class Linear(BaseOp):
    """``i[o] = bias[o] + sum over f of weight[o, f] * s[f]``

    Attributes:
        weight: ``[O, F]``, int8 in an integer graph.
        bias: ``[O]``, int32 in an integer graph, or None; added at every step.
    """

    weight: Array
    bias: Array | None = None

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        if len(source.shape) != 1 or self.weight.ndim != 2 or self.weight.shape[1] != source.shape[0]:
            raise GraphError(f"weight {tuple(self.weight.shape)} does not fit an input of shape {source.shape}")
        outputs = int(self.weight.shape[0])
        if self.bias is not None and self.bias.shape != (outputs,):
            raise GraphError(f"bias {self.bias.shape} does not fit {outputs} outputs")
        wide = self.weight.astype(np.float64 if self.weight.dtype.kind == "f" else np.int64)
        positive, negative = np.maximum(wide, 0), np.minimum(wide, 0)
        bias = 0 if self.bias is None else self.bias
        low = positive @ source.interval.low + negative @ source.interval.high + bias
        high = positive @ source.interval.high + negative @ source.interval.low + bias
        return Signal((outputs,), Kind.CURRENT, Interval(frozen(low), frozen(high)))

    @cached_property
    def _row_sum(self) -> float:
        return float(np.abs(self.weight.astype(np.float64)).sum(axis=1).max(initial=0))

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        dtype = kernels.product_type(x, self._row_sum, self.weight)
        product = x.astype(dtype) @ self.weight.astype(dtype).T
        current = product if self.weight.dtype.kind == "f" else product.astype(np.int32)
        if self.bias is not None:
            current += self.bias
        return current, None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        channels = target.channels
        if not effective:
            return np.full(source, len(channels), dtype=np.int64)
        reached: Array = np.count_nonzero(self.weight[channels.start : channels.stop], axis=0).astype(np.int64)
        return reached
