"""An optimised placement moves cores: hops fall, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from snn2chip.errors import UserError
from snn2chip.graph import Graph
from snn2chip.hw_models import arrangement
from snn2chip.hw_models.arrangement import messages, optimised
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.flows import flows_of, links_crossed
from snn2chip.hw_models.placement import Placement, place
from snn2chip.hw_models.results import NOTHING, LayerRow, NetworkReport
from snn2chip.hw_models.simulate import simulate
from snn2chip.hw_models.traffic import traffic_of
from snn2chip.lowering import to_populations
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.networks import chain, images, residual, unit
from tests.hw.test_conservation import population_network

#: What moving cores may change.
MOVED = ("hop_x", "hop_y", "payload_bit_hop", "chip_crossing")


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    """At most 3 neurons on a core, two cores on a tile, 9 cores on a chip: the last tile of each has one core only."""
    return unit(
        tmp_path_factory.mktemp("chips"),
        "spread",
        limits__neurons_per_core="3",
        structure__cores="9",
        structure__cores_per_tile="2",
        structure__tile_columns="3",
    )


def links(placement: Placement) -> int:
    """Hops and crossings where every neuron fires once, by the maps that reports are made of."""
    found = 0
    for population in placement.network.populations:
        for projection in population.projections:
            traffic = traffic_of(placement, projection)
            found += int((traffic.hops_x + traffic.hops_y + traffic.crossings).sum())
    return found


def seats(placement: Placement) -> list[tuple[int, int, int]]:
    return [(slot.chip, slot.x, slot.y) for slots in placement.slots.values() for slot in slots]


@settings(max_examples=40)
@given(cases(max_steps=2, max_batch=2, **EVERYTHING))
def test_only_hops_change_and_they_fall(spread: Chip, case: Case) -> None:
    population_network(case)
    reports = [simulate(case.graph, case.inputs, None, spread, arrangement=name) for name in ("default", "optimised")]
    assert crossed(reports[1]) <= crossed(reports[0])
    assert unmoved(reports[0]) == unmoved(reports[1])
    assert reports[0].latency == reports[1].latency


def crossed(report: NetworkReport) -> float:
    return sum(row.count for row in report.totals.actions if row.action in ("hop_x", "hop_y", "chip_crossing"))


def unmoved(report: NetworkReport) -> list[LayerRow]:
    """The rows without what follows from places."""
    return [
        replace(row, hops=None, energy=NOTHING, actions=tuple(act for act in row.actions if act.action not in MOVED))
        for row in report.layers
    ]


@settings(max_examples=40)
@given(cases(max_steps=1, max_batch=1, **EVERYTHING))
def test_every_core_keeps_a_seat_of_its_own(spread: Chip, case: Case) -> None:
    before = place(population_network(case), spread)
    after = optimised(before)
    taken = seats(after)
    for seat in set(taken):
        column, row = seat[1] % 3, seat[2]
        assert taken.count(seat) <= (1 if (column, row) == (1, 1) else 2)
        assert seat[1] // 3 == seat[0] < before.chips
        assert 3 * row + column < 5
    assert after.tiles == before.tiles
    assert links(after) <= links(before)
    assert [slot.index for slots in after.slots.values() for slot in slots] == list(range(after.cores))
    assert seats(optimised(before)) == taken


def test_expected_messages_are_those_of_the_traffic_maps(spread: Chip) -> None:
    placement = place(to_populations(residual()), spread)
    flow, entering = messages(placement.cores, flows_of(placement))
    maps = [
        traffic_of(placement, each).messages.sum()
        for layer in placement.network.populations
        for each in layer.projections
    ]
    assert flow.sum() + entering.sum() == sum(maps)


def test_the_best_of_all_orders_is_found_on_a_small_mesh(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="1", structure__cores="6", structure__tile_columns="3")
    before = place(to_populations(chain()), chip)
    tiles = [(x, y) for y in range(2) for x in range(3)]
    slots = [slot for found in before.slots.values() for slot in found]

    def moved(order: tuple[tuple[int, int], ...]) -> Placement:
        where = dict(zip((slot.index for slot in slots), order, strict=False))
        found = {
            name: tuple(replace(slot, x=where[slot.index][0], y=where[slot.index][1]) for slot in held)
            for name, held in before.slots.items()
        }
        return replace(before, slots=found)

    best = min(links(moved(order)) for order in permutations(tiles, len(slots)))
    assert best <= links(optimised(before)) <= links(before)
    assert links(optimised(before)) == best


def test_measured_events_decide_where_cores_lie(tmp_path: Path) -> None:
    graph = residual(steps=2, levels=3)
    chip = unit(tmp_path, limits__neurons_per_core="12")
    network = to_populations(graph)
    silent = {population.name: np.zeros(population.shape, np.int64) for population in network.populations}
    before = place(network, chip)
    assert seats(optimised(before, silent)) == seats(before)  # nothing to gain
    assert seats(optimised(before)) != seats(before)


def test_the_report_says_how_cores_were_arranged(tmp_path: Path) -> None:
    graph: Graph = residual()
    report = simulate(graph, images(graph), None, unit(tmp_path), arrangement="optimised")
    assert report.placement is not None
    assert report.placement["arrangement"] == "optimised"
    assert any("few hops of the messages of these very inputs" in note for note in report.notes)


@settings(max_examples=15)
@given(cases(max_steps=1, max_batch=1, **EVERYTHING))
def test_the_search_for_many_cores_keeps_the_seats_and_never_adds_links(spread: Chip, case: Case) -> None:
    before = place(population_network(case), spread)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrangement, "_MOST_CORES", 0)
        after = optimised(before)
        assert seats(optimised(before)) == seats(after)
    taken = seats(after)
    for seat in set(taken):
        assert taken.count(seat) <= (1 if (seat[1] % 3, seat[2]) == (1, 1) else 2)
        assert seat[1] // 3 == seat[0] < before.chips
    assert after.tiles <= before.tiles
    assert links(after) <= links(before)


def test_links_are_those_of_the_traffic_maps(spread: Chip) -> None:
    before = place(to_populations(residual()), spread)
    for placement in (before, optimised(before)):
        tiles = np.array([seat[1:] for seat in seats(placement)])
        assert links_crossed(flows_of(placement), tiles, 3) == links(placement)


def test_the_search_for_many_cores_saves_a_third_of_the_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="12", structure__cores="200", structure__tile_columns="10")
    before = place(to_populations(residual(size=12)), chip)
    monkeypatch.setattr(arrangement, "_MOST_CORES", 0)
    # The search by pairs of cores takes 50 times as long to find 56100.
    assert (before.cores, links(before), links(optimised(before))) == (157, 90144, 58080)


@pytest.mark.parametrize(
    ("chip", "name", "says"),
    [
        ("unit", "best", "placement 'best' is unknown: give 'default', 'optimised' or 'fastest'"),
        (
            "dense-45nm",
            "optimised",
            "chip dense-45nm: an optimised placement moves cores, and it has none: use the default one",
        ),
    ],
)
def test_an_impossible_arrangement_is_refused(chip: str, name: str, says: str) -> None:
    graph = residual()
    with pytest.raises(UserError, match=says):
        simulate(graph, images(graph), None, load_chip(chip), arrangement=name)
