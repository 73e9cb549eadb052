"""Conv2d: weighted sums over windows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Kind, Region, Shape, Signal, frozen
from snn2chip.ops.base import BaseOp, axis_hits, map_shape, window_shape


@dataclass(frozen=True, eq=False)
class Conv2d(BaseOp):
    """``i[o,y,x] = bias[o] + sum over c,ky,kx of weight[o, c, ky, kx] * s[c, y*stride + ky*dilation - padding, x...]``

    Attributes:
        weight: ``[O, C / groups, Kh, Kw]``, int8 in an integer graph.
        bias: ``[O]``, int32 in an integer graph, or None; added at every step.
        stride, padding, dilation: (vertical, horizontal); padding is with zeros.
        groups: number of channel groups, which do not see one another.
    """

    weight: Array
    bias: Array | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[0])

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        channels, height, width = map_shape(source)
        if self.weight.ndim != 4:
            raise GraphError(f"weight has {self.weight.ndim} axes instead of [outputs, inputs / groups, height, width]")
        if self.groups < 1 or self.outputs % self.groups or self.weight.shape[1] * self.groups != channels:
            shape = tuple(self.weight.shape)
            raise GraphError(f"weight {shape} with groups={self.groups} does not fit an input of {channels} channels")
        if self.bias is not None and self.bias.shape != (self.outputs,):
            raise GraphError(f"bias {self.bias.shape} does not fit {self.outputs} output channels")
        size = window_shape((height, width), self.kernel, self.stride, self.padding, self.dilation)
        return Signal((self.outputs, *size), Kind.CURRENT, self._interval(source.interval))

    def _interval(self, source: Interval) -> Interval:
        low, high = source.low, source.high
        if self.padding != (0, 0):  # a tap may fall on the zero border
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        positive = self._wide(np.maximum(self.weight, 0)).sum(axis=(2, 3))
        negative = self._wide(np.minimum(self.weight, 0)).sum(axis=(2, 3))
        group = np.arange(self.outputs) // (self.outputs // self.groups)
        low, high = low.reshape(self.groups, -1)[group], high.reshape(self.groups, -1)[group]
        bias = 0 if self.bias is None else self._wide(self.bias)
        return Interval(
            frozen((positive * low + negative * high).sum(axis=1) + bias),
            frozen((positive * high + negative * low).sum(axis=1) + bias),
        )

    @staticmethod
    def _wide(values: Array) -> Array:
        return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)

    @cached_property
    def _row_sum(self) -> float:
        """Largest sum of absolute weights over one output: bounds every partial sum per unit of input."""
        return float(self._wide(np.abs(self._wide(self.weight))).sum(axis=(1, 2, 3)).max(initial=0))

    @cached_property
    def _float_weights(self) -> dict[type, Array]:
        return {}

    def _weight_as(self, dtype: type) -> Array:
        if dtype not in self._float_weights:
            self._float_weights[dtype] = self.weight.astype(dtype)
        return self._float_weights[dtype]

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (x,) = inputs
        dtype = kernels.product_type(x, self._row_sum, self.weight)
        product = kernels.convolve(
            x.astype(dtype), self._weight_as(dtype), self.stride, self.padding, self.dilation, self.groups
        )
        current = product if self.weight.dtype.kind == "f" else product.astype(np.int32)
        if self.bias is not None:
            current += kernels.per_channel(self.bias, 4)
        return current, None

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        _, height, width = source
        out_width = kernels.output_size(width, self.kernel[1], self.stride[1], self.padding[1], self.dilation[1])
        rows = axis_hits(height, target.rows, self.kernel[0], self.stride[0], self.padding[0], self.dilation[0])
        cols = axis_hits(width, range(out_width), self.kernel[1], self.stride[1], self.padding[1], self.dilation[1])
        if effective:
            taps = self._weights_per_tap(target.channels)
            reached: Array = rows @ (taps @ cols.T)
        else:
            met = self._outputs_per_group(target.channels).repeat(self.weight.shape[1])
            reached = met[:, None, None] * rows.sum(axis=1)[None, :, None] * cols.sum(axis=1)[None, None, :]
        return reached

    def _outputs_per_group(self, channels: range) -> Array:
        """``[groups]`` int64: how many of the output `channels` each group holds."""
        group = np.arange(channels.start, channels.stop) // (self.outputs // self.groups)
        return np.bincount(group, minlength=self.groups)

    def _weights_per_tap(self, channels: range) -> Array:
        """``[C, Kh, Kw]`` int64: non-zero weights of the output `channels` for each input channel and tap."""
        counts = self._outputs_per_group(channels)
        met = np.split(self.weight[channels.start : channels.stop] != 0, np.cumsum(counts)[:-1])
        return np.concatenate([np.count_nonzero(group, axis=0) for group in met])
