"""A residual network over two chips of a user's own scenario: times and prices of what passes between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from snn2chip.errors import UserError
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.results import NetworkReport
from snn2chip.hw_models.simulate import simulate
from tests.hw.networks import images, residual


def scenario(folder: Path, time: int | None, price: bool = True) -> Chip:
    """Loihi 2 with few neurons on few cores, and what a user knows about messages between chips."""
    lines = [
        'name = "board"',
        'title = "Loihi 2, two chips on a board"',
        'inherits = "loihi2"',
        'scenario = "crossings of a board of mine"',
        'sources.mine = "data sheet of the board"',
    ]
    for key, value in {"limits.neurons_per_core": 36, "structure.cores": 8, "structure.tile_columns": 2}.items():
        lines.append(f'{key} = {{ value = {value}, unit = "1", kind = "assumed", source = "mine" }}')
    if time is not None:
        lines.append(f'times.chip_crossing = {{ value = {time}, unit = "ns", kind = "assumed", source = "mine" }}')
    if price:
        lines.append('prices.chip_crossing = { value = 50, unit = "pJ", kind = "assumed", source = "mine" }')
    path = folder / "board.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_chip(path)


def run(chip: Chip, arrangement: str = "default") -> NetworkReport:
    graph = residual(steps=2)
    return simulate(graph, images(graph, samples=2), None, chip, timing="detailed", arrangement=arrangement)


def test_slow_crossings_take_longer_and_cost_what_the_file_says(tmp_path: Path) -> None:
    fast, slow = run(scenario(tmp_path, 1)), run(scenario(tmp_path, 1000))
    assert fast.placement is not None
    assert fast.placement["chips"] == 2
    assert fast.latency.cycles is not None
    assert slow.latency.cycles is not None
    assert slow.latency.cycles > fast.latency.cycles + 1000
    (row,) = (row for row in fast.totals.actions if row.action == "chip_crossing")
    assert row.energy.nominal == pytest.approx(row.count * 50e-12, rel=1e-12, abs=0)
    assert row.count > 0


def test_detailed_timing_without_the_time_between_chips_names_key_and_file(tmp_path: Path) -> None:
    chip = scenario(tmp_path, None)
    with pytest.raises(UserError) as caught:
        run(chip)
    assert str(tmp_path / "board.toml") in str(caught.value)
    assert "[times] chip_crossing" in str(caught.value)
