"""SANA-FE's own DVS-gesture network, 1,000 steps: its ``simple`` simulation beside ours, one thread each, in turns.

Both sides give the same figures, which is checked. Prints medians and their ratios. SANA-FE runs in
``.venv-sanafe`` (requirements/install_sanafe.sh) and takes 4.4 GB of memory. Run it with ``make bench``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # the network's description stands beside the test of it

from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.sanafe.simple import Simple, axons_of, loads_of, simple
from snn2chip.hw_models.sanafe.stream import stream
from snn2chip.hw_models.sanafe.trace import cell_of
from tests.peers import sanafe_dvs
from tests.peers.sanafe_runs import call
from tests.peers.test_sanafe import check_totals

ROUNDS, STEPS = 3, 1000


def ours(file: Path, chip: Chip) -> tuple[float, float, Simple]:
    """Seconds to read and place the network, seconds to run and price it, and what was found."""
    start = time.perf_counter()
    with np.load(file) as found:
        network = sanafe_dvs.gesture(dict(found))
    cells = {layer.name: cell_of(network.network, layer) for layer in network.layers}
    axons = axons_of(network.layers, network.cores)
    loaded = time.perf_counter()
    tracks = stream(network.layers, cells, network.currents, network.cores, STEPS)
    totals = simple(loads_of(network.layers, network.cores, axons, tracks), 0, network.cores.tiles, chip)
    return loaded - start, time.perf_counter() - loaded, totals


def theirs(folder: Path) -> dict[str, Any]:
    call(folder, "dvs", "theirs.json", str(STEPS), "simple")
    found: dict[str, Any] = json.loads((folder / "theirs.json").read_text(encoding="utf-8"))
    return found


def rounds(folder: Path) -> Iterator[tuple[float, float, float, float]]:
    """Seconds of one round: SANA-FE's load and run, our load and run (the median of five)."""
    call(folder, "dvs-data", "dvs.npz")
    chip = sanafe_dvs.chip(folder)
    ours(folder / "dvs.npz", chip)  # compiles
    for _ in range(ROUNDS):
        peer = theirs(folder)
        runs = [ours(folder / "dvs.npz", chip) for _ in range(5)]
        check_totals(runs[0][2], peer)
        load, run = (statistics.median(found[part] for found in runs) for part in range(2))
        yield peer["load_seconds"], peer["run_seconds"], load, run


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = list(rounds(Path(folder)))
    their_load, their_run, load, run = (statistics.median(part) for part in zip(*found, strict=True))
    print(f"SANA-FE: build and load  {their_load:8.3f} s     simple simulation  {their_run:8.3f} s")
    print(f"snn2chip: read and place {load:8.3f} s     run, count, price  {run:8.3f} s")
    print(f"simulation {their_run / run:.0f}x, with build and load {(their_load + their_run) / (load + run):.0f}x")


if __name__ == "__main__":
    main()
