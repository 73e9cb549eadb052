"""Laws of counting, against counts made tap by tap, event by event, without fan-outs or patterns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from snn2chip import interpreter
from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Node
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.array import DenseArray
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import place
from snn2chip.hw_models.qualia import formula
from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.hw_models.simulate import simulate
from snn2chip.lowering import Network, Role, to_populations
from snn2chip.ops import Input
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.networks import images, residual, unit
from tests.hw.taps import taps


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    return unit(tmp_path_factory.mktemp("chips"))


def populations(graph: Graph) -> Network:
    try:
        return to_populations(graph)
    except GraphError:
        assume(False)
        raise


@settings(max_examples=40)
@given(cases(max_steps=3, max_batch=2, **EVERYTHING))
def test_operations_are_those_of_every_tap(chip: Chip, case: Case) -> None:
    network = populations(case.graph)
    recorder = interpreter.Recorder()
    interpreter.run(network.graph, case.inputs, [recorder])
    rows = {row.name: row for row in simulate(case.graph, case.inputs, None, chip).layers}
    for population in network.populations:
        dense = effective = unary = 0
        for projection in population.projections:
            sent = recorder.tensors[projection.source]
            values = sent.reshape(-1, *projection.view).sum(axis=0)
            events = (sent != 0).reshape(-1, *projection.view).sum(axis=0)
            for source, _, weighs in taps(projection.op, projection.view):
                dense += int(events[source])
                unary += int(values[source])
                effective += int(events[source]) * weighs
        row, samples = rows[population.name], len(case.inputs)
        found = (row.synaptic_operations, row.effective_operations, row.unary_operations)
        assert found == pytest.approx((dense / samples, effective / samples, unary / samples), rel=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_a_value_counts_as_one_event_with_a_product_or_as_that_many_events(chip: Chip, seed: int, largest: int) -> None:
    """Values in one step, and the same values as trains of binary events over as many steps as the largest has."""
    graph = residual(levels=3, size=4, seed=seed % 1000)
    values = np.random.default_rng(seed).integers(0, largest + 1, (2, 2, 4, 4)).astype(np.uint8)
    train = (values[:, None] > np.arange(largest).reshape(1, -1, 1, 1, 1)).astype(np.uint8)
    graded = rows(simulate(with_input(graph, largest, 1), values, None, chip))
    binary = rows(simulate(with_input(graph, 1, largest), train, None, chip))
    assert graded["n0"].unary_operations == binary["n0"].synaptic_operations
    assert graded["x"].spikes_out == binary["x"].events_out
    assert graded["n0"].synaptic_operations <= binary["n0"].synaptic_operations
    actions = {row.action: row.count for row in graded["n0"].actions}
    assert actions.get("payload_multiply", 0) == graded["n0"].synaptic_operations
    assert "payload_multiply" not in {row.action for row in binary["n0"].actions}


def with_input(graph: Graph, largest: int, steps: int) -> Graph:
    first = graph.nodes[0]
    assert isinstance(first.op, Input)
    return Graph((Node(first.name, Input(first.op.shape, largest)), *graph.nodes[1:]), steps)


def rows(report: NetworkReport) -> dict[str, LayerRow]:
    return {row.name: row for row in report.layers}


def test_sums_barriers_pools_and_the_readout_are_charged(chip: Chip) -> None:
    graph = residual(steps=2, levels=2)
    report = simulate(graph, images(graph), None, chip)
    for name in ("x", "n0", "n1", "bar", "pool", "out"):
        assert rows(report)[name].energy.nominal > 0
    sent = rows(report)
    for name, sources in {"bar": ("n0", "n1"), "pool": ("bar",)}.items():  # one target per event: a sum, a window
        assert sent[name].synaptic_operations == sum(sent[source].events_out for source in sources) > 0
        assert sent[name].neuron_updates == sent[name].neurons * graph.steps
    assert sent["out"].synaptic_operations == sent["pool"].events_out * 3


@settings(max_examples=30)
@given(cases(max_steps=4, **EVERYTHING))
def test_active_updates_are_the_neurons_that_something_reached(chip: Chip, case: Case) -> None:
    network = populations(case.graph)
    recorder = interpreter.Recorder()
    interpreter.run(network.graph, case.inputs, [recorder])
    report = rows(simulate(case.graph, case.inputs, None, chip))
    for population in network.populations[1:]:
        first = recorder.tensors[network.populations[0].name]
        active = np.zeros((*population.shape, first.shape[0], first.shape[1]), dtype=bool)
        active[population.awake] = True
        if population.role is not Role.READOUT:
            active |= np.moveaxis(recorder.tensors[population.name] != 0, (0, 1), (-2, -1))
        for projection in population.projections:
            sent = recorder.tensors[projection.source].reshape(*first.shape[:2], *projection.view)
            events = np.moveaxis(sent != 0, (0, 1), (-2, -1))
            for source, target, _ in taps(projection.op, projection.view):
                active[target] |= events[source]
        counted = {row.action: row.count for row in report[population.name].actions}
        assert counted.get("neuron_update_active", 0) == pytest.approx(active.sum() / len(case.inputs), rel=1e-12)


@pytest.mark.parametrize("name", ["lemaire-45nm", "dense-45nm"])
def test_analytic_models_refuse_a_trace_of_another_graph(name: str) -> None:
    graph, other = to_populations(residual(seed=0)), to_populations(residual(seed=1))
    analytic = load_chip(name)
    model = formula(graph, analytic) if analytic.model == "formula" else DenseArray(graph, analytic)
    activity = Activity(other, 4)
    interpreter.run(other.graph, images(other.graph), [activity])
    with pytest.raises(GraphError, match="the counts are of the graph"):
        model.layers(activity)


def test_a_trace_of_another_graph_is_refused(chip: Chip) -> None:
    graph, other = residual(seed=0), residual(seed=1)
    network, inputs = to_populations(graph), images(graph)
    model = Neurocores(network, chip, place(network, chip))
    activity = Neurocores(to_populations(other), chip, place(to_populations(other), chip)).activity(len(inputs))
    interpreter.run(other, inputs, [activity])
    with pytest.raises(
        GraphError, match=r"the counts are of the graph \w{12}, but the network is \w{12}: run it again"
    ):
        model.layers(activity)
    with pytest.raises(GraphError, match="the counts are of the graph"):
        model.latency(activity)


def test_a_run_that_does_not_fit_the_counter_is_refused(chip: Chip) -> None:
    graph = residual(seed=0, steps=2)
    network, inputs = to_populations(graph), images(graph)
    model = Neurocores(network, chip, place(network, chip))
    activity = model.activity(len(inputs) + 1)
    interpreter.run(network.graph, inputs, [activity])
    with pytest.raises(GraphError, match="8 of 10 steps of 5 samples were seen"):
        model.layers(activity)
    wider = residual(seed=0, steps=2, size=8)
    with pytest.raises(GraphError, match=r"node 'x' sent a tensor of shape \(2, 8, 8\), but .* has \(2, 6, 6\)"):
        interpreter.run(wider, images(wider), [Activity(network, 4)])
