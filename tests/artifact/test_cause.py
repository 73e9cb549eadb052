"""What a neuron saw: the listed values and weights make up its current, on every path that leads to a neuron."""

from __future__ import annotations

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.certify.cause import explain
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.interpreter import Recorder
from snn2chip.ops import (
    Add,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    SpikingNeuron,
    SumPool2d,
    Upsample2d,
)

STEPS = 3


def network() -> Graph:
    """Every operation on the way to some neuron: groups, dilation, strides, sums, pools, a concatenation."""
    rng = np.random.default_rng(7)

    def conv(outputs: int, inputs: int, kernel: tuple[int, int], bias: bool, **how: object) -> Conv2d:
        weight = frozen(rng.integers(-4, 5, (outputs, inputs, *kernel)), np.int8)
        return Conv2d(weight, frozen(rng.integers(-9, 9, outputs), np.int32) if bias else None, **how)  # type: ignore[arg-type]  # attributes as they are

    def neuron(channels: int, theta: int) -> MultiLevelIF:
        return MultiLevelIF(frozen(theta + np.arange(channels), np.int32), 3)

    nodes = (
        Node("x", Input((2, 5, 4), 3)),
        Node("wide", Upsample2d((2, 1)), ("x",)),
        Node("conv1", conv(4, 1, (2, 3), True, padding=(1, 1), stride=(2, 1), groups=2), ("wide",)),
        Node("if1", neuron(4, 5), ("conv1",)),
        Node("pool", SumPool2d((2, 2), (1, 1), (1, 0)), ("if1",)),
        Node("conv2", conv(2, 4, (2, 1), True, dilation=(2, 1)), ("pool",)),
        Node("max", MaxPool2d((2, 2), (1, 1)), ("if1",)),
        Node("conv3", conv(2, 4, (1, 1), True), ("max",)),
        Node("sum", Add(), ("conv2", "conv3")),
        Node("if2", neuron(2, 9), ("sum",)),
        Node("both", Concat(), ("max", "if2")),
        Node("conv4", conv(3, 6, (1, 1), False), ("both",)),
        Node("if3", neuron(3, 4), ("conv4",)),
        Node("flat", Flatten(), ("if3",)),
        Node("head", Linear(frozen(rng.integers(-9, 10, (4, 45)), np.int8), frozen([1, 2, 3, 4], np.int32)), ("flat",)),
        Node("out", Readout(), ("head",)),
    )
    return Graph(nodes, STEPS)


GRAPH = network()
FRAMES = np.random.default_rng(2).integers(0, 4, (STEPS, 2, 5, 4)).astype(np.uint8)
RECORDER = Recorder()
interpreter.run(GRAPH, FRAMES[None], [RECORDER])
TENSORS = {name: tensor[0] for name, tensor in RECORDER.tensors.items()}


def potential_before(layer: str, index: tuple[int, ...], step: int) -> int:
    """By the equation of the multi-level neuron, from the recorded currents."""
    node, u = GRAPH[layer], 0
    assert isinstance(node.op, MultiLevelIF)
    theta = int(node.op.theta[index[0]])
    for earlier in range(step):
        v = u + int(TENSORS[node.inputs[0]][(earlier, *index)])
        u = v - max(0, min(node.op.levels, v // theta)) * theta
    return u


@pytest.mark.parametrize("layer", ["if1", "if2", "if3", "out"])
def test_the_listed_inputs_make_up_the_current(layer: str) -> None:
    node = GRAPH[layer]
    current: Array = TENSORS[node.inputs[0]]
    listed = 0
    for step in range(STEPS):
        for index in np.ndindex(current.shape[1:]):
            found = explain(GRAPH, layer, FRAMES, step, tuple(index))
            assert found.more == 0
            assert found.current == current[(step, *index)]
            assert found.current == found.bias + sum(part.value * part.weight for part in found.inputs)
            for part in found.inputs:
                assert part.value == TENSORS[part.layer][(step, *part.index)] != 0
            listed += len(found.inputs)
            if isinstance(node.op, SpikingNeuron):
                assert found.potential == potential_before(layer, tuple(index), step)
                assert found.parameters == {"theta": node.op.theta[index[0]], "levels": 3}
            else:
                assert found.potential is None
    assert listed > 20


def test_what_is_no_weighted_sum_stands_for_itself() -> None:
    assert {part.layer for part in explain(GRAPH, "if2", FRAMES, 1, (0, 1, 1)).inputs} == {"if1", "max"}


def test_a_neuron_with_many_inputs_lists_the_strongest() -> None:
    linear = Linear(frozen(np.arange(1, 101)[None], np.int8))
    nodes = (Node("x", Input((100,), 2)), Node("fc", linear, ("x",)), Node("out", Readout(), ("fc",)))
    frames = np.ones((1, 100), np.uint8)
    frames[0, :10] = 0
    found = explain(Graph(nodes, 1), "out", frames, 0, (0,))
    assert [part.weight for part in found.inputs] == list(range(100, 36, -1))
    assert (found.more, found.silent) == (26, 10)
    assert found.current == sum(range(11, 101))
