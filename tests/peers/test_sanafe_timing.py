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
from snn2chip.hw_models.placement import place
from snn2chip.hw_models.sanafe import expected
from snn2chip.lowering import to_populations
from tests.peers.qualia_networks import currents, images
from tests.peers.sanafe_runs import simulated
from tests.peers.test_sanafe import FEW_NEURONS

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
