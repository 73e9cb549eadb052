"""The torch executor is held to the interpreter, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, seed, settings

from snn2chip import engine, interpreter, spec
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d
from tests.differential.comparison import assert_same, executed
from tests.differential.strategies import Case, cases


@settings(max_examples=600)
@seed(600)
@given(cases(max_batch=5))
def test_engine_equals_interpreter(case: Case) -> None:
    expected = executed(interpreter.run, case)
    found = executed(engine.run, case, batch_size=2)
    assert set(found) == set(expected)
    assert_same(expected, found, case.graph)


def _integers(rng: np.random.Generator, bound: int, *shape: int, dtype: type = np.int8) -> Array:
    return frozen(rng.integers(-bound, bound + 1, shape), dtype)


def _wide(steps: int, channels: int) -> Graph:
    """Wide enough that PyTorch's fast convolutions come in; SEW, with overlapping pools and large thresholds."""
    rng = np.random.default_rng(channels)

    def conv(inputs: int) -> Conv2d:
        weight = _integers(rng, 127, channels, inputs, 3, 3)
        return Conv2d(weight, _integers(rng, 9999, channels, dtype=np.int32), padding=(1, 1))

    def neuron(levels: int) -> MultiLevelIF:
        return MultiLevelIF(frozen(rng.integers(1, 9000, channels), np.int32), levels)

    nodes = (
        Node("x", Input((3, 12, 12))),
        Node("conv1", conv(3), ("x",)),
        Node("spikes1", neuron(15), ("conv1",)),
        Node("conv2", conv(channels), ("spikes1",)),
        Node("spikes2", neuron(15), ("conv2",)),
        Node("sum", Add(), ("spikes2", "spikes1")),
        Node("conv3", conv(channels), ("sum",)),
        Node("spikes3", neuron(4), ("conv3",)),
        Node("pool", SumPool2d((3, 3), (2, 2), (1, 1)), ("spikes3",)),
        Node("flat", Flatten(), ("pool",)),
        Node("fc", Linear(_integers(rng, 127, 10, channels * 36)), ("flat",)),
        Node("logits", Readout(), ("fc",)),
    )
    return Graph(nodes, steps)


@pytest.mark.parametrize(("steps", "channels", "batch"), [(1, 64, 33), (4, 32, 17), (3, 16, 1)])
def test_engine_equals_interpreter_on_wide_layers(steps: int, channels: int, batch: int) -> None:
    graph = _wide(steps, channels)
    spec.check_integer(graph)
    case = Case(graph, np.random.default_rng(1).integers(0, 256, (batch, 3, 12, 12)).astype(np.uint8))
    assert_same(executed(interpreter.run, case), executed(engine.run, case, batch_size=64), graph)


@pytest.mark.parametrize("largest", [228, 229, 230, 255], ids="largest={}".format)
def test_sums_at_the_edge_of_float32(largest: int) -> None:
    """576 taps of weight 127: 2**24 lies between the largest input 229 and 230, and odd sums beyond it need float64."""
    rng = np.random.default_rng(largest)
    weight = frozen(127 * np.ones((2, 64, 3, 3)) - (np.arange(2) == 1)[:, None, None, None], np.int8)
    nodes = (
        Node("x", Input((64, 4, 4), largest)),
        Node("conv", Conv2d(weight, frozen([1, -1], np.int32)), ("x",)),
        Node("flat", Flatten(), ("conv",)),
        Node("logits", Readout(), ("flat",)),
    )
    graph = Graph(nodes, 1)
    spec.check_integer(graph)
    image = np.full((20, 64, 4, 4), largest, np.uint8)
    image[:, 0] -= rng.integers(0, 3, (20, 4, 4)).astype(np.uint8)
    expected = interpreter.run(graph, image)
    exact = [int((weight[0].astype(object) * image[0, :, :3, :3].astype(object)).sum()) + 1]
    assert expected[0, 0, 0].tolist() == exact[0]
    assert (engine.run(graph, image) == expected).all()


@pytest.mark.parametrize("levels", [1, 7, 255])
def test_every_potential_around_every_threshold(levels: int) -> None:
    """Currents at, just below and just above each multiple of theta, up to the widest legal membrane."""
    for theta in sorted({1, 3, 127, (2**22) // levels, (2**23 - 1) // levels}):
        multiples = np.unique(np.linspace(0, levels, 12).astype(np.int64))
        around = (multiples[:, None] * theta + np.array([-1, 0, 1])).ravel()
        around = around[(around >= 0) & (around < 2**23)]
        graph = _one_per_potential(around, theta, levels)
        spec.check_integer(graph)
        case = Case(graph, np.zeros((1, 1), np.uint8))
        found = executed(engine.run, case)
        assert found["spikes"].ravel().tolist() == [min(int(v) // theta, levels) for v in around]
        assert_same(executed(interpreter.run, case), found, graph)


def _one_per_potential(potentials: Array, theta: int, levels: int) -> Graph:
    """One neuron for each potential, which is the bias that reaches it."""
    size = len(potentials)
    nodes = (
        Node("x", Input((1,), 1)),
        Node("current", Linear(frozen(np.zeros((size, 1)), np.int8), frozen(potentials, np.int32)), ("x",)),
        Node("spikes", MultiLevelIF(frozen(np.full(size, theta), np.int32), levels), ("current",)),
        Node("fc", Linear(frozen(np.ones((1, size)), np.int8)), ("spikes",)),
        Node("logits", Readout(), ("fc",)),
    )
    return Graph(nodes, 1)
