"""The finer timing models: where SANA-FE's and ours stand to each other, as docs/sanafe.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from snn2chip import interpreter
from snn2chip.graph import Array, Graph
from snn2chip.hw_models import Chip, load_chip
from snn2chip.hw_models.detailed import timing
from snn2chip.hw_models.detailed.events import Events
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import lowered_for, place
from snn2chip.hw_models.sanafe import expected
from snn2chip.lowering import to_populations
from tests.peers.qualia_networks import currents, images
from tests.peers.sanafe_runs import simulated
from tests.peers.test_sanafe import CHOSEN, FEW_NEURONS

PAGE = Path(__file__).parents[2] / "docs" / "sanafe.md"
#: The rows of the table there, and the networks behind them.
ROWS = {
    "residual, N = 4, T = 1": "residual, N=4",
    "residual, SEW, N = 4, T = 1": "residual, N=4, SEW",
    "residual, N = 1, T = 3": "residual, T=3",
    "sequential, N = 1, T = 4": "sequential, T=4",
    "two currents that meet, T = 4": "currents that meet",
}
FASTER = '{ value = 0.001, unit = "ns", kind = "assumed", source = "sanafe" }'


def chips(folder: Path) -> tuple[Chip, Chip]:
    """20 neurons a core, so that 37 cores exchange messages; and the same with links that take no time."""
    fast = FEW_NEURONS + f"[times]\nhop_x = {FASTER}\nhop_y = {FASTER}\n"
    for name, text in (("few", FEW_NEURONS), ("fast", fast)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return load_chip(folder / "few.toml"), load_chip(folder / "fast.toml")


def ours(graph: Graph, inputs: Array, chip: Chip) -> tuple[float, float]:
    """Seconds of our `summary` and `detailed` timing."""
    network = to_populations(graph)
    cores, events = Neurocores(network, chip, place(network, chip)), Events(network, 1)
    activity = cores.activity(1)
    interpreter.run(graph, inputs, [events, activity])
    summary = cores.latency(activity)
    assert summary.seconds is not None
    return summary.seconds, timing.report(timing.time(cores, events), summary).cycles / cores.frequency


def microseconds(name: str, chip: Chip, folder: Path) -> tuple[int, list[float]]:
    """Cores, and the simulated time of the first sample: our two timings, then SANA-FE's three."""
    graph, inputs = CHOSEN[name]
    lowering = lowered_for(graph, chip)
    low, fed = (lowering.graph, lowering.encode(inputs[:1])) if lowering else (graph, inputs[:1])
    descriptions = [one.description for one in expected(graph, inputs[:1], chip)]
    theirs = [simulated(descriptions, folder, mode)[0]["sim_time"] for mode in ("simple", "detailed", "cycle")]
    cores: int = place(to_populations(low), chip).document()["cores"]
    return cores, [seconds * 1e6 for seconds in (*ours(low, fed, chip), *theirs)]


@pytest.mark.parametrize("row", ROWS)
def test_the_table_of_the_page(row: str, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    few, fast = chips(tmp_path)
    cores, times = microseconds(ROWS[row], few, tmp_path)
    assert f"| {row} | {cores} | {' | '.join(f'{time:.1f}' for time in times)} |" in text
    if row != next(iter(ROWS)):
        return
    summary, _, _, detailed, cycle = times
    _, (_, ours_fast, _, detailed_fast, cycle_fast) = microseconds(ROWS[row], fast, tmp_path)
    assert (
        f"`cycle` stays the same ({cycle_fast:.1f} in the first row), its `detailed` too\n({detailed_fast:.1f})" in text
    )
    assert cycle_fast == pytest.approx(cycle, rel=5e-3)
    assert detailed_fast == pytest.approx(detailed, rel=5e-3)
    assert f"our `detailed` falls to {ours_fast:.1f}, next to `summary`" in text
    assert ours_fast < 1.02 * summary


def test_the_order_of_the_models(tmp_path: Path) -> None:
    graph = currents(4)
    inputs = images(graph, samples=1)
    found = []
    for chip in chips(tmp_path):
        descriptions = [one.description for one in expected(graph, inputs, chip)]
        modes = ("simple", "detailed", "cycle")
        theirs = {mode: simulated(descriptions, tmp_path, mode)[0]["sim_time"] for mode in modes}
        summary, detailed = ours(graph, inputs, chip)
        assert theirs["simple"] < min(theirs["detailed"], theirs["cycle"])
        assert theirs["simple"] < summary < detailed
        found.append((theirs["cycle"], detailed))
    # SANA-FE's cycle-accurate mesh has a clock of its own; ours has the chip file's links.
    (cycle, detailed), (cycle_without_links, detailed_without_links) = found
    assert cycle_without_links == pytest.approx(cycle, rel=0.02)
    assert detailed_without_links < 0.9 * detailed
