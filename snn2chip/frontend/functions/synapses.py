"""Weighted sums, and the batch normalisation that is folded into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from snn2chip.errors import GraphError
from snn2chip.frontend.axes import LayoutError, described
from snn2chip.frontend.combination import materialised
from snn2chip.frontend.trace import Trace, array, check_pointwise
from snn2chip.frontend.values import Combination, Floored, InitialState, NodeValue, Opaque, StateValue
from snn2chip.graph import frozen
from snn2chip.ops import BatchNorm2d, Conv2d, Linear


def pair(value: Any) -> tuple[int, int]:
    """(vertical, horizontal) of a number or of a sequence of one or two."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    vertical, horizontal = values * 2 if len(values) == 1 else values
    return int(vertical), int(horizontal)


def signal_value(trace: Trace, x: Any) -> NodeValue:
    """`x` as what flows through the network; GraphError for constants, and for states that the graph lacks."""
    if isinstance(x, NodeValue):
        return x
    if isinstance(x, Combination):
        return materialised(trace, x)
    if isinstance(x, (StateValue, InitialState)):
        return trace.membrane(x)
    if isinstance(x, Opaque):
        raise x.error
    if isinstance(x, Floored):
        raise x.error()
    raise GraphError("it works on a constant" if isinstance(x, torch.Tensor) else "it works on what is no tensor")


def conv2d(
    trace: Trace,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> NodeValue:
    """``F.conv2d`` with constant weights."""
    value, weight, bias = signal_value(trace, input), parameter(weight, "weight"), parameter(bias, "bias")
    node, lead = trace.map_operand(value)
    _one_leading_axis(lead)
    check_pointwise(value.time, "a convolution", affine=True, offset=bias is not None)
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    geometry = (pair(stride), _padding(padding, kernel, pair(stride), pair(dilation)), pair(dilation), int(groups))
    name = trace.label("conv2d", nn.Conv2d)
    key = (name, "conv2d", node, trace.digest(weight), trace.digest(bias), geometry)
    op = trace.once(key, lambda: trace.builder.add(name, Conv2d(array(weight), _optional(bias), *geometry), (node,)))
    return trace.result(op, lead, value.time)


def _padding(
    padding: Any, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int]:
    if not isinstance(padding, str):
        return pair(padding)
    if padding == "valid":
        return 0, 0
    total = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    if stride != (1, 1) or any(size % 2 for size in total):
        raise GraphError(f"padding {padding!r} differs between the sides of a kernel of {kernel}: give it as numbers")
    return total[0] // 2, total[1] // 2


def _aten_convolution(
    trace: Trace,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> NodeValue:
    if transposed:
        raise GraphError("a transposed convolution is not supported")
    return conv2d(trace, input, weight, bias, stride, padding, dilation, groups)


def linear(trace: Trace, input: Any, weight: Any, bias: Any = None) -> NodeValue:
    """``F.linear`` with constant weights, whatever axes lead."""
    value, weight, bias = signal_value(trace, input), parameter(weight, "weight"), parameter(bias, "bias")
    check_pointwise(value.time, "a linear layer", affine=True, offset=bias is not None)
    node, lead = trace.flat_operand(value)
    name = trace.label("linear", nn.Linear)
    key = (name, "linear", node, trace.digest(weight), trace.digest(bias))
    op = trace.once(key, lambda: trace.builder.add(name, Linear(array(weight), _optional(bias)), (node,)))
    return trace.result(op, lead, value.time)


def matmul(trace: Trace, input: Any, other: Any) -> NodeValue:
    """``x @ W`` with a constant matrix W."""
    if isinstance(other, torch.Tensor) and other.ndim == 2:
        return linear(trace, input, other.t())
    if isinstance(input, torch.Tensor) or isinstance(other, torch.Tensor):
        raise GraphError(
            "a matrix product is supported as x @ W, of [..., features] with a constant matrix W behind it"
        )
    raise GraphError("a product of two tensors that both depend on the input is not supported")


def addmm(trace: Trace, bias: Any, input: Any, other: Any) -> NodeValue:
    """``bias + x @ W``, what a linear layer becomes in an exported program."""
    return linear(trace, input, parameter(other, "matrix").t(), bias)


def batch_norm(
    trace: Trace,
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> NodeValue:
    """``F.batch_norm`` with the statistics of training."""
    if training and running_mean is not None:
        raise GraphError(
            "batch normalisation is in training mode, where it depends on the batch: leave that to .eval()"
        )
    if training or running_mean is None or running_var is None:
        raise GraphError("batch normalisation keeps no running statistics: train with track_running_stats=True")
    mean, variance = array(running_mean), array(running_var)
    gamma = np.ones_like(mean) if weight is None else array(weight)
    beta = np.zeros_like(mean) if bias is None else array(bias)
    if not (variance + eps > 0).all():
        raise GraphError("its running_var is not positive: the training diverged, train again")
    gain = gamma / np.sqrt(variance + eps)
    return affine(trace, input, gain, beta - mean * gain, trace.label("batch_norm", _BatchNorm))


def _aten_batch_norm(
    trace: Trace,
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> NodeValue:
    return batch_norm(trace, input, running_mean, running_var, weight, bias, training, momentum, eps)


def _aten_inference_batch_norm(
    trace: Trace,
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float,
    eps: float,
) -> tuple[NodeValue, None, None]:
    return batch_norm(trace, input, running_mean, running_var, weight, bias, False, momentum, eps), None, None


def affine(trace: Trace, input: Any, gain: Any, offset: Any, name: str) -> NodeValue:
    """``gain[c] * x[c] + offset[c]``."""
    value = signal_value(trace, input)
    channels = (0,) if trace.builder.shape(value.node)[0] > 1 else ()
    if len(value.axes) < 2 or value.axes[0] == channels or value.axes[1] != channels:
        raise LayoutError(f"it takes [B, channels, ...], not {described(value.axes)}")
    check_pointwise(value.time, "a batch normalisation", affine=True, offset=bool(np.any(offset)))
    op = BatchNorm2d(frozen(gain, np.float64), frozen(offset, np.float64))
    node = trace.emit(name, op, (value.node,))
    return NodeValue(node, value.axes, value.time)


def parameter(value: Any, name: str) -> Any:
    """A weight, which has to be a constant."""
    if value is None or isinstance(value, torch.Tensor):
        return value
    raise GraphError(f"its {name} depends on the input of the network: weights must be constants")


def _optional(bias: Any) -> Any:
    return None if bias is None else array(bias)


def _one_leading_axis(lead: Any) -> None:
    if len(lead) != 1:
        raise LayoutError("it takes [B, channels, height, width]: flatten time into the batch before it")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "conv2d": conv2d,
    "convolution": _aten_convolution,
    "linear": linear,
    "matmul": matmul,
    "__matmul__": matmul,
    "mm": matmul,
    "addmm": addmm,
    "batch_norm": batch_norm,
    "aten.batch_norm": _aten_batch_norm,
    "aten._native_batch_norm_legit_no_training": _aten_inference_batch_norm,
}
