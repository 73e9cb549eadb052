"""docs/hardware-micro-networks.md, number by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snn2chip.graph import Graph, Node
from snn2chip.hw_models.detailed.results import CoreRow, DetailedTiming, LinkRow, TimelineRow
from snn2chip.hw_models.results import NetworkReport
from snn2chip.hw_models.simulate import simulate
from snn2chip.ops import Input, Linear, MultiLevelIF, Readout
from tests.hw.networks import chain, thresholds, unit, weight


def micro() -> Graph:
    return Graph(
        (
            Node("x", Input((2,), 1)),
            Node("in", Linear(weight([[1, 0], [1, 1], [0, 1], [1, 1]])), ("x",)),
            Node("hidden", MultiLevelIF(thresholds(1, 1, 1, 1), 1), ("in",)),
            Node("fc", Linear(weight([[1, 1, 0, 0], [0, 0, 1, 1]])), ("hidden",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=2,
    )


def found(folder: Path, **changes: str) -> tuple[NetworkReport, NetworkReport, DetailedTiming]:
    chip, image = unit(folder, **changes), np.array([[1, 1]], np.uint8)
    summary, detailed = (simulate(micro(), image, None, chip, timing=timing) for timing in ("summary", "detailed"))
    assert detailed.detailed is not None
    return summary, detailed, detailed.detailed


def times(row: CoreRow) -> tuple[float, ...]:
    return row.messages, row.taking_in, row.starved, row.updating, row.sending, row.waiting


class TestBackPressure:
    @pytest.fixture
    def both(self, tmp_path: Path) -> tuple[NetworkReport, NetworkReport, DetailedTiming]:
        return found(tmp_path, limits__neurons_per_core="4", limits__buffer_messages="1")

    def test_counts_and_hops(self, both: tuple[NetworkReport, NetworkReport, DetailedTiming]) -> None:
        for report in both[:2]:
            rows = {row.name: row for row in report.layers}
            assert [(rows[name].messages, rows[name].hops) for name in ("x", "hidden")] == [(4, 0), (8, 8)]
            assert [rows[name].synaptic_operations for name in ("hidden", "out")] == [16, 16]
            assert (report.totals.messages, report.totals.hops) == (12, 8)

    def test_summary(self, both: tuple[NetworkReport, NetworkReport, DetailedTiming]) -> None:
        assert (both[0].latency.cycles, both[0].latency.interval_cycles) == (61, 46)
        assert [row.cycles for row in both[0].layers] == [0, 2 * 22, 2 * 14]

    def test_detailed(self, both: tuple[NetworkReport, NetworkReport, DetailedTiming]) -> None:
        detailed = both[2]
        assert (both[1].latency.cycles, both[1].latency.interval_cycles) == (70, 50)
        assert detailed.step_cycles == (25, 25, 20)
        assert detailed.barrier_cycles == 3
        hidden, out = detailed.cores
        assert times(hidden) == (4, 20, 4, 8, 16, 70 - 48)
        assert times(out) == (8, 24, 10, 4, 0, 70 - 38)
        assert (hidden.contention, hidden.back_pressure) == (0, 14)
        assert detailed.timeline == (
            TimelineRow(0, 0, taking_in=10, starved=2, updating=4, sending=8),
            TimelineRow(1, 0, taking_in=10, starved=2, updating=4, sending=8),
            TimelineRow(1, 1, taking_in=12, starved=5, updating=2, sending=0),
            TimelineRow(2, 1, taking_in=12, starved=5, updating=2, sending=0),
        )
        assert detailed.links == (LinkRow(0, 0, 1, 0, 8, 8, 8 / 50, 0, 12),)

    def test_critical_path(self, both: tuple[NetworkReport, NetworkReport, DetailedTiming]) -> None:
        hidden, out = both[2].critical_path
        assert (hidden.layer, hidden.steps, out.layer, out.steps) == ("hidden", 2, "out", 1)
        assert (hidden.travel, hidden.contention, hidden.back_pressure, hidden.behind) == (2, 0, 10, 2)
        assert (hidden.taking_in, hidden.updating, hidden.sending) == (10, 8, 16)
        # Message 4: 7 cycles behind others, 3 as the head, 1 on the link, 2 in its buffer, 1 on the port.
        assert (out.travel, out.contention, out.back_pressure, out.behind) == (2, 0, 5, 7)
        assert (out.taking_in, out.updating, out.sending) == (3, 2, 0)


class TestContention:
    @pytest.fixture
    def both(self, tmp_path: Path) -> tuple[NetworkReport, NetworkReport, DetailedTiming]:
        return found(tmp_path, limits__neurons_per_core="2", structure__cores_per_tile="2")

    def test_counts_and_hops(self, both: tuple[NetworkReport, NetworkReport, DetailedTiming]) -> None:
        rows = {row.name: row for row in both[1].layers}
        assert [(rows[name].messages, rows[name].hops) for name in ("x", "hidden")] == [(8, 0), (8, 8)]
        assert [rows[name].synaptic_operations for name in ("hidden", "out")] == [16, 16]

    def test_summary(self, both: tuple[NetworkReport, NetworkReport, DetailedTiming]) -> None:
        assert (both[0].latency.cycles, both[0].latency.interval_cycles) == (43, 30)

    def test_detailed(self, both: tuple[NetworkReport, NetworkReport, DetailedTiming]) -> None:
        detailed = both[2]
        assert (detailed.cycles, detailed.interval_cycles) == (49, 34)
        assert detailed.step_cycles == (15, 17, 17)
        first, second, out = detailed.cores
        assert times(first) == (4, 12, 2, 4, 8, 49 - 26)
        assert times(second) == (4, 12, 4, 4, 8, 49 - 28)
        assert times(out) == (8, 24, 4, 4, 0, 49 - 32)
        assert (first.contention, second.contention) == (2, 4)
        assert first.back_pressure == second.back_pressure == 0


def test_the_chain_of_hardware_models(tmp_path: Path) -> None:
    """docs/hardware-models.md, on the same cores as there."""
    chip = unit(tmp_path, limits__neurons_per_core="2", structure__cores="4", structure__tile_columns="2")
    report = simulate(chain(), np.array([[1, 0]], np.uint8), None, chip, timing="detailed")
    assert report.detailed is not None
    assert report.detailed.step_cycles == (9, 11, 11)
    assert (report.latency.cycles, report.latency.interval_cycles) == (31, 22)
