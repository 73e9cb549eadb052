"""Depths, delays and the pipelined execution: the algorithmic integers, one step behind per layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import assume, given, settings

from snn2chip import engine, interpreter, pipelined
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import Recorder, batches
from snn2chip.lowering import to_populations
from snn2chip.lowering.pipeline import Schedule, depth, schedule
from snn2chip.ops import Concat, MaxPool2d, SpikingNeuron
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.networks import residual

Run = Callable[..., Array]


def test_each_layer_is_one_step_behind_its_deepest_source() -> None:
    plan = schedule(residual(), "pipelined")
    assert [plan.start[name] for name in ("x", "c0", "n0", "c1", "n1", "bar", "pool", "out")] == [
        0,
        0,
        0,
        1,
        1,
        2,
        3,
        4,
    ]
    assert depth(residual()) == 5


def test_a_skip_waits_for_the_layers_that_it_skips() -> None:
    graph = residual()
    plan = schedule(graph, "pipelined")
    delays = {(edge.source, edge.target): plan.delay(edge.source, edge.target) for edge in graph.edges}
    assert {edge: steps for edge, steps in delays.items() if steps} == {("n0", "sum"): 1}


def test_in_algorithmic_timing_everything_starts_at_once() -> None:
    plan = schedule(residual(), "algorithmic")
    assert set(plan.start.values()) == set(plan.ready.values()) == {0}


@settings(max_examples=100)
@given(cases(**EVERYTHING))
def test_depths_are_those_that_hardware_models_charge(case: Case) -> None:
    """Except where a chip takes a network apart: concatenations, and maxima of currents."""
    assume(not case.graph.of_kind(Concat, MaxPool2d))
    try:
        network = to_populations(case.graph)
    except GraphError:
        assume(False)
    plan = schedule(case.graph, "pipelined")
    assert {found.name: found.depth for found in network.populations} == {
        found.name: plan.ready[found.name] for found in network.populations
    }
    assert network.depth == depth(case.graph)


@settings(max_examples=100)
@given(cases(**EVERYTHING))
def test_no_value_is_used_before_it_is_there(case: Case) -> None:
    plan = schedule(case.graph, "pipelined")
    for edge in case.graph.edges:
        assert plan.delay(edge.source, edge.target) >= 0
    for node in case.graph.of_kind(SpikingNeuron):
        assert plan.ready[node.name] == plan.start[node.name] + 1


@pytest.mark.parametrize("run", [pipelined.run, engine.run_pipelined], ids=["interpreter", "engine"])
def test_pipelined_integers_are_the_algorithmic_ones(run: Run) -> None:
    @settings(max_examples=60)
    @given(cases(**EVERYTHING))
    def every_tensor(case: Case) -> None:
        expected, found = Recorder(), Recorder()
        wanted = interpreter.run(case.graph, case.inputs, [expected])
        got = run(case.graph, case.inputs, [found], batch_size=2)
        assert got.dtype == np.int32
        assert np.array_equal(got, wanted)
        assert found.tensors.keys() == expected.tensors.keys()
        for name, tensor in expected.tensors.items():
            assert np.array_equal(found.tensors[name], tensor), name

    every_tensor()


def test_no_samples_give_no_logits() -> None:
    graph = residual()
    empty = np.zeros((0, *graph.signals["x"].shape), np.uint8)
    assert pipelined.run(graph, empty).shape == interpreter.run(graph, empty).shape


def frames(graph: Graph, samples: int) -> list[Array]:
    images = np.random.default_rng(1).integers(0, 9, (samples, *graph.signals["x"].shape)).astype(np.uint8)
    return [batch for _, batch in batches(interpreter.as_frames(graph, images), 1)]


def execution(graph: Graph, plan: Schedule) -> pipelined.Execution:
    def initial(name: str, sample: int) -> Array | None:
        return graph[name].op.initial_state(graph.signals[name], 1)

    return pipelined.Execution(graph, plan, [node.name for node in graph.nodes], pipelined.numpy_steps(graph), initial)


def test_a_layer_is_active_in_its_own_steps_only() -> None:
    graph = Graph(residual().nodes, steps=3)
    plan = schedule(graph, "pipelined")
    running, (sample,) = execution(graph, plan), frames(graph, 1)
    active: dict[str, list[int]] = {}
    for time in range(12):
        arrived = {"x": (time, sample[:, time])} if time < 3 else {}
        for name in running.step(time, arrived, limit=3):
            active.setdefault(name, []).append(time)
    assert active == {name: list(range(plan.start[name], plan.start[name] + 3)) for name in active}
    assert set(active) == {node.name for node in graph.nodes} - {"x"}


def test_an_unaligned_skip_cannot_be_executed() -> None:
    """A sum that does not wait for its main path finds nothing there, rather than the value of another step."""
    graph = residual()
    plan = schedule(graph, "pipelined")
    early = replace(plan, start=MappingProxyType({**plan.start, "sum": plan.start["n0"]}))
    with pytest.raises(KeyError):
        pipelined.collect(execution(graph, early), frames(graph, 2), [], 1)


def test_nothing_waits_longer_than_its_last_reader() -> None:
    graph = Graph(residual().nodes, steps=2)
    running = execution(graph, schedule(graph, "pipelined"))
    pipelined.collect(running, frames(graph, 5), [], 1)
    assert sum(len(values) for values in running._waiting.values()) == 0
