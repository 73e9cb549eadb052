"""The tables of detailed timing show what the engine found, and nothing where it was not asked."""

from __future__ import annotations

import pytest

from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.results import NetworkReport
from snn2chip.report import EnergyReport
from snn2chip.report.html import page
from snn2chip.report.stalls import detailed
from snn2chip.report.terminal import text
from snn2chip.report.units import count
from tests.hw.networks import images, residual


@pytest.fixture(scope="module")
def timed() -> NetworkReport:
    graph = residual(steps=2)
    return simulate(graph, images(graph), None, load_chip("unit"), label="own", timing="detailed")


def test_what_the_engine_found_is_shown(timed: NetworkReport) -> None:
    timing = timed.detailed
    assert timing is not None
    path, cores, links = detailed(timed)
    assert [row[0] for row in path.rows] == [row.layer for row in timing.critical_path]
    assert f"add up to {count(timing.cycles)}" in path.footnote
    assert 0 < len(cores.rows) <= 8
    work = {str(row.core): row.taking_in + row.updating + row.sending for row in timing.cores}
    shown = [work[row[0]] for row in cores.rows]
    assert shown == sorted(work.values(), reverse=True)[: len(shown)]
    assert len(links.rows) == min(8, len(timing.links)) > 0
    assert links.rows[0][2] == count(max(row.busy for row in timing.links))


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_and_page_have_them(timed: NetworkReport, width: int) -> None:
    report = EnergyReport((timed,))
    shown = text(report, width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for title in ("Critical path of own", "Busiest cores of own", "Busiest links of own"):
        assert title in shown
        assert title in page(report)


def test_summary_timing_has_none_of_them() -> None:
    graph = residual()
    report = simulate(graph, images(graph), None, load_chip("unit"))
    assert detailed(report) == ()
    assert "Critical path" not in text(EnergyReport((report,)), 120)
