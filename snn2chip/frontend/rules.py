"""How each PyTorch module becomes operations: one rule a class. A new layer is one rule and one line in `RULES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from snn2chip import nn as networks
from snn2chip.errors import GraphError
from snn2chip.frontend.builder import Builder
from snn2chip.graph import LARGEST_STEPS, Array, frozen
from snn2chip.ops import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MultiLevelIF,
    Readout,
    Scale,
    Upsample2d,
)

#: (builder, path of the module, module, names of its inputs) to the name of its output.
Rule = Callable[[Builder, str, Any, tuple[str, ...]], str]


def rule_for(module: nn.Module) -> Rule | None:
    """The rule of the module's class, or of its nearest base class that has one; None where there is none.

    A subclass with a forward of its own is another layer, whatever it derives from.
    """
    kind = next((kind for kind in type(module).__mro__ if kind in RULES), None)
    if kind is None or type(module).forward is not kind.forward or "forward" in vars(module):
        return None
    return RULES[kind]


def _array(tensor: Any) -> Array:
    return frozen(tensor.detach().cpu().double().numpy(), np.float64)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, (tuple, list)) else (int(value), int(value))


def _conv(builder: Builder, name: str, module: nn.Conv2d, sources: tuple[str, ...]) -> str:
    if module.padding_mode != "zeros":
        raise GraphError(f"padding_mode is {module.padding_mode!r}: only zeros are supported")
    if isinstance(module.padding, str):
        raise GraphError(f"padding is {module.padding!r}: give it as numbers")
    bias = None if module.bias is None else _array(module.bias)
    geometry = (_pair(module.stride), _pair(module.padding), _pair(module.dilation), module.groups)
    return builder.add(name, Conv2d(_array(module.weight), bias, *geometry), sources)


def _linear(builder: Builder, name: str, module: nn.Linear, sources: tuple[str, ...]) -> str:
    bias = None if module.bias is None else _array(module.bias)
    return builder.add(name, Linear(_array(module.weight), bias), sources)


def _batch_norm(builder: Builder, name: str, module: nn.BatchNorm2d, sources: tuple[str, ...]) -> str:
    if module.running_mean is None or module.running_var is None:
        raise GraphError("it keeps no running statistics: train with track_running_stats=True")
    mean, variance = _array(module.running_mean), _array(module.running_var)
    gamma = np.ones_like(mean) if module.weight is None else _array(module.weight)
    beta = np.zeros_like(mean) if module.bias is None else _array(module.bias)
    gain = gamma / np.sqrt(variance + module.eps)
    return builder.add(name, BatchNorm2d(frozen(gain), frozen(beta - mean * gain)), sources)


def _neuron(builder: Builder, name: str, module: networks.MultiLevelIF, sources: tuple[str, ...]) -> str:
    if module.steps != builder.steps:
        raise GraphError(f"it runs {module.steps} steps, but the input is encoded over {builder.steps}")
    level = module.threshold / module.levels
    theta = frozen(np.full(builder.shape(sources[0])[0], level))
    counts = builder.add(name, MultiLevelIF(theta, module.levels), sources)
    # Our module emits real values z * Vth / N; an operation's spikes are counts z.
    return builder.add(f"{name}.value", Scale(level), (counts,))


def _encoding(builder: Builder, name: str, module: networks.DirectEncoding, sources: tuple[str, ...]) -> str:
    if sources != (builder.first,):
        raise GraphError("it must read the input of the network")
    if builder.read(builder.first) and builder.steps != module.steps:
        raise GraphError(f"it shows the input over {module.steps} steps, but it was read over {builder.steps} before")
    if not isinstance(module.scale, (int, float)):
        raise GraphError(f"scale is {module.scale!r}: it must be a number")
    if type(module.steps) is not int or not 1 <= module.steps <= LARGEST_STEPS:
        raise GraphError(f"steps is {module.steps}: T must lie in 1..{LARGEST_STEPS}")
    builder.steps = module.steps
    return builder.add(name, Scale(float(module.scale)), sources)


def _adaptive_pool(builder: Builder, name: str, module: nn.AdaptiveAvgPool2d, sources: tuple[str, ...]) -> str:
    size = module.output_size
    if (size if isinstance(size, tuple) else (size, size)) != (1, 1):
        raise GraphError(f"output_size is {size}: only the global average (1) is supported")
    _, height, width = builder.map_shape(sources[0])
    return builder.add(name, AvgPool2d((height, width), (height, width)), sources)


def _avg_pool(builder: Builder, name: str, module: nn.AvgPool2d, sources: tuple[str, ...]) -> str:
    kernel, padding = _pair(module.kernel_size), _pair(module.padding)
    if module.divisor_override is not None or (padding != (0, 0) and not module.count_include_pad):
        raise GraphError("its divisor differs between positions: use count_include_pad=True and no divisor_override")
    if module.ceil_mode:
        raise GraphError("ceil_mode is on: windows would differ in size")
    return builder.add(name, AvgPool2d(kernel, _pair(module.stride), padding), sources)


def _upsample(builder: Builder, name: str, module: nn.Upsample, sources: tuple[str, ...]) -> str:
    factor = module.scale_factor
    if module.mode != "nearest" or factor is None:
        raise GraphError("only nearest-neighbour upsampling by a whole scale_factor is supported")
    pair = tuple(float(f) for f in factor) if isinstance(factor, tuple) else (float(factor), float(factor))
    if not all(f.is_integer() for f in pair):
        raise GraphError(f"scale_factor is {factor}: only whole numbers are supported")
    return builder.add(name, Upsample2d((int(pair[0]), int(pair[1]))), sources)


def _flatten(builder: Builder, name: str, module: nn.Flatten, sources: tuple[str, ...]) -> str:
    if module.start_dim != 1 or module.end_dim not in (-1, 3):
        raise GraphError(f"it flattens dimensions {module.start_dim}..{module.end_dim}: only 1..-1 is supported")
    return builder.add(name, Flatten(), sources)


def _readout(builder: Builder, name: str, module: networks.Readout, sources: tuple[str, ...]) -> str:
    if module.steps != builder.steps:
        raise GraphError(f"it reads {module.steps} steps, but the input is encoded over {builder.steps}")
    return builder.add(name, Readout(), sources)


def _nothing(builder: Builder, name: str, module: nn.Module, sources: tuple[str, ...]) -> str:
    return sources[0]


RULES: dict[type[nn.Module], Rule] = {
    nn.Conv2d: _conv,
    nn.Linear: _linear,
    nn.BatchNorm2d: _batch_norm,
    nn.AdaptiveAvgPool2d: _adaptive_pool,
    nn.AvgPool2d: _avg_pool,
    nn.Upsample: _upsample,
    nn.Flatten: _flatten,
    nn.Identity: _nothing,
    nn.Dropout: _nothing,
    networks.DirectEncoding: _encoding,
    networks.MultiLevelIF: _neuron,
    networks.Readout: _readout,
}
