"""Real and rounded operations on whole calibration sets, by PyTorch, layer by layer instead of step by step.

Values are float32 ``[T, B, ...]``. Nothing here is proven exact: it serves to measure errors and to choose numbers.
What is exported is run by `snn2chip.engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Node, Op
from snn2chip.interpreter import as_frames
from snn2chip.kernels import DECAY_ONE
from snn2chip.ops import (
    LIF,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    Input,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    Scale,
    SpikingNeuron,
    SumPool2d,
    Upsample2d,
)

#: In float32, a sum of levels that have no exact value can land this much of a level below the level it means.
_GUARD = 2.0**-16
#: Samples that one operation works on at once, at most; and values, about.
_SAMPLES = 64

#: Values of one layer that are kept at once, over all steps and samples: 256 MiB of float32.
_MOST_VALUES = 2**26

Values = tuple[Tensor, ...]


def fitting_samples(graph: Graph, samples: int) -> int:
    """How many of so many samples fit into memory, over all T steps of the largest layer; at least one."""
    largest = max(signal.size for signal in graph.signals.values()) * graph.steps
    return max(1, min(samples, _MOST_VALUES // largest))


def frames(graph: Graph, inputs: Array) -> Tensor:
    """Inputs as ``[T, B, ...]`` float32: a view with no copies where one image is shown at every step."""
    stacked = as_frames(graph, inputs)
    if inputs.shape[1:] == graph.signals[graph.input.name].shape:
        return torch.from_numpy(inputs.astype(np.float32)).expand(graph.steps, *inputs.shape)
    return torch.from_numpy(np.ascontiguousarray(stacked.swapaxes(0, 1)).astype(np.float32))


def run(graph: Graph, inputs: Array) -> Iterator[tuple[Node, Tensor]]:
    """Every node with its output ``[T, B, ...]``, in graph order; what nobody reads any more is forgotten.

    Args: inputs, uint8 as for `snn2chip.interpreter.run`. Raises: UserError where they do not fit the graph.
    """
    values: dict[str, Tensor] = {}
    unread = {name: len(readers) for name, readers in graph.consumers.items()}
    for node in graph.nodes:
        sources = tuple(values[name] for name in node.inputs)
        values[node.name] = output(node.op, sources) if sources else frames(graph, inputs)
        yield node, values[node.name]
        forget(node, values, unread)


def forget(node: Node, values: dict[str, Tensor], unread: dict[str, int]) -> None:
    """Let go of what `node` was the last to read."""
    for name in node.inputs:
        unread[name] -= 1
        if not unread[name]:
            del values[name]


def output(op: Op, inputs: Values) -> Tensor:
    """What an operation, real or rounded, makes of inputs ``[T, B, ...]`` over all T steps of all samples."""
    rule = _RULES.get(type(op))
    if rule is None:
        raise GraphError(f"{type(op).__name__} has no calibration rule: this version cannot quantize it")
    with torch.inference_mode():
        if isinstance(op, (SpikingNeuron, LeakyIntegrator)):
            return rule(op, inputs)
        if all(x.stride(0) == 0 for x in inputs):  # the same at every step
            once = rule(op, tuple(x[:1] for x in inputs))
            return once.expand(len(inputs[0]), *once.shape[1:])
        return rule(op, inputs)


def _per_sample(rule: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Values], Tensor]:
    """A rule for batches ``[b, ...]`` as a rule for ``[T, B, ...]``, in pieces that fit into caches."""

    def stacked(op: Any, inputs: Values) -> Tensor:
        (x,) = inputs
        pieces = [rule(op, piece) for piece in torch.split(x.reshape(-1, *x.shape[2:]), _SAMPLES)]
        merged = torch.cat(pieces)
        return merged.reshape(*x.shape[:2], *merged.shape[1:])

    return stacked


def _tensor(values: Array | None) -> Tensor | None:
    return None if values is None else torch.from_numpy(values.astype(np.float32))


def _conv2d(op: Conv2d, x: Tensor) -> Tensor:
    weight = torch.from_numpy(op.weight.astype(np.float32))
    return functional.conv2d(x, weight, _tensor(op.bias), op.stride, op.padding, op.dilation, op.groups)


def _linear(op: Linear, x: Tensor) -> Tensor:
    return functional.linear(x, torch.from_numpy(op.weight.astype(np.float32)), _tensor(op.bias))


def _pool(op: SumPool2d | AvgPool2d, x: Tensor) -> Tensor:
    vertical, horizontal = op.padding
    padded = functional.pad(x, (horizontal, horizontal, vertical, vertical))
    divisor = 1 if isinstance(op, SumPool2d) else None
    return functional.avg_pool2d(padded, op.kernel, op.stride, divisor_override=divisor)


def _max_pool(op: MaxPool2d, x: Tensor) -> Tensor:
    return functional.max_pool2d(x, op.kernel, op.stride, op.padding)


def _upsample(op: Upsample2d, x: Tensor) -> Tensor:
    return x.repeat_interleave(op.factor[0], 2).repeat_interleave(op.factor[1], 3)


def _batch_norm(op: BatchNorm2d, x: Tensor) -> Tensor:
    return x * _channels(op.gain, x) + _channels(op.offset, x)


def _channels(values: Array, x: Tensor) -> Tensor:
    """``[C]`` that broadcasts over ``[B, C, ...]``."""
    shaped = values.astype(np.float32).reshape((1, -1) + (1,) * (x.ndim - 2))
    return torch.from_numpy(shaped)


def _multi_level_if(op: MultiLevelIF, inputs: Values) -> Tensor:
    (current,) = inputs
    theta = _channels(op.theta, current[0])
    # Integers of 24 bits have quotients that round to the right side; real levels have no exact value.
    guard = _GUARD if op.theta.dtype.kind == "f" else 0.0
    return _over_time(
        current, lambda v: (v / theta).add_(guard).floor_().clamp_(0, op.levels), lambda v, z: v - z * theta
    )


def _over_time(current: Tensor, count: Callable[[Tensor], Tensor], reset: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    spikes: list[Tensor] = []
    potential: Tensor | None = None
    for step in current:
        v = step if potential is None else potential + step
        spikes.append(count(v))
        if len(spikes) < len(current):
            potential = reset(v, spikes[-1])
    return torch.stack(spikes)


def _lif(op: LIF, inputs: Values) -> Tensor:
    (current,) = inputs
    theta, step_size = (_channels(values, current[0]) for values in (op.theta, op.step_size))
    drive = torch.tensor(0.0) if op.drive is None else _channels(op.drive, current[0])
    floor = torch.tensor(-torch.inf) if op.floor is None else _channels(op.floor, current[0])

    def count(v: Tensor) -> Tensor:
        reached = (v - theta) / step_size
        whole = reached.ceil() if op.strict else reached.floor() + 1
        return whole.clamp_(0, op.levels)

    def reset(v: Tensor, z: Tensor) -> Tensor:
        return v - z * step_size if op.reset == "subtract" else torch.where(z > 0, 0.0, v)

    spikes: list[Tensor] = []
    u, before = torch.zeros_like(current[0]), torch.zeros_like(current[0])
    for step in current:
        v = _leaked(u, op) + step * 2**op.fraction_bits + drive
        if op.delayed and op.reset != "none":
            v = reset(v, before)
        spikes.append(count(v))
        u = torch.maximum(v if op.delayed or op.reset == "none" else reset(v, spikes[-1]), floor)
        before = count(u)
    return torch.stack(spikes)


def _leaked(values: Tensor, op: LIF | LeakyIntegrator) -> Tensor:
    decay = _channels(op.decay, values)
    if op.decay.dtype.kind == "f":
        real: Tensor = values * decay
        return real
    left = values.double() * decay / DECAY_ONE
    whole: Tensor = left.trunc() if op.toward_zero else left.floor()
    return whole.float()


def _leaky_integrator(op: LeakyIntegrator, inputs: Values) -> Tensor:
    (current,) = inputs
    values = [current[0] * 2**op.fraction_bits]
    for step in current[1:]:
        values.append(_leaked(values[-1], op) + step * 2**op.fraction_bits)
    return torch.stack(values)


def _scale(op: Scale, inputs: Values) -> Tensor:
    factor = np.asarray(op.factor, dtype=np.float32).reshape(-1)
    return inputs[0] * _channels(factor, inputs[0][0])


def _same(op: Op, inputs: Values) -> Tensor:
    return inputs[0]


_RULES: dict[type[Op], Callable[[Any, Values], Tensor]] = {
    Add: lambda op, inputs: reduce(torch.add, inputs),
    AvgPool2d: _per_sample(_pool),
    BatchNorm2d: _per_sample(_batch_norm),
    Concat: lambda op, inputs: torch.cat(inputs, dim=2),
    Conv2d: _per_sample(_conv2d),
    Flatten: lambda op, inputs: inputs[0].flatten(2),
    Input: _same,
    LIF: _lif,
    LeakyIntegrator: _leaky_integrator,
    Linear: _per_sample(_linear),
    MaxPool2d: _per_sample(_max_pool),
    MultiLevelIF: _multi_level_if,
    Readout: _same,
    Scale: _scale,
    SumPool2d: _per_sample(_pool),
    Upsample2d: _per_sample(_upsample),
}
