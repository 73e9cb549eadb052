"""What reports say of each core: by hand, and against counts made tap by tap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from snn2chip import interpreter
from snn2chip.graph import Array
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.placement import Placement, place
from snn2chip.hw_models.results import CoreTable, NetworkReport
from snn2chip.hw_models.simulate import simulate
from snn2chip.lowering import Population, Role
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.networks import chain, images, residual, unit
from tests.hw.taps import taps
from tests.hw.test_conservation import population_network

Tensors = dict[str, Array]


@pytest.fixture(scope="module")
def small_cores(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    """At most 5 neurons on a core, so that channels and rows are cut."""
    return unit(tmp_path_factory.mktemp("chips"), "small", limits__neurons_per_core="5", structure__cores="900")


def cores_of(report: NetworkReport) -> CoreTable:
    assert report.cores is not None
    return report.cores


def test_the_chain_of_the_docs(tmp_path: Path) -> None:
    """Neuron 0 sits on core 0, neurons 1 and 2 on core 1, the classes on core 2."""
    chip = unit(tmp_path, limits__neurons_per_core="2", structure__cores="4", structure__tile_columns="2")
    found = cores_of(simulate(chain(), np.array([[1, 0]], np.uint8), None, chip))
    assert found.synaptic_operations == (2, 4, 6)  # an event at each step meets neuron 0, and neurons 1 and 2
    assert found.neuron_updates == (2, 4, 4)
    assert found.messages_in == (2, 2, 3)
    assert found.messages_out == (2, 1, 0)  # neuron 0 fires twice, neuron 1 once
    assert found.cycles == ((5, 5), (5, 7), (5, 8))
    assert [each.nominal for each in found.energy] == pytest.approx([27e-12, 36e-12, 39e-12], rel=1e-12, abs=0)


@settings(max_examples=40)
@given(cases(max_steps=3, max_batch=2, **EVERYTHING))
def test_every_core_against_taps(small_cores: Chip, case: Case) -> None:
    network = population_network(case)
    recorder = interpreter.Recorder()
    interpreter.run(network.graph, case.inputs, [recorder])
    report = simulate(case.graph, case.inputs, None, small_cores)
    found, samples = cores_of(report), len(case.inputs)
    operations, arrived, sent = plain_counts(place(network, small_cores), recorder.tensors)
    assert np.array(found.synaptic_operations) * samples == pytest.approx(operations, abs=1e-9)
    assert np.array(found.messages_in) * samples == pytest.approx(arrived, abs=1e-9)
    assert np.array(found.messages_out) * samples == pytest.approx(sent, abs=1e-9)
    adds_up(report)


def plain_counts(placement: Placement, tensors: Tensors) -> tuple[Array, Array, Array]:
    """Synaptic operations, messages taken in and messages sent, of every core, over all samples and steps."""
    operations, arrived, sent = np.zeros((3, placement.cores), np.int64)
    for population in placement.network.populations:
        to = homes(placement, population)
        for projection in population.projections:
            events = (tensors[projection.source] != 0).sum(axis=(0, 1)).reshape(projection.view)
            source = homes(placement, placement.network[projection.source]).reshape(projection.view)
            routes = set()
            for here, there, _ in taps(projection.op, projection.view):
                operations[to[there]] += events[here]
                routes.add((here, int(to[there])))
            for here, core in routes:
                arrived[core] += events[here]
                if source[here] >= 0:
                    sent[source[here]] += events[here]
    return operations, arrived, sent


def homes(placement: Placement, population: Population) -> Array:
    """The core of every neuron; -1 for the input."""
    found = np.full(population.shape, -1)
    for slot in placement.slots[population.name]:
        found[slot.region.mask(population.shape) == 1] = slot.index
    assert (found >= 0).all() or population.role is Role.INPUT
    return found


def adds_up(report: NetworkReport) -> None:
    """Cores and what the input sends are all that there is."""
    found, totals, host = cores_of(report), report.totals, report.layers[0]
    assert report.placement is not None
    assert len(found.energy) == len(found.cycles) == report.placement["cores"]
    assert sum(found.synaptic_operations) == pytest.approx(totals.synaptic_operations)
    assert sum(found.neuron_updates) == pytest.approx(totals.neuron_updates)
    assert sum(found.messages_in) == pytest.approx(totals.messages)
    assert sum(found.messages_out) + (host.messages or 0) == pytest.approx(totals.messages)
    for end in ("low", "nominal", "high"):
        cores = sum(getattr(each, end) for each in found.energy)
        assert cores + getattr(host.energy, end) == pytest.approx(getattr(report.energy.dynamic, end), rel=1e-9, abs=0)


@pytest.mark.parametrize("name", ["loihi1-davies2018", "loihi1-sanafe", "loihi2"])
def test_shipped_chips_add_up_too(name: str) -> None:
    graph = residual(steps=1, levels=2, size=8)
    report = simulate(graph, images(graph), None, load_chip(name))
    adds_up(report)
    work = max(sum(steps) for steps in cores_of(report).cycles)
    assert 0 < work <= (report.latency.cycles or 0)


@pytest.mark.parametrize("name", ["lemaire-45nm", "dense-45nm"])
def test_models_without_cores_have_no_table(name: str) -> None:
    graph = residual(steps=1, levels=2)
    assert simulate(graph, images(graph), None, load_chip(name)).cores is None


@pytest.mark.parametrize("name", ["unit", "lemaire-45nm", "lemaire-45nm-qualia", "dense-45nm"])
def test_memories_cost_what_their_accesses_cost(name: str) -> None:
    """With the accesses that have prices of their own, memories hold all energy that is not arithmetic or messages."""
    graph = residual(steps=1, levels=2)
    totals = simulate(graph, images(graph), None, load_chip(name)).totals
    accesses = [row for row in totals.actions if row.action.endswith(("_read", "_write")) and row.energy.nominal]
    memories = [row.energy.nominal for row in totals.memories if row.energy is not None]
    assert len(memories) > 3
    assert sum(memories) == pytest.approx(sum(row.energy.nominal for row in accesses), rel=1e-9, abs=0)


def test_memories_without_a_price_of_their_own_say_so() -> None:
    graph = residual(steps=1, levels=2)
    totals = simulate(graph, images(graph), None, load_chip("loihi2")).totals
    assert {row.energy for row in totals.memories} == {None}, "Loihi's figures include them in other actions"
