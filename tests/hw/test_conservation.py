"""Laws that hold whatever the network, the inputs and the placement."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings

from snn2chip import engine, interpreter
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Region
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import place
from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.hw_models.simulate import simulate
from snn2chip.lowering import Network, Role, to_populations
from snn2chip.lowering.populations import Synapse
from snn2chip.ops import Add, Conv2d, Linear, MultiLevelIF
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.networks import images, residual, unit

Tensors = dict[str, Array]


@pytest.fixture(scope="module")
def few_cores(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    return unit(tmp_path_factory.mktemp("chips"), "few")


@pytest.fixture(scope="module")
def many_cores(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    """At most 5 neurons on a core, so that channels and rows are cut."""
    return unit(tmp_path_factory.mktemp("chips"), "many", limits__neurons_per_core="5", structure__cores="9")


def recorded(graph: Graph, inputs: Array) -> Tensors:
    recorder = interpreter.Recorder()
    interpreter.run(graph, inputs, [recorder])
    return recorder.tensors


def population_network(case: Case) -> Network:
    try:
        return to_populations(case.graph)
    except GraphError:
        assume(False)
        raise


@settings(max_examples=60)
@given(cases(max_steps=4, **EVERYTHING))
def test_operations_are_events_times_fan_out(few_cores: Chip, case: Case) -> None:
    network = population_network(case)
    tensors = recorded(network.graph, case.inputs)
    report = simulate(case.graph, case.inputs, None, few_cores)
    for row in report.layers:
        dense = effective = unary = 0
        for projection in network[row.name].projections:
            values, whole = tensors[projection.source], Region.whole(network[row.name].shape)
            fan_out = projection.fan_out(whole)
            dense += int(((values != 0) * fan_out).sum())
            unary += int((values * fan_out).sum())
            effective += int(((values != 0) * projection.fan_out(whole, effective=projection.is_weighted)).sum())
        samples = len(case.inputs)
        assert row.synaptic_operations == pytest.approx(dense / samples, rel=1e-12)
        assert row.effective_operations == pytest.approx(effective / samples, rel=1e-12)
        assert row.unary_operations == pytest.approx(unary / samples, rel=1e-12)


@settings(max_examples=60)
@given(cases(max_steps=4, **EVERYTHING))
def test_placement_changes_messages_and_hops_but_no_operation(few_cores: Chip, many_cores: Chip, case: Case) -> None:
    population_network(case)
    few, many = (simulate(case.graph, case.inputs, None, chip) for chip in (few_cores, many_cores))
    for one, other in zip(few.layers, many.layers, strict=True):
        for same in ("events_in", "events_out", "spikes_out", "synaptic_operations", "neuron_updates", "neurons"):
            assert getattr(one, same) == getattr(other, same)
        assert (one.messages or 0) <= (other.messages or 0)
    assert few.accuracy is many.accuracy is None


@settings(max_examples=40)
@given(cases(max_steps=3, max_batch=3, **EVERYTHING))
def test_counts_add_over_inputs(few_cores: Chip, case: Case) -> None:
    population_network(case)
    whole = simulate(case.graph, case.inputs, None, few_cores)
    singles = [simulate(case.graph, case.inputs[i : i + 1], None, few_cores) for i in range(len(case.inputs))]
    expected: Counter[str] = Counter()
    for single in singles:
        expected.update({row.action: row.count for row in single.totals.actions})
    found = {row.action: row.count * len(case.inputs) for row in whole.totals.actions}
    assert found == pytest.approx(dict(expected), rel=1e-9)
    assert whole.latency.cycles == pytest.approx(np.mean([single.latency.cycles for single in singles]), rel=1e-12)


@settings(max_examples=40)
@given(cases(max_steps=4, **EVERYTHING))
def test_work_of_every_core_and_step_against_a_plain_count(many_cores: Chip, case: Case) -> None:
    network = population_network(case)
    tensors = recorded(network.graph, case.inputs)
    model = Neurocores(network, many_cores, place(network, many_cores))
    activity = model.activity(len(case.inputs))
    interpreter.run(network.graph, case.inputs, [activity])
    expected = plain_work(model, tensors)
    np.testing.assert_allclose(model.work(activity), expected, rtol=1e-12)
    latency = model.latency(activity)
    busiest = expected.sum(axis=1).max(axis=1).mean()
    assert latency.cycles is not None
    assert latency.cycles >= busiest
    assert latency.steps == case.graph.steps + network.depth - 1


def plain_work(model: Neurocores, tensors: Tensors) -> Array:
    """Cycles ``[samples, T, cores]`` on the unit chip, counted core by core without patterns or products.

    An arriving message, a synaptic operation, a visit, a level, a leak, a spike and a message sent take one cycle each.
    """
    first = next(iter(tensors.values()))
    work = np.zeros((*first.shape[:2], model.placement.cores))
    for population in model.network.populations:
        for slot in model.placement.slots[population.name]:
            inside = slot.region.mask(population.shape)
            work[:, :, slot.index] += inside.sum() + levels(model, population.name, tensors, inside)
            if population.role is not Role.READOUT:
                work[:, :, slot.index] += over_positions((tensors[population.name] != 0) * inside)
            for projection in population.projections:
                events, fan_out = tensors[projection.source] != 0, projection.fan_out(slot.region)
                work[:, :, slot.index] += over_positions(events * (fan_out + (fan_out > 0)))
            for projection in model.network.outgoing[population.name]:
                for target in model.placement.slots[projection.target]:
                    sent = (tensors[population.name] != 0) & (projection.fan_out(target.region) > 0)
                    work[:, :, slot.index] += over_positions(sent * inside)
    return work


def levels(model: Neurocores, name: str, tensors: Tensors, inside: Array) -> Array | float:
    """Cycles of the ladder, or of the shift, and of the leaks of the region's active neurons."""
    population = model.network[name]
    ladder = population.role is Role.NEURON and population.levels > 1
    if not ladder and not population.leaks:
        return 0.0
    awake = population.awake.reshape(-1, *[1] * (len(population.shape) - 1))
    active = (tensors[name] != 0) & (population.role is not Role.READOUT) | awake
    for projection in population.projections:
        mask = (tensors[projection.source] != 0).reshape(-1, *projection.view).astype(np.int32)
        active |= reached(projection.op, mask).reshape(active.shape)
    cost = np.where(population.shifts, 1, population.levels - 1).reshape(awake.shape) if ladder else 0
    return over_positions(active * inside * (cost + population.leaks))


