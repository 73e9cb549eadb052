"""Where the energy goes: parts that are the whole."""

from __future__ import annotations

import math

import pytest

from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.actions import ACTIONS
from snn2chip.hw_models.chip import available_chips
from snn2chip.report.breakdown import PARTS, breakdown, part_of, where_it_goes
from snn2chip.report.energy_report import EnergyReport
from tests.hw.networks import images, residual


@pytest.mark.parametrize("name", available_chips())
def test_parts_add_up_to_the_total(name: str) -> None:
    graph = residual(steps=1, levels=2, size=8)
    report = simulate(graph, images(graph), None, load_chip(name))
    found = breakdown(report)
    known = [joules for joules in found.values() if joules is not None]
    assert math.fsum(known) == pytest.approx(report.energy.total.nominal, rel=1e-12, abs=0)
    assert (found["static"] is None) == (report.energy.static is None)


def test_every_action_of_a_neurocore_has_its_part() -> None:
    parts = {action: part_of(action) for action in ACTIONS["neurocore"]}
    assert set(parts.values()) == {"synapses", "neurons", "messages", "memories", "synchronisation"}
    assert [action for action, part in parts.items() if part == "synchronisation"] == ["barrier"]
    assert all(part == "memories" for action, part in parts.items() if action.endswith(("_read", "_write")))


def test_the_table_shows_what_at_least_one_network_has() -> None:
    graph = residual(steps=1, levels=2)
    on = {name: simulate(graph, images(graph), None, load_chip(name), label=name) for name in ("unit", "lemaire-45nm")}
    sheet = where_it_goes(EnergyReport(tuple(on.values())))
    assert sheet.numbers == PARTS
    assert [row[0] for row in sheet.rows] == ["unit", "lemaire-45nm"]
    assert [cell == "-" for cell in sheet.rows[0][1:]] == [part == "arithmetic" for part in PARTS]
    assert sheet.footnote.startswith("-: the chip file has no price for it alone")
    alone = where_it_goes(EnergyReport((on["lemaire-45nm"],)))
    assert alone.numbers == ("arithmetic", "memories", "input")
    assert alone.footnote.startswith("Input: ")


def test_parts_without_a_column_are_named() -> None:
    graph = residual(steps=1, levels=2)
    sheet = where_it_goes(EnergyReport((simulate(graph, images(graph), None, load_chip("loihi2")),)))
    assert sheet.numbers == ("synapses", "neurons", "messages", "input", "static")
    assert sheet.footnote.startswith(
        "Without a price of their own, and so without a column: memories, synchronisation. Input: "
    )
