"""Pipelined timing in Lava: what travels when, how long it takes, and what can be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.errors import UserError
from snn2chip.exporters.lava import Job, Records, partition, run_jobs
from snn2chip.exporters.lava.program import StageProgram, hop
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.interpreter import Recorder
from snn2chip.lava_environment import LavaEnvironment
from snn2chip.lowering.pipeline import depth, schedule
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout
from tests.differential.strategies import Case
from tests.lava.conftest import MARKED
from tests.lava.test_exact import assert_exact, jobs


@pytest.fixture
def shared_synapses() -> Graph:
    """Two layers of neurons read one convolution's current in the same step, and a third one a step later; T = 3."""
    rng = np.random.default_rng(5)

    def conv(inputs: int) -> Conv2d:
        weight = frozen(rng.integers(-3, 4, (2, inputs, 3, 3)), np.int8)
        return Conv2d(weight, frozen([2, -1], np.int32), padding=(1, 1))

    def neuron(theta: int) -> MultiLevelIF:
        return MultiLevelIF(frozen([theta, theta + 1], np.int32), levels=3)

    nodes = (
        Node("input", Input((1, 4, 4), largest=9), ()),
        Node("shared", conv(1), ("input",)),
        Node("left", neuron(4), ("shared",)),
        Node("right", neuron(9), ("shared",)),
        Node("spikes", Add(), ("left", "right")),
        Node("conv", conv(2), ("spikes",)),
        Node("meet", Add(), ("conv", "shared")),
        Node("late", neuron(7), ("meet",)),
        Node("flat", Flatten(), ("late",)),
        Node("fc", Linear(frozen(rng.integers(-9, 10, (3, 32)), np.int8)), ("flat",)),
        Node("logits", Readout(), ("fc",)),
    )
    return Graph(nodes, steps=3)


def test_in_pipelined_timing_every_process_sends_first(residual_graph: Graph) -> None:
    parts = partition(residual_graph)
    hops = {
        timing: {hop(residual_graph, parts, schedule(residual_graph, timing), link) for link in parts.links}
        for timing in ("algorithmic", "pipelined")
    }
    assert hops == {"algorithmic": {0}, "pipelined": {1}}


def test_a_current_that_is_needed_in_the_same_step_is_sent_at_once(shared_synapses: Graph) -> None:
    parts = partition(shared_synapses)
    plan = schedule(shared_synapses, "pipelined")
    hops = {link.value: hop(shared_synapses, parts, plan, link) for link in parts.links}
    assert hops["shared"] == 0
    assert hops["left"] == hops["late"] == 1


def test_shared_synapses_are_exact(environment: LavaEnvironment, shared_synapses: Graph) -> None:
    case = Case(shared_synapses, np.random.default_rng(0).integers(0, 10, (5, 1, 4, 4)).astype(np.uint8))
    for result in run_jobs(jobs(case), environment):
        assert_exact(case, result)


def test_a_sample_takes_as_many_steps_as_it_has(
    environment: LavaEnvironment, residual_graph: Graph, images: Array
) -> None:
    """The pipeline is filled and emptied once; in between, one sample follows the other without a gap."""
    graph = Graph(residual_graph.nodes, steps=3)
    ways = [Job(graph, images, cut, batch=1, timing="pipelined") for cut in (1, 2, "per-layer")]
    for result in run_jobs(ways, environment):
        assert_exact(Case(graph, images), result)
        assert result.timings["steps"] == 3 * len(images) + depth(graph)


def test_a_stage_is_silent_outside_its_steps(residual_graph: Graph) -> None:
    parts = partition(residual_graph)
    program = StageProgram(residual_graph, parts, 1, batch=1, timing="pipelined", limit=2)
    (link,) = program.incoming
    spikes = np.ones((1, 3, 4, 4), np.uint8)
    active = [sorted(program.step(time, {link: spikes}, None)) for time in range(6)]
    assert active == [[], ["conv2", "marked"], ["conv2", "marked"], [], [], []]


def expected_potential(graph: Graph, inputs: Array, neuron: str) -> Array:
    """``u(t) = sum of i - theta * sum of z``, from what the interpreter shows."""
    op = graph[neuron].op
    assert isinstance(op, MultiLevelIF)
    recorder = Recorder()
    interpreter.run(graph, inputs, [recorder])
    currents, spikes = recorder.tensors[graph[neuron].inputs[0]], recorder.tensors[neuron]
    total: Array = currents.cumsum(axis=1) - op.theta[:, None, None] * spikes.cumsum(axis=1)
    return total


def test_states_are_recorded_after_every_step(
    environment: LavaEnvironment, residual_graph: Graph, images: Array
) -> None:
    names = ("if1", "barrier")
    ways = [
        Job(residual_graph, images, cut, batch=2, timing=timing, states=names)
        for cut in (1, "per-layer")
        for timing in ("algorithmic", "pipelined")
    ]
    for result in run_jobs(ways, environment):
        assert_exact(Case(residual_graph, images), result)
        assert set(result.states) == set(names)
        for name in names:
            assert np.array_equal(result.states[name], expected_potential(residual_graph, images, name))
        assert result.states["if1"].any()


def test_another_timing_is_refused(environment: LavaEnvironment, residual_graph: Graph, images: Array) -> None:
    with pytest.raises(UserError, match="timing 'fast' is unknown: choose algorithmic or pipelined"):
        run_jobs([Job(residual_graph, images, timing="fast")], environment)  # type: ignore[arg-type]


def test_records_are_made_for_nodes_that_are_there(residual_graph: Graph, tmp_path: Path) -> None:
    spikes, potentials = tmp_path / "z.npy", tmp_path / "u.npy"
    Records(3, {"marked": spikes}, {"marked": potentials}).allocate(residual_graph)
    for path, dtype in ((spikes, np.uint8), (potentials, np.int32)):
        found = np.load(path)
        assert (found.shape, found.dtype) == ((3, 2, MARKED, 4, 4), dtype)
    with pytest.raises(UserError, match="node 'nothing' has no value to record: choose from input, conv1"):
        Records(3, {"nothing": spikes}).allocate(residual_graph)
    with pytest.raises(UserError, match="node 'conv1' has no state to record: choose from if1, marked"):
        Records(3, states={"conv1": spikes}).allocate(residual_graph)


def test_a_state_that_is_not_there_is_refused(
    environment: LavaEnvironment, residual_graph: Graph, images: Array
) -> None:
    with pytest.raises(UserError, match="node 'conv1' has no state to record: choose from if1, marked, if3, barrier"):
        run_jobs([Job(residual_graph, images, states=("conv1",))], environment)
