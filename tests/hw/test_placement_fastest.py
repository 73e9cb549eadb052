"""The fastest placement is never slower than the default, and the report says what was compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings

from snn2chip.errors import UserError
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.fitting import fit
from snn2chip.hw_models.results import NetworkReport
from snn2chip.hw_models.simulate import simulate
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.networks import images, residual, unit
from tests.hw.test_conservation import population_network

TRAVEL = {"hop_x", "hop_y", "payload_bit_hop", "chip_crossing"}


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    """Few neurons on a core, 2 x 2 tiles on a chip, one place in every buffer: messages wait."""
    return unit(
        tmp_path_factory.mktemp("chips"),
        "crowded",
        limits__neurons_per_core="6",
        limits__buffer_messages="1",
        structure__cores="8",
        structure__cores_per_tile="2",
        structure__tile_columns="2",
    )


def interval(report: NetworkReport) -> float:
    assert report.latency.interval_cycles is not None
    return report.latency.interval_cycles


@settings(max_examples=15)
@given(cases(max_steps=2, max_batch=2, **EVERYTHING))
def test_the_faster_of_both_is_taken(crowded: Chip, case: Case) -> None:
    population_network(case)
    default, moved, best = (
        simulate(case.graph, case.inputs, None, crowded, timing="detailed", arrangement=name)
        for name in ("default", "optimised", "fastest")
    )
    assert interval(best) == min(interval(default), interval(moved))
    assert best.placement is not None
    taken = moved if interval(moved) <= interval(default) else default
    assert taken.placement is not None
    assert best.placement["arrangement"] == taken.placement["arrangement"]
    assert best.energy.dynamic == taken.energy.dynamic


def test_the_report_says_what_was_compared(crowded: Chip) -> None:
    graph = residual(steps=2)
    reports = [
        simulate(graph, images(graph), None, crowded, timing="detailed", arrangement=name)
        for name in ("default", "optimised", "fastest")
    ]
    (note,) = (note for note in reports[2].notes if note.startswith("Of two placements"))
    for name, report in zip(("default", "optimised"), reports, strict=False):
        travel = [row for row in report.totals.actions if row.action in TRAVEL]
        assert len(travel) == len(TRAVEL)
        joules = sum(row.energy.nominal for row in travel)
        (said,) = re.findall(rf"{name}: {interval(report):.6g} cycles and (\S+) nJ", note)
        assert float(said) * 1e-9 == pytest.approx(joules, rel=1e-3, abs=0)


def test_without_detailed_timing_no_placement_is_fastest(tmp_path: Path) -> None:
    graph, says = (
        residual(),
        "placement 'fastest' compares placements by detailed timing: simulate with --timing detailed",
    )
    with pytest.raises(UserError, match=says):
        simulate(graph, images(graph), None, unit(tmp_path), arrangement="fastest")
    with pytest.raises(UserError, match=says):
        fit(graph, unit(tmp_path), "fastest")
    with pytest.raises(UserError, match="an optimised placement moves cores, and it has none"):
        simulate(graph, images(graph), None, load_chip("dense-45nm"), timing="detailed", arrangement="fastest")
