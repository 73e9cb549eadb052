"""Pooling and its inverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from snn2chip.errors import GraphError
from snn2chip.frontend.axes import LayoutError
from snn2chip.frontend.functions.synapses import pair, signal_value
from snn2chip.frontend.trace import Trace, check_pointwise
from snn2chip.frontend.values import NodeValue
from snn2chip.graph import Op, frozen
from snn2chip.ops import AvgPool2d, Linear, MaxPool2d, SumPool2d, Upsample2d

Pair = tuple[int, int]


def _pooled(trace: Trace, input: Any, name: str, op: Callable[[Pair], Op], affine: bool = True) -> NodeValue:
    """The value of the operation that `op` makes for a map of (height, width)."""
    value = signal_value(trace, input)
    node, lead = trace.map_operand(value)
    if len(lead) != 1:
        raise LayoutError("it takes [B, channels, height, width]: flatten time into the batch before it")
    check_pointwise(value.time, "pooling", affine)
    _, height, width = trace.builder.map_shape(node)
    return trace.result(trace.emit(name, op((height, width)), (node,)), lead, value.time)


def max_pool2d(
    trace: Trace,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> NodeValue:
    """``F.max_pool2d``."""
    if return_indices or pair(dilation) != (1, 1):
        raise GraphError("max pooling with indices or dilation is not supported")
    kernel, step, border = pair(kernel_size), pair(stride if stride not in (None, []) else kernel_size), pair(padding)

    def op(size: Pair) -> MaxPool2d:
        _check_ceil(ceil_mode, size, kernel, step, border)
        return MaxPool2d(kernel, step, border)

    return _pooled(trace, input, trace.label("max_pool2d", nn.MaxPool2d), op, affine=False)


def _aten_max_pool2d(trace: Trace, *args: Any, **kwargs: Any) -> tuple[NodeValue, None]:
    return max_pool2d(trace, *args, **kwargs), None


def avg_pool1d(
    trace: Trace,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> NodeValue:
    """``F.avg_pool1d`` of ``[B, 1, F]``: means of neighbouring features, which vote for a class."""
    value = signal_value(trace, input)
    width, step, border = (pair(number)[0] for number in (kernel_size, stride or kernel_size, padding))
    node, features = value.node, trace.builder.shape(value.node)
    if len(features) != 1 or value.axes[-2:] != ((), (0,)) or (step, border) != (width, 0) or features[0] % width:
        raise GraphError("only means over groups of flat features, [B, 1, F], side by side, are supported")
    check_pointwise(value.time, "pooling", affine=True)
    votes = np.kron(np.eye(features[0] // width), np.full((1, width), 1 / width))
    voted = trace.emit(trace.label("avg_pool1d"), Linear(frozen(votes)), (node,))
    return NodeValue(voted, value.axes, value.time)


def avg_pool2d(
    trace: Trace,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> NodeValue:
    """``F.avg_pool2d``; with ``divisor_override=1`` a sum."""
    kernel, step, border = pair(kernel_size), pair(stride if stride not in (None, []) else kernel_size), pair(padding)
    if border != (0, 0) and not count_include_pad and divisor_override is None:
        raise GraphError("its divisor differs between positions: use count_include_pad=True")
    if divisor_override not in (None, 1, kernel[0] * kernel[1]):
        raise GraphError(f"divisor_override is {divisor_override}: only 1 (a sum) is supported")

    def op(size: Pair) -> Op:
        _check_ceil(ceil_mode, size, kernel, step, border)
        summed = divisor_override == 1
        return SumPool2d(kernel, step, border) if summed else AvgPool2d(kernel, step, border)

    return _pooled(trace, input, trace.label("avg_pool2d", nn.AvgPool2d), op)


def _check_ceil(ceil_mode: bool, size: Pair, kernel: Pair, stride: Pair, padding: Pair) -> None:
    """Rounding sizes up means the same only where the windows fill the map."""
    rest = [(n + 2 * p - k) % s for n, k, s, p in zip(size, kernel, stride, padding, strict=True)]
    if ceil_mode and any(rest):
        raise GraphError(f"ceil_mode is on, and windows of {kernel} do not fill a map of {size}: they would differ")


def lp_pool2d(
    trace: Trace, input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> NodeValue:
    """``F.lp_pool2d`` with norm 1, which is a sum where nothing is negative."""
    value = signal_value(trace, input)
    if norm_type != 1 or (trace.builder.signal(value.node).interval.low < 0).any():
        raise GraphError(f"lp_pool2d is supported as a sum of spikes only (norm_type=1, not {norm_type})")
    return avg_pool2d(trace, input, kernel_size, stride, 0, ceil_mode, True, divisor_override=1)


def adaptive_avg_pool2d(trace: Trace, input: Any, output_size: Any) -> NodeValue:
    """``F.adaptive_avg_pool2d`` where all windows have one size."""
    name = trace.label("adaptive_avg_pool2d", nn.AdaptiveAvgPool2d)
    size = trace.builder.map_shape(trace.map_operand(signal_value(trace, input))[0])[1:]
    wanted = _output_size(output_size, (size[0], size[1]))
    if wanted == size:
        return signal_value(trace, input)
    if all(w % n == 0 for n, w in zip(size, wanted, strict=True)):  # every window holds one position
        return _pooled(trace, input, name, lambda _: Upsample2d((wanted[0] // size[0], wanted[1] // size[1])))
    return _pooled(trace, input, name, lambda found: AvgPool2d(*_windows(found, wanted)))


def adaptive_max_pool2d(trace: Trace, input: Any, output_size: Any, return_indices: bool = False) -> NodeValue:
    """``F.adaptive_max_pool2d`` where all windows have one size."""
    if return_indices:
        raise GraphError("max pooling with indices is not supported")
    name = trace.label("adaptive_max_pool2d", nn.AdaptiveMaxPool2d)
    return _pooled(
        trace, input, name, lambda size: MaxPool2d(*_windows(size, _output_size(output_size, size))), affine=False
    )


def _output_size(wanted: Any, size: Pair) -> Pair:
    values = tuple(wanted) if isinstance(wanted, (tuple, list)) else (wanted, wanted)
    height, width = (n if w is None else int(w) for w, n in zip(values, size, strict=True))
    return height, width


def _windows(size: Pair, wanted: Pair) -> tuple[Pair, Pair]:
    """(kernel, stride) of equal windows that do not overlap."""
    if any(n % w for n, w in zip(size, wanted, strict=True)):
        raise GraphError(f"its output size {wanted} does not divide a map of {size}: windows would differ in size")
    kernel = (size[0] // wanted[0], size[1] // wanted[1])
    return kernel, kernel


def interpolate(
    trace: Trace,
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> NodeValue:
    """``F.interpolate``: nearest neighbour by whole factors."""

    def op(found: Pair) -> Upsample2d:
        if size is not None:
            factor = tuple(w / n for w, n in zip(pair(size), found, strict=True))
        else:
            given = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,)
            factor = tuple(map(float, given * 2 if len(given) == 1 else given))
        if mode not in ("nearest", "nearest-exact") or not all(f.is_integer() and f >= 1 for f in factor):
            raise GraphError("only nearest-neighbour upsampling by whole factors is supported")
        return Upsample2d((int(factor[0]), int(factor[1])))

    return _pooled(trace, input, trace.label("interpolate", nn.Upsample), op)


def _aten_upsample(
    trace: Trace, input: Any, output_size: Any = None, scale_factors: Any = None, scales_w: Any = None
) -> NodeValue:
    return interpolate(trace, input, output_size, None if output_size is not None else scale_factors)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max_pool2d": max_pool2d,
    "max_pool2d_with_indices": _aten_max_pool2d,
    "avg_pool1d": avg_pool1d,
    "avg_pool2d": avg_pool2d,
    "lp_pool2d": lp_pool2d,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "_adaptive_avg_pool2d": adaptive_avg_pool2d,
    "adaptive_max_pool2d": adaptive_max_pool2d,
    "interpolate": interpolate,
    "upsample_nearest2d": _aten_upsample,
}
