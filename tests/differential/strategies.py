"""Hypothesis strategies for random legal integer networks and their inputs.

@given(cases(max_steps=1, max_levels=4))
def test_it(case: Case) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from snn2chip.graph import Array, Graph
from snn2chip.ops import Input
from tests.differential.builder import INT32_LIMIT, LARGEST_MAP, MOST_CHANNELS, Builder, Limits, Value, Window

#: No block makes spike counts so many times as large as those that enter it.
HEADROOM = 64

#: Limits that let every operation be drawn, as the defaults do.
EVERY_OP: dict[str, Any] = {"allow_leaky": True, "allow_max_pool": True, "allow_concat": True}
#: Limits that let whatever has a meaning be drawn, also what some form refuses.
EVERYTHING: dict[str, Any] = {**EVERY_OP, "allow_fine": True, "allow_max_of_currents": True}

Block = Callable[[Builder, Value], Value]


@dataclass(frozen=True)
class Case:
    """A legal integer graph and uint8 inputs for it: ``[B, *shape]`` or ``[B, T, *shape]``."""

    graph: Graph
    inputs: Array


@st.composite
def graphs(draw: st.DrawFn, /, **limits: Any) -> Graph:
    """A legal integer graph; the keywords are those of `Limits`."""
    builder = Builder(draw, Limits(**limits))
    value = builder.input()
    if len(value.shape) == 3:
        for _ in range(builder.number(0, 3)):
            value = _map_block(builder, value)
        if builder.limits.allow_currents and builder.number(0, 7) == 7:
            # A fully convolutional ending: the last current is flattened and read.
            current = builder.any_conv(value, _readout_budget(builder))
            builder.readout(builder.flatten(current))
            return builder.graph()
        value = builder.flatten(_pooled(builder, value))
    for _ in range(builder.number(0, 1)):
        value = _flat_block(builder, value)
    builder.readout(_logits(builder, value))
    return builder.graph()


@st.composite
def inputs_for(draw: st.DrawFn, /, graph: Graph, max_batch: int = 3) -> Array:
    """Random, extreme or sparse inputs: one image a sample, or one frame a step."""
    op = graph.input.op
    assert isinstance(op, Input)
    steps = (graph.steps,) if draw(st.booleans()) else ()
    shape = (draw(st.integers(1, max_batch)), *steps, *op.shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    anything = rng.integers(0, op.largest + 1, shape)
    styles = {
        "anything": anything,
        "sparse": anything * (rng.random(shape) < 0.2),
        "largest": np.full(shape, op.largest),
        "zero": np.zeros(shape),
    }
    chosen: Array = styles[draw(st.sampled_from(("anything", "anything", *styles)))].astype(np.uint8)
    return chosen


@st.composite
def cases(draw: st.DrawFn, /, max_batch: int = 3, **limits: Any) -> Case:
    """A graph and inputs for it; the other keywords are those of `Limits`."""
    graph = draw(graphs(**limits))
    return Case(graph, draw(inputs_for(graph, max_batch)))


def _map_block(builder: Builder, source: Value) -> Value:
    blocks: list[Block] = [_conv_block, _conv_block, _residual_block, _residual_block, _spike_pool, _barrier]
    if builder.limits.allow_currents:
        blocks += [_two_branches, _current_pool, _membrane_shortcut]
    if builder.limits.allow_sew:
        blocks.append(_doubled)
    if builder.limits.allow_max_pool:
        blocks += [Builder.max_pool, Builder.max_pool]
    if builder.limits.allow_max_of_currents:
        blocks += [_largest_current]
    if builder.limits.allow_concat:
        blocks += [_joined, _joined]
    if source.size <= LARGEST_MAP:
        blocks += [Builder.upsample, Builder.upsample]
    chosen: Block = builder.pick(*blocks)
    return chosen(builder, builder.calm(source, HEADROOM, builder.budget))


def _conv_block(builder: Builder, source: Value) -> Value:
    return builder.neuron(builder.any_conv(source, builder.budget))


def _barrier(builder: Builder, source: Value) -> Value:
    return builder.neuron(source)


def _residual_block(builder: Builder, source: Value, nested: bool = False) -> Value:
    """A sum of spikes: main path plus an identity or a convolution with its neuron; then a barrier, or none (SEW)."""
    if nested or builder.flip():
        shortcut = source
        main = builder.neuron(_same_conv(builder, source, source.shape[0]))
    else:
        outputs, window = builder.number(1, MOST_CHANNELS), builder.window(source.shape)
        main = builder.neuron(builder.conv(source, window, outputs, 1, builder.budget))
        shortcut = builder.neuron(builder.conv(source, window, outputs, 1, builder.budget))
    if builder.flip():
        inner = main if nested else _residual_block(builder, main, nested=True) if builder.flip() else main
        main = builder.neuron(_same_conv(builder, inner, shortcut.shape[0]))
    return _summed(builder, main, shortcut)


def _summed(builder: Builder, main: Value, shortcut: Value) -> Value:
    total = builder.add(main, shortcut) if builder.flip() else builder.add(shortcut, main)
    barrier = not builder.limits.allow_sew or builder.flip()
    return builder.neuron(total) if barrier else total


def _doubled(builder: Builder, source: Value) -> Value:
    """One value read twice, or thrice, by one sum."""
    return builder.add(*[source] * builder.number(2, 3))


def _same_conv(builder: Builder, source: Value, outputs: int, share: int = 1) -> Value:
    return builder.conv(source, builder.centred(), outputs, 1, builder.budget // share)


def _two_branches(builder: Builder, source: Value) -> Value:
    """Two convolutions that meet before one neuron."""
    outputs, window = builder.number(1, MOST_CHANNELS), builder.window(source.shape)
    left, right = (builder.conv(source, window, outputs, 1, builder.budget // 2) for _ in range(2))
    return builder.neuron(builder.add(left, right))


def _membrane_shortcut(builder: Builder, source: Value) -> Value:
    """A current that enters a neuron and, around the next convolution, is added to that one's current."""
    current = builder.any_conv(source, builder.budget // 2)
    inner = _same_conv(builder, builder.neuron(current), current.shape[0], share=2)
    return builder.neuron(builder.add(current, inner))


def _joined(builder: Builder, source: Value) -> Value:
    """Branches side by side: spikes of each, the source itself among them, or currents before one neuron."""
    window, branches = builder.centred(), builder.number(1, 2)
    currents = [builder.conv(source, window, builder.number(1, 2), 1, builder.budget) for _ in range(branches)]
    if branches == 2 and builder.limits.allow_currents and builder.flip():
        return builder.neuron(builder.concat(*currents))
    return builder.concat(*(builder.neuron(current) for current in currents), source)


def _current_pool(builder: Builder, source: Value) -> Value:
    """A pool, of currents, between convolution and neuron."""
    current = builder.any_conv(source, builder.budget // 16)
    return builder.neuron(builder.sum_pool(current, builder.window(current.shape)))


def _largest_current(builder: Builder, source: Value) -> Value:
    return builder.neuron(builder.max_pool(builder.any_conv(source, builder.budget)))


def _spike_pool(builder: Builder, source: Value) -> Value:
    return builder.sum_pool(source, builder.window(source.shape))


def _pooled(builder: Builder, source: Value) -> Value:
    """Sometimes a global pool before the last layers."""
    if not builder.flip():
        return source
    size = (source.shape[1], source.shape[2])
    return builder.sum_pool(builder.calm(source, source.size, builder.budget), Window(size, size))


def _flat_block(builder: Builder, source: Value) -> Value:
    """A hidden fully connected layer, some with a residual sum around them."""
    source = builder.calm(source, HEADROOM, builder.budget)
    if source.size > 16 or builder.flip():
        return builder.neuron(builder.linear(source, builder.number(1, 6), builder.budget))
    return _summed(builder, builder.neuron(builder.linear(source, source.size, builder.budget)), source)


def _logits(builder: Builder, source: Value) -> Value:
    """The current of a linear layer or two; with other neurons also their spikes, or a membrane that is read."""
    outputs, budget = builder.number(1, 5), _readout_budget(builder)
    if builder.limits.allow_leaky or builder.limits.only_hard_reset:
        ending = builder.pick("current", "current", "spikes", "membrane")
        if ending == "spikes":
            return builder.neuron(builder.linear(source, outputs, builder.budget))
        if ending == "membrane" and not builder.limits.only_hard_reset:
            return builder.integrator(builder.linear(source, outputs, builder.budget))
    if not builder.limits.allow_currents or builder.number(0, 5) < 5:
        return builder.linear(source, outputs, budget)
    return builder.add(*(builder.linear(source, outputs, budget // 2) for _ in range(2)))


def _readout_budget(builder: Builder) -> int:
    """What may be summed over the T steps in 32 bits."""
    return INT32_LIMIT // builder.steps
