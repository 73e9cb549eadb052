"""Detailed timing, one thread: a Sparse-ResNet-18, and SANA-FE's DVS-gesture network beside SANA-FE's own ``detailed``.

The ResNet (width 64, 3x32x32, T=4, random weights) runs once, alone and in a stream; on loihi2 it takes more cores than
one chip has, and no time of a message between chips is published, so that the chip here has 256. SANA-FE's network runs
for 1,000 steps on the cores of its tutorial; the two machines differ, but the messages are the same, which is checked.
SANA-FE runs in ``.venv-sanafe`` (requirements/install_sanafe.sh). Run it with ``make bench``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # the description of SANA-FE's network stands beside the test of it

from benchmarks.counting import IMAGES, calibrated
from snn2chip import api, engine
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.detailed.axons import Axons
from snn2chip.hw_models.detailed.kernel import Ints
from snn2chip.hw_models.detailed.steps import Machine, Trace, run_all
from snn2chip.hw_models.detailed.topology import mesh_of, picoseconds
from snn2chip.hw_models.sanafe.prices import barrier
from snn2chip.hw_models.sanafe.simple import axons_of
from snn2chip.hw_models.sanafe.stream import stream
from snn2chip.hw_models.sanafe.trace import Track, cell_of
from snn2chip.hw_models.simulate import simulate
from tests.peers import sanafe_dvs
from tests.peers.sanafe_runs import call

ROUNDS, STEPS = 3, 1000
LARGE = """name = "loihi2-large"
inherits = "loihi2"
structure.cores = { value = 256, unit = "1", kind = "assumed", source = "convention" }
"""


def residual(folder: Path) -> None:
    """Seconds of `simulate` with both timings, and what they say."""
    torch.set_num_threads(1)
    graph = api.compile_module(calibrated(), "resnet18", (3, 32, 32)).graph
    (folder / "large.toml").write_text(LARGE, encoding="utf-8")
    chip = load_chip(folder / "large.toml")
    simulate(graph, IMAGES[:1], None, chip, execute=engine.run, timing="detailed")  # compiles
    seconds = {}
    for timing in ("summary", "detailed"):
        start = time.perf_counter()
        found = simulate(graph, IMAGES[:1], None, chip, execute=engine.run, timing=timing)
        seconds[timing] = time.perf_counter() - start
    assert found.detailed is not None
    messages = sum(row.messages for row in found.detailed.cores)
    print(f"Sparse-ResNet-18, {len(found.detailed.cores)} cores, {messages / 1e6:.1f} M messages an inference")
    print(f"  summary {seconds['summary']:.2f} s, detailed (alone and in a stream) {seconds['detailed']:.1f} s")
    print(f"  latency {found.detailed.cycles / found.detailed.summary_cycles:.2f}x that of summary timing")
    print(f"  peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def gesture(file: Path, chip: Chip) -> tuple[float, float, float, Trace]:
    """Seconds to build, seconds to run and time, those of the processor for the latter, and the steps."""
    start = time.perf_counter()
    with np.load(file) as found:
        network = sanafe_dvs.gesture(dict(found))
    cells = {layer.name: cell_of(network.network, layer) for layer in network.layers}
    axons = _axons(network, chip)
    mesh = mesh_of(chip, network.cores.x, network.cores.y)
    built, used = time.perf_counter(), time.process_time()
    tracks = stream(network.layers, cells, network.currents, network.cores, STEPS)
    fired = _fired(network, tracks)
    updating, sending = _own(network, chip, tracks, axons)
    depth = np.ones(network.cores.cores, np.int64)
    waits = picoseconds(barrier(chip, network.cores.tiles))
    trace = run_all(Machine(mesh, axons, fired, depth, updating, sending, 0 * depth, waits))
    return built - start, time.perf_counter() - built, time.process_time() - used, trace


def _axons(network: sanafe_dvs.Gesture, chip: Chip) -> Axons:
    """A branch for every core, and one arm for each core that its layer reaches."""
    operation, arrival = _time(chip, "synaptic_operation"), _time(chip, "axon_in_read")
    columns: list[Ints] = [np.zeros(0, np.int64)]
    copies, origins, arms, cores, times, work = [*columns], [], [0], [], [], [*columns]
    offset = size = 0
    for layer, axons in axons_of(network.layers, network.cores).items():
        home = network.cores.home[layer]
        reached = np.unique(axons.core)
        table = np.full((len(reached), len(home)), -1, np.int64)
        neuron = np.repeat(np.arange(len(home)), np.diff(axons.first))
        table[np.searchsorted(reached, axons.core), neuron] = arrival + operation * axons.synapses
        for core in np.unique(home):
            inside = np.flatnonzero(home == core)
            columns.append(offset + inside)
            copies.append(np.diff(axons.first)[inside])
            origins.append(offset)
            cores += reached.tolist()
            times += (size + len(home) * np.arange(len(reached))).tolist()
            arms.append(len(cores))
        work.append(table.reshape(-1))
        offset, size = offset + len(home), size + table.size
    branches = len(origins)
    first = np.array([*range(branches + 1), branches], np.int64)  # the host sends nothing
    at = np.cumsum([len(found) for found in columns], dtype=np.int64)
    rest = (np.array(found, np.int64) for found in (origins, arms, cores, times))
    joined = (np.concatenate(found).astype(np.int64) for found in (columns, copies))
    return Axons(first, at, *joined, *rest, np.concatenate(work), np.ones(branches, np.int64))


def _fired(network: sanafe_dvs.Gesture, tracks: dict[str, Track]) -> np.ndarray:
    sizes = [layer.signal.size for layer in network.layers]
    fired = np.zeros((STEPS, sum(sizes)), np.uint8)
    for layer, start in zip(network.layers, np.cumsum([0, *sizes]), strict=False):
        fired[tracks[layer.name].step, start + tracks[layer.name].neuron] = 1
    return fired


def _own(network: sanafe_dvs.Gesture, chip: Chip, tracks: dict[str, Track], axons: Axons) -> tuple[Ints, Ints]:
    """Picoseconds that every core updates and sends in each step."""
    access, active = _time(chip, "neuron_update_inactive"), _time(chip, "neuron_update_active")
    spike, message = _time(chip, "spike_out"), _time(chip, "message")
    copies = np.zeros(sum(layer.signal.size for layer in network.layers), np.int64)
    copies[axons.positions] = axons.copies
    updating, sending, first = 0, np.zeros((STEPS, network.cores.cores), np.int64), 0
    for layer in network.layers:
        track, home = tracks[layer.name], network.cores.home[layer.name]
        updating = updating + track.updated * (active - access) + np.bincount(home, minlength=sending.shape[1]) * access
        np.add.at(sending, (track.step, home[track.neuron]), spike + message * copies[first + track.neuron])
        first += len(home)
    return updating, sending


def _time(chip: Chip, action: str) -> int:
    quantity = chip.time(action, "gesture").quantity
    return 0 if quantity is None else picoseconds(quantity.value)


def beside_sanafe(folder: Path) -> None:
    """Seconds of both, in turns, and their ratio."""
    call(folder, "dvs-data", "dvs.npz")
    chip = sanafe_dvs.chip(folder)
    gesture(folder / "dvs.npz", chip)  # compiles
    rows = []
    for _ in range(ROUNDS):
        call(folder, "dvs", "theirs.json", str(STEPS), "detailed")
        peer = json.loads((folder / "theirs.json").read_text(encoding="utf-8"))
        runs = [gesture(folder / "dvs.npz", chip) for _ in range(3)]
        trace = runs[0][3]
        messages = int(trace.used[-trace.updating.shape[1] :, 0].sum())  # cores are the last servers
        assert messages == peer["packets_sent"], (messages, peer["packets_sent"])
        ours = [statistics.median(part) for part in zip(*(found[:3] for found in runs), strict=True)]
        rows.append([*ours, *(peer[f"{part}_seconds"] for part in ("load", "run", "processor"))])
        simulated = 1e-9 * float(trace.duration.sum()), 1e3 * peer["sim_time"]
    load, run, used, their_load, their_run, their_used = (statistics.median(part) for part in zip(*rows, strict=True))
    print(f"DVS gesture, {STEPS} steps, {messages} messages")
    print(f"  SANA-FE: build and load {their_load:.2f} s, detailed simulation {their_run:.2f} s")
    print(f"  snn2chip: build {load:.2f} s, run and time {run:.2f} s: {their_run / run:.1f}x")
    print(f"  processor time: {their_used:.2f} s and {used:.2f} s: {their_used / used:.1f}x")
    print(f"  simulated, barriers included: {simulated[0]:.2f} ms; SANA-FE {simulated[1]:.2f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        residual(Path(folder))
        beside_sanafe(Path(folder))


if __name__ == "__main__":
    main()
