"""Ranges against brute force: widths of an access, and times, each simulated on its own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.results import ChipSummary, MemoryRow, NetworkReport, Range, SourcedPrice
from snn2chip.ops import LIF, Input, Linear, Readout
from snn2chip.report import prices
from snn2chip.report.break_even import break_even
from snn2chip.report.energy_report import energy_delay
from snn2chip.report.ratios import compare_networks
from tests.hw.networks import chain, images, residual
from tests.report.builder import priced

WIDTH = Range(1.0, 16.0, 64.0)


def leaking(levels: int = 1) -> Graph:
    """4 inputs, 6 neurons that fade, 2 classes, T = 2."""
    rng = np.random.default_rng(7)
    size, decay = frozen(np.full(6, 40), np.int32), frozen(np.full(6, 3000), np.int32)
    return Graph(
        (
            Node("x", Input((4,), 1)),
            Node("in", Linear(frozen(rng.integers(-20, 60, (6, 4)), np.int8)), ("x",)),
            Node("hidden", LIF(size, size, decay, levels=levels), ("in",)),
            Node("fc", Linear(frozen(rng.integers(-9, 9, (2, 6)), np.int8)), ("hidden",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=2,
    )


def accessing(label: str, words: dict[int, float], sums: float) -> NetworkReport:
    """A network that pays, per word width, so much for whole accesses, and `sums` for additions."""

    def at(width: float) -> float:
        return sum(whole * min(1.0, bits / width) for bits, whole in words.items())

    spent = Range(at(WIDTH.high), at(WIDTH.nominal), at(WIDTH.low))
    actions = {"weight_read": spent, "accumulate": Range(sums, sums, sums)}
    report = priced(label, dict.fromkeys(actions, 1), actions)
    memories = tuple(
        MemoryRow("weight", bits, 1, 0, Range(*(whole * min(1.0, bits / end) for end in (64.0, 16.0, 1.0))))
        for bits, whole in words.items()
    )
    number = SourcedPrice("words.access", "16 (1 to 64) bit", "assumed", "somebody, 2014", WIDTH)
    chip = ChipSummary("x", "x", "formula", None, "x", (number,))
    return replace(report, chip=chip, totals=replace(report.totals, memories=memories))


def test_a_ratio_can_be_largest_between_the_ends() -> None:
    """min(1, 32/w) / (min(1, 8/w) + 0.1): 1 / 1.1 at 1 bit, 0.5 / 0.225 at 64, and 1 / 0.35 at 32 in between."""
    own, other = accessing("own", {8: 1.0}, 0.1), accessing("other", {32: 1.0}, 0.0)
    found = compare_networks(own, other).dynamic
    assert found is not None
    assert (found.low, found.nominal, found.high) == pytest.approx((1 / 1.1, 1 / 0.6, 1 / 0.35), rel=1e-12)


@cache
def at_width(folder: Path, chip: str, bits: int | None, which: str) -> NetworkReport:
    """A network on a 45 nm chip whose accesses move so many bits; with the range of its file for None."""
    graph = {"residual": residual(levels=3, size=4), "leaking": leaking()}[which]
    path: Path | str = chip
    if bits is not None:
        path = folder / f"{chip}-{bits}.toml"
        number = f'{{ value = {bits}, unit = "bit", kind = "assumed", source = "horowitz2014" }}'
        path.write_text(f'name = "{chip}"\ntitle = "t"\ninherits = "{chip}"\n[words]\naccess = {number}\n')
    return simulate(graph, images(graph, samples=1), None, load_chip(path), label=which)


def widths(reports: list[NetworkReport]) -> list[int]:
    """Of every word, and so many others that an extreme elsewhere would show."""
    words = {memory.word_bits for report in reports for memory in report.totals.memories}
    return sorted({*range(1, 65, 4), 64, *(bits for bits in words if bits <= 64)})


@pytest.mark.parametrize(
    ("own", "other"),
    [
        (("lemaire-45nm", "leaking"), ("lemaire-45nm", "residual")),
        (("lemaire-45nm", "residual"), ("dense-45nm", "leaking")),
        (("dense-45nm", "leaking"), ("dense-45nm-zero-skipping", "residual")),
    ],
)
def test_the_range_is_that_of_all_widths(
    own: tuple[str, str], other: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    ratios, wide = [], [at_width(folder, chip, None, which) for chip, which in (own, other)]
    for bits in widths(wide):
        below, above = (at_width(folder, chip, bits, which) for chip, which in (own, other))
        ratios.append(above.energy.dynamic.nominal / below.energy.dynamic.nominal)
    found = compare_networks(*wide).dynamic
    assert found is not None
    assert (found.low, found.high) == pytest.approx((min(ratios), max(ratios)), rel=1e-9)


@pytest.mark.parametrize("which", ["residual", "leaking"])
def test_the_break_even_is_that_of_all_widths(which: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()

    def at(bits: int | None) -> Range:
        found = break_even(*(at_width(folder, chip, bits, which) for chip in ("lemaire-45nm", "dense-45nm")))
        assert found is not None
        return found.factor

    wide = [at_width(folder, chip, None, which) for chip in ("lemaire-45nm", "dense-45nm")]
    factors = [at(bits).nominal for bits in widths(wide)]
    found = at(None)
    assert (found.low, found.high) == pytest.approx((min(factors), max(factors)), rel=1e-9)
    assert found.nominal == pytest.approx(at(32).nominal, rel=1e-12)


def timed(folder: Path, low: float, nominal: float, high: float, graph: Graph) -> NetworkReport:
    """On chip `unit`, 2 x 2 tiles of 1 core for 2 neurons, with a range of the time of a synaptic operation."""
    path = folder / f"timed-{low}-{nominal}-{high}.toml"
    ends = f"low = {low}, nominal = {nominal}, high = {high}"
    path.write_text(
        'name = "timed"\ntitle = "t"\ninherits = "unit"\n'
        '[limits]\nneurons_per_core = { value = 2, unit = "1", kind = "assumed", source = "unit" }\n'
        '[structure]\ntile_columns = { value = 2, unit = "1", kind = "assumed", source = "unit" }\n'
        f'[times]\nsynaptic_operation = {{ {ends}, unit = "ns", kind = "assumed", source = "unit" }}\n'
    )
    return simulate(graph, np.array([[1, 0]], np.uint8), None, load_chip(path), label="timed")


def test_times_reach_latency_static_energy_and_energy_delay(tmp_path: Path) -> None:
    """The cores of docs/hardware-models.md, with t ns an operation: max(4 + t, 3 + 2t), max(4 + t, 5 + 2t, 3 + 2t) and
    4 + 4t, and three barriers; in a stream the last runs beside the first, with two barriers."""
    found = timed(tmp_path, 0.5, 1.0, 2.0, chain())
    assert found.latency.seconds == pytest.approx(23e-9, rel=1e-12, abs=0)
    seconds, interval = found.latency.seconds_range, found.latency.interval_range
    assert seconds is not None
    assert interval is not None
    assert (seconds.low, seconds.nominal, seconds.high) == pytest.approx((19.5e-9, 23e-9, 31e-9), rel=1e-12, abs=0)
    assert (interval.low, interval.nominal, interval.high) == pytest.approx((14e-9, 17e-9, 23e-9), rel=1e-12, abs=0)
    static = found.energy.static
    assert static is not None
    assert (static.low, static.nominal, static.high) == pytest.approx((19.5e-12, 23e-12, 31e-12), rel=1e-12, abs=0)
    product = energy_delay(found)
    assert product is not None
    assert product.low == pytest.approx((108 + 19.5) * 19.5e-21, rel=1e-12, abs=0)
    assert product.high == pytest.approx((108 + 31) * 31e-21, rel=1e-12, abs=0)
    (swing,) = prices.swings(found, prices.total)
    assert swing.number == "times"
    assert (swing.low, swing.high) == pytest.approx((127.5e-12, 139e-12), rel=1e-12, abs=0)


@pytest.mark.parametrize("nanoseconds", [3.1, 4.7])
def test_the_ends_are_those_of_a_file_with_that_time(tmp_path: Path, nanoseconds: float) -> None:
    """On loihi1-sanafe, whose idle neurons are visited, in the graph of every kind of layer."""
    path = tmp_path / "fixed.toml"
    entry = f'{{ value = {nanoseconds}, unit = "ns", kind = "assumed", source = "sanafe" }}'
    path.write_text(f'name = "f"\ntitle = "t"\ninherits = "loihi1-sanafe"\n[times]\nsynaptic_operation = {entry}\n')
    graph = residual(steps=3, levels=1)
    fixed, wide = (simulate(graph, images(graph), None, load_chip(chip)) for chip in (path, "loihi1-sanafe"))
    end = "low" if nanoseconds == 3.1 else "high"
    for name in ("seconds", "interval"):
        alone = getattr(fixed.latency, f"{name}_range")
        assert alone.low == alone.high
        assert getattr(getattr(wide.latency, f"{name}_range"), end) == pytest.approx(alone.nominal, rel=1e-12, abs=0)


def test_ratios_of_totals_and_latencies_hold_every_time(tmp_path: Path) -> None:
    """Bounds, for both latencies depend on the same times: each time alone gives a ratio within."""
    graphs = chain(), replace(chain(), steps=4)
    wide = compare_networks(*(timed(tmp_path, 0.5, 1.0, 2.0, graph) for graph in graphs))
    assert wide.total is not None
    assert wide.latency_range is not None
    for time in (0.5, 0.7, 1.0, 1.3, 2.0):
        fixed = compare_networks(*(timed(tmp_path, time, time, time, graph) for graph in graphs))
        assert fixed.total is not None
        assert fixed.latency is not None
        assert fixed.total.low == fixed.total.nominal == fixed.total.high, "nothing else is open"
        assert wide.total.low < fixed.total.nominal < wide.total.high
        assert wide.latency_range.low < fixed.latency < wide.latency_range.high


def test_detailed_timing_has_the_ranges_too(tmp_path: Path) -> None:
    found = timed(tmp_path, 0.5, 1.0, 2.0, chain())
    path = tmp_path / "timed-0.5-1.0-2.0.toml"
    detailed = simulate(chain(), np.array([[1, 0]], np.uint8), None, load_chip(path), timing="detailed")
    assert found.latency.seconds_range is not None
    assert detailed.latency.seconds_range is not None
    ends = [tuple(vars(each.latency.seconds_range).values()) for each in (found, detailed)]
    assert detailed.latency.seconds == ends[1][1] == pytest.approx(31e-9, rel=1e-12, abs=0)
    assert all(summary <= whole for summary, whole in zip(*ends, strict=True)), "waiting never saves time"
    assert ends[1][0] < ends[1][1] < ends[1][2]
