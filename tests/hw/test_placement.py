"""Placement: every neuron has one core, every limit is kept or named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings

from snn2chip.errors import GraphError
from snn2chip.graph import Graph
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.fitting import fit
from snn2chip.hw_models.needs import Needs, limits_of
from snn2chip.hw_models.placement import place
from snn2chip.hw_models.simulate import simulate
from snn2chip.lowering import to_populations
from tests.differential.strategies import EVERYTHING, graphs
from tests.hw.networks import chain, graded_skip, images, residual, unit


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    folder = tmp_path_factory.mktemp("chips")
    return unit(folder, "tight", limits__neurons_per_core="7", limits__axons_in_per_core="9", structure__cores="6")


@settings(max_examples=80)
@given(graphs(max_steps=2, **EVERYTHING))
def test_every_neuron_has_one_core_and_every_limit_is_kept_or_named(tight: Chip, graph: Graph) -> None:
    try:
        network = to_populations(graph)
    except GraphError:
        assume(False)
        raise
    placement = place(network, tight)
    named = {(found.layer, found.limit) for found in placement.broken}
    assert [slot.index for slots in placement.slots.values() for slot in slots] == list(range(placement.cores))
    for population in network.populations[1:]:
        slots = placement.slots[population.name]
        held = sum(slot.region.mask(population.shape) for slot in slots)
        np.testing.assert_array_equal(held, np.ones(population.shape))
        needs = Needs(network, population, tight, {})
        for limit, have in limits_of(tight).items():
            most = max(needs.of(limit, slot.region) for slot in slots)
            assert most <= have or (population.name, limit) in named


def test_cores_lie_row_by_row_on_the_tiles(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="1", structure__cores="6", structure__tile_columns="3")
    placement = place(to_populations(chain()), chip)
    places = [(slot.chip, slot.x, slot.y) for slots in placement.slots.values() for slot in slots]
    assert places == [(0, 0, 0), (0, 1, 0), (0, 2, 0), (0, 0, 1), (0, 1, 1)]


def test_tiles_hold_several_cores(tmp_path: Path) -> None:
    chip = unit(
        tmp_path,
        limits__neurons_per_core="1",
        structure__cores="4",
        structure__cores_per_tile="2",
        structure__tile_columns="2",
    )
    placement = place(to_populations(chain()), chip)
    assert [(slot.chip, slot.x) for slot in placement.slots["hidden"]] == [(0, 0), (0, 0), (0, 1)]
    assert [(slot.chip, slot.x) for slot in placement.slots["out"]] == [(0, 1), (1, 2)]


def test_what_does_not_fit_on_one_chip_is_named_and_still_simulated(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="1", structure__cores="4", structure__tile_columns="2")
    found = fit(chain(), chip)
    assert (found["fits"], found["cores"], found["chips"]) == (False, 5, 2)
    change = "use 2 chips, or a network with narrower layers: fewer weight bits alone are not enough"
    assert found["broken"] == [{"layer": "out", "limit": "cores", "need": 5, "have": 4, "change": change}]
    assert found["reason"] == (
        f"the network takes 5 cores and one chip has 4, which layer 'out' is the first to exceed: {change}"
    )
    report = simulate(chain(), images(chain()), None, chip)
    text = "does not fit on one chip: it takes 5 cores, and the chip has 4, which layer 'out' is the first to exceed"
    assert any(text in note for note in report.notes)
    assert any("5 of 8 cores on 2 chips are in use" in note for note in report.notes)
    crossings = [row for row in report.totals.actions if row.action == "chip_crossing"]
    assert crossings[0].count > 0


def test_a_limit_that_no_cut_keeps_is_named_with_the_numbers(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__axons_in_per_core="1")
    found = fit(chain(), chip)
    assert not found["fits"]
    change = "let 'hidden', which it reads, have at most 1 neurons (3 now)"
    broken = {"layer": "out", "limit": "axons_in_per_core", "need": 3, "have": 1, "change": change}
    assert broken in found["broken"]
    assert (
        "layer 'out' is too big for any core: one row of one channel needs 3 entries of the axon table in and a core "
        f"has 1: {change}"
    ) in found["reason"]
    (note,) = (note for note in simulate(chain(), images(chain()), None, chip).notes if "breaks limits" in note)
    assert "layer 'out' needs 3 axons_in_per_core, and the chip has 1" in note
    assert "Energies and times are for a chip that could hold the network" in note


def test_axons_out_count_the_cores_that_a_neuron_reaches(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="2", limits__axons_out_per_core="2")
    placement = place(to_populations(graded_skip()), chip)
    # Each neuron of n1 reaches the core of n2 and that of the barrier: 2 entries, so that a core holds one of them.
    assert [len(slot.region.channels) for slot in placement.slots["n1"]] == [1, 1]
    assert placement.broken == ()


def test_rows_are_cut_where_that_takes_fewer_cores(tmp_path: Path) -> None:
    # 3 of the 6 rows see themselves and the row beyond, in 2 channels: 4 * 6 * 2 source neurons.
    chip = unit(tmp_path, limits__axons_in_per_core="48")
    slots = place(to_populations(residual()), chip).slots["n0"]
    assert {len(slot.region.rows) for slot in slots} == {3}
    assert {len(slot.region.channels) for slot in slots} == {4}


def test_shared_weights_are_stored_once_on_a_core(tmp_path: Path) -> None:
    network = to_populations(residual())
    (region,) = (slot.region for slot in place(network, load_chip("unit")).slots["n1"])
    shared = Needs(network, network["n1"], unit(tmp_path, "a", choices__weight_sharing='"shared"'), {})
    expanded = Needs(network, network["n1"], unit(tmp_path, "b", choices__weight_sharing='"expanded"'), {})
    assert shared.of("synapse_bits_per_core", region) == 4 * 4 * 9 * 8
    assert expanded.of("synapse_bits_per_core", region) == (
        4 * 4 * (16 * 9 + 16 * 6 + 4 * 4) * 8  # inner, border and corner neurons
    )


def test_fit_is_json_and_tells_the_form() -> None:
    graph = residual(steps=1, levels=4)
    assert json.loads(json.dumps(fit(graph, load_chip("loihi2"))))["form"] == "graded"
    unary = fit(graph, load_chip("loihi1-davies2018"))
    assert (unary["form"], unary["fits"]) == ("unary", True)
    assert sum(layer["neurons"] for layer in unary["layers"]) == 4 * 3 * 36 * 4 + 3
    assert fit(graph, load_chip("dense-45nm"))["fits"] is None


def test_fit_says_why_a_network_cannot_be_carried(tmp_path: Path) -> None:
    found = fit(residual(steps=2, levels=4), load_chip("loihi1-davies2018"))
    assert found["fits"] is False
    assert "the reset couples the levels" in found["reason"]
    path = tmp_path / "narrow.toml"
    path.write_text('name = "narrow"\ninherits = "unit"\ncapacity.payload = { value = 2, unit = "bit", '
                    'kind = "assumed", source = "unit" }\n', encoding="utf-8")  # fmt: skip
    assert "layer 'x' sends values up to 16" in fit(residual(), load_chip(path))["reason"]
