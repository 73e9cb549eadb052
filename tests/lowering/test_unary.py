"""The unary lowering gives the same integers with binary spikes only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings

from snn2chip import interpreter
from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Kind, Node, frozen
from snn2chip.lowering import to_unary
from snn2chip.ops import (
    LIF,
    Add,
    Conv2d,
    Flatten,
    Input,
    LeakyIntegrator,
    Linear,
    MultiLevelIF,
    Readout,
    SumPool2d,
    Upsample2d,
)
from snn2chip.spec import check_integer
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.networks import images, residual


def assert_lowered(graph: Graph, inputs: np.ndarray) -> Graph:
    lowered = to_unary(graph)
    check_integer(lowered.graph)
    for name, signal in lowered.graph.signals.items():
        assert signal.kind is Kind.CURRENT or signal.interval.max <= 1, f"{name} sends more than binary spikes"
    found = interpreter.run(lowered.graph, lowered.encode(inputs))
    np.testing.assert_array_equal(found, interpreter.run(graph, inputs))
    return lowered.graph


@pytest.mark.parametrize("barrier", [True, False])
@pytest.mark.parametrize(("steps", "levels"), [(1, 1), (1, 4), (1, 7), (4, 1)])
def test_residual_networks(steps: int, levels: int, barrier: bool) -> None:
    graph = residual(steps, levels, barrier)
    assert_lowered(graph, images(graph, samples=8))


@settings(max_examples=150)
@given(cases(max_steps=1, max_levels=9, max_input=20, **EVERYTHING))
def test_random_networks_in_one_step(case: Case) -> None:
    _lowered_or_refused(case)


@settings(max_examples=100)
@given(cases(max_steps=5, max_levels=1, max_input=20, **EVERYTHING))
def test_random_binary_networks_over_several_steps(case: Case) -> None:
    _lowered_or_refused(case)


def _lowered_or_refused(case: Case) -> None:
    refused = ""
    try:
        assert_lowered(case.graph, case.inputs)
    except GraphError as error:
        refused = str(error)
    if refused:
        assert any(f"node '{node.name}" in refused for node in case.graph.nodes), refused
        assume(False)


def test_a_current_keeps_its_fraction_and_its_rounding() -> None:
    decay = frozen([2000], np.int32)
    nodes = (
        Node("x", Input((1,), 2)),
        Node("fc", Linear(frozen([[-7]], np.int8), frozen([5], np.int32)), ("x",)),
        Node("current", LeakyIntegrator(decay, fraction_bits=4, toward_zero=True), ("fc",)),
        Node("neuron", LIF(frozen([40], np.int32), frozen([40], np.int32), decay, reset="zero"), ("current",)),
        Node("logits", Readout(), ("neuron",)),
    )
    graph = Graph(nodes, 6)
    assert_lowered(graph, np.array([[0], [1], [2]], np.uint8))


def test_every_level_becomes_a_channel() -> None:
    lowered = to_unary(residual(levels=4))
    assert lowered.planes == {"x": 16, "n0": 4, "n1": 4, "bar": 4}
    neuron = lowered.graph["n0"].op
    assert isinstance(neuron, MultiLevelIF)
    np.testing.assert_array_equal(neuron.theta[:5], [900, 1800, 2700, 3600, 900])
    assert neuron.levels == 1


def test_thermometer_code_keeps_frames() -> None:
    lowered = to_unary(residual(steps=4, levels=1, size=2))
    frames = np.arange(2 * 4 * 2 * 2 * 2, dtype=np.uint8).reshape(2, 4, 2, 2, 2) % 17
    code = lowered.encode(frames)
    assert code.shape == (2, 4, 32, 2, 2)
    np.testing.assert_array_equal(code.reshape(2, 4, 2, 16, 2, 2).sum(axis=3), frames)


def test_levels_over_several_steps_are_refused_by_name() -> None:
    with pytest.raises(GraphError, match=r"node 'n0' has N=4 levels over T=2 steps"):
        to_unary(residual(steps=2, levels=4))


def _pooled(pool: SumPool2d, padding: int, size: int = 4, magnitude: int = 30) -> Graph:
    """Spikes, a pool, a convolution, classes."""
    rng = np.random.default_rng(3)
    kernel = frozen(rng.integers(-magnitude, magnitude + 1, (2, 2, 3, 3)), np.int8)
    image = Node("x", Input((2, size, size), 3))
    _, height, width = Graph((image, Node("pool", pool, ("x",))), 1).signals["pool"].shape
    features = 2 * (height + 2 * padding - 2) * (width + 2 * padding - 2)
    return Graph(
        (
            image,
            Node("pool", pool, ("x",)),
            Node("conv", Conv2d(kernel, None, (1, 1), (padding, padding)), ("pool",)),
            Node("n", MultiLevelIF(frozen([40, 50], np.int32), 3), ("conv",)),
            Node("flat", Flatten(), ("n",)),
            Node("fc", Linear(frozen(rng.integers(-9, 10, (3, features)), np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        1,
    )


@pytest.mark.parametrize(
    ("pool", "padding"),
    [
        (SumPool2d((2, 2), (2, 2)), 1),  # tiles the map: padding moves in front of the pool
        (SumPool2d((2, 2), (1, 1)), 0),  # overlaps
        (SumPool2d((3, 2), (1, 2), (1, 0)), 0),  # padded itself
        (SumPool2d((1, 1), (3, 3)), 0),  # leaves rows out
    ],
)
def test_pools_are_taken_into_the_synapses(pool: SumPool2d, padding: int) -> None:
    graph = _pooled(pool, padding, size=8)
    lowered = assert_lowered(graph, images(graph))
    assert not lowered.of_kind(SumPool2d)


def test_a_padded_map_of_overlapping_windows_is_refused_by_name() -> None:
    with pytest.raises(GraphError, match="node 'conv' pads a pooled map"):
        to_unary(_pooled(SumPool2d((2, 2), (1, 1)), padding=1))


def test_weights_that_outgrow_8_bits_are_refused_by_name() -> None:
    with pytest.raises(GraphError, match="node 'conv' reads overlapping pools"):
        to_unary(_pooled(SumPool2d((3, 3), (1, 1)), padding=0, size=8, magnitude=127))


def test_repeated_spikes_stay_binary() -> None:
    """A relay (Upsample2d) behind the input, and a tensor that is added to itself."""
    rng = np.random.default_rng(0)
    graph = Graph(
        (
            Node("x", Input((1, 2, 3), 5)),
            Node("up", Upsample2d((2, 1)), ("x",)),
            Node("twice", Add(), ("up", "up")),
            Node("flat", Flatten(), ("twice",)),
            Node("fc", Linear(frozen(rng.integers(-99, 99, (2, 12)), np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        1,
    )
    assert_lowered(graph, images(graph))
