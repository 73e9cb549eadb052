"""One batch of frames through a network whose parameters are integers that have gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Node, Op
from snn2chip.kernels import DECAY_ONE
from snn2chip.ops import (
    LIF,
    Add,
    AvgPool2d,
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
    SumPool2d,
    Upsample2d,
)
from snn2chip.quantize.straight_through import floor_through, spike_count, trunc_through


class IntegerRun:
    """Steps through a prepared float graph with the `integers` of its integer graph; remembers potentials.

    Args: integers, by ``node/field``; others, the integer operations of neurons and integrators without learned
    thresholds; dtype, the float type in which the integers are exact.
    """

    def __init__(
        self, network: Graph, integers: Mapping[str, Tensor], others: Mapping[str, Op], dtype: torch.dtype
    ) -> None:
        self._network, self._integers, self._others, self._dtype = network, integers, others, dtype
        self._state: dict[str, Tensor] = {}

    def step(self, frame: Tensor) -> Tensor:
        """One step: frame ``[B, *shape]`` to the current (or spikes) of every class ``[B, classes]``."""
        values: dict[str, Tensor] = {}
        for node in self._network.nodes:
            rule = _RULES.get(type(node.op))
            if rule is None:
                raise GraphError(f"node {node.name!r} ({node.kind}) cannot be trained")
            values[node.name] = rule(self, node, [values[name] for name in node.inputs] or [frame])
        return values[self._network.output.name]

    def _conv2d(self, node: Node, inputs: list[Tensor]) -> Tensor:
        op: Any = node.op
        weight, bias = self._integers[f"{node.name}/weight"], self._integers.get(f"{node.name}/bias")
        return functional.conv2d(inputs[0], weight, bias, op.stride, op.padding, op.dilation, op.groups)

    def _linear(self, node: Node, inputs: list[Tensor]) -> Tensor:
        weight, bias = self._integers[f"{node.name}/weight"], self._integers.get(f"{node.name}/bias")
        return functional.linear(inputs[0], weight, bias)

    def _multi_level_if(self, node: Node, inputs: list[Tensor]) -> Tensor:
        op: Any = self._others.get(node.name, node.op)
        theta = self._integers.get(f"{node.name}/theta")
        theta = self._per_channel(torch.tensor(op.theta) if theta is None else theta, inputs[0])
        potential = inputs[0] + self._state[node.name] if node.name in self._state else inputs[0]
        spikes = spike_count(potential, theta, theta, op.levels)
        # The reset takes no part in the gradient, as usual for surrogates (Zenke and Vogels, 2021).
        self._state[node.name] = potential - (spikes * theta).detach()
        return spikes

    def _lif(self, node: Node, inputs: list[Tensor]) -> Tensor:
        op: Any = self._others[node.name]
        theta, step_size = (self._per_channel(torch.tensor(v), inputs[0]) for v in (op.theta, op.step_size))
        potential = inputs[0] * 2**op.fraction_bits
        if op.drive is not None:
            potential = potential + self._per_channel(torch.tensor(op.drive), inputs[0])
        before = self._state.get(node.name)
        if before is not None:
            potential = potential + self._leaked(before, op)
            if op.delayed:
                potential = _reset(op, potential, spike_count(before, theta, step_size, op.levels), step_size)
        spikes = spike_count(potential, theta, step_size, op.levels)
        kept = potential if op.delayed else _reset(op, potential, spikes, step_size)
        if op.floor is not None:
            kept = kept.maximum(self._per_channel(torch.tensor(op.floor), inputs[0]))
        self._state[node.name] = kept
        return spikes

    def _leaky_integrator(self, node: Node, inputs: list[Tensor]) -> Tensor:
        op: Any = self._others[node.name]
        before = self._state.get(node.name)
        value: Tensor = inputs[0] * 2**op.fraction_bits
        if before is not None:
            value = value + self._leaked(before, op)
        self._state[node.name] = value
        return value

    def _leaked(self, value: Tensor, op: LIF | LeakyIntegrator) -> Tensor:
        share = self._per_channel(torch.tensor(op.decay), value).double() / DECAY_ONE
        rounded = trunc_through if op.toward_zero else floor_through
        left: Tensor = rounded(value.double() * share).to(value.dtype)
        return left

    def _per_channel(self, values: Tensor, like: Tensor) -> Tensor:
        return values.to(self._dtype).reshape((1, -1) + (1,) * (like.ndim - 2))

    def _pool(self, node: Node, inputs: list[Tensor]) -> Tensor:
        """Sums over windows; an average's divisor is in the unit."""
        op: Any = node.op
        channels = inputs[0].shape[1]
        ones = torch.ones((channels, 1, *op.kernel), dtype=inputs[0].dtype, device=inputs[0].device)
        return functional.conv2d(inputs[0], ones, None, op.stride, op.padding, (1, 1), channels)

    def _max_pool(self, node: Node, inputs: list[Tensor]) -> Tensor:
        op: Any = node.op
        return functional.max_pool2d(inputs[0], op.kernel, op.stride, op.padding)

    def _upsample(self, node: Node, inputs: list[Tensor]) -> Tensor:
        op: Any = node.op
        return inputs[0].repeat_interleave(op.factor[0], 2).repeat_interleave(op.factor[1], 3)


def _reset(op: LIF, potential: Tensor, spikes: Tensor, step_size: Tensor) -> Tensor:
    if op.reset == "subtract":
        return potential - (spikes * step_size).detach()
    return torch.where(spikes > 0, torch.zeros_like(potential), potential) if op.reset == "zero" else potential


def _same(run: IntegerRun, node: Node, inputs: list[Tensor]) -> Tensor:
    return inputs[0]


_RULES: dict[type[Op], Callable[[IntegerRun, Node, list[Tensor]], Tensor]] = {
    Add: lambda run, node, inputs: reduce(torch.add, inputs),
    AvgPool2d: IntegerRun._pool,
    Concat: lambda run, node, inputs: torch.cat(inputs, dim=1),
    Conv2d: IntegerRun._conv2d,
    Flatten: lambda run, node, inputs: inputs[0].flatten(1),
    Input: _same,
    LIF: IntegerRun._lif,
    LeakyIntegrator: IntegerRun._leaky_integrator,
    Linear: IntegerRun._linear,
    MaxPool2d: IntegerRun._max_pool,
    MultiLevelIF: IntegerRun._multi_level_if,
    Readout: _same,
    Scale: _same,
    SumPool2d: IntegerRun._pool,
    Upsample2d: IntegerRun._upsample,
}