def reached(op: Synapse, mask: Array) -> Array:
    """Where an event arrives: the operation itself with every weight 1 (pools and relays have no others)."""
    if isinstance(op, (Conv2d, Linear)):
        op = replace(op, weight=np.ones_like(op.weight), bias=None)
    arrived, _ = op.step((mask, mask) if isinstance(op, Add) else (mask,), None)
    return np.asarray(arrived != 0)


def over_positions(values: Array) -> Array:
    return np.asarray(values.reshape(*values.shape[:2], -1).sum(axis=2))


def test_the_fast_executor_gives_the_same_report(tmp_path: Path) -> None:
    graph, chip = residual(steps=2, levels=3), unit(tmp_path)
    reports = [simulate(graph, images(graph), None, chip, execute=run) for run in (interpreter.run, engine.run)]
    assert reports[0].to_json() == reports[1].to_json()


def total_of(rows: tuple[LayerRow, ...], action: str) -> float:
    return sum(found.count for row in rows for found in row.actions if found.action == action)


def test_totals_are_sums_over_layers(few_cores: Chip) -> None:
    graph = residual(steps=3, levels=4)
    report: NetworkReport = simulate(graph, images(graph), None, few_cores)
    for row in report.totals.actions:
        assert row.count == pytest.approx(total_of(report.layers, row.action), rel=1e-12)
    spent = sum(row.energy.nominal for row in report.layers)
    assert report.energy.dynamic.nominal == pytest.approx(spent, rel=1e-12, abs=0)


def test_a_silent_layer_counts_in_the_activity(few_cores: Chip) -> None:
    """The mean over all neurons but the readout's, also where a layer sends nothing on these inputs."""
    graph = residual()
    last = [node for node in graph.nodes if isinstance(node.op, MultiLevelIF)][-1]
    assert isinstance(last.op, MultiLevelIF)
    mute = replace(last, op=replace(last.op, theta=np.full_like(last.op.theta, 10**6)))
    graph = replace(graph, nodes=tuple(mute if node is last else node for node in graph.nodes))
    report = simulate(graph, images(graph), None, few_cores)
    inner = list(report.layers[1:-1])
    assert [row.events_out for row in inner if row.name == last.name] == [0.0]
    events = sum(row.events_out for row in inner)
    assert report.totals.activity == pytest.approx(events / (sum(row.neurons for row in inner) * graph.steps))
    assert 0 < report.totals.activity < 1
