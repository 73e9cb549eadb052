"""What counting costs beside a plain forward pass, here and in SpikingJelly, NeuroBench and syops: one binary network.

A VGG-like network of 0 and 1 spikes (3x32x32, seven convolutions, T = 4), which all tools can count. Each tool runs as
a program of its own in ``.venv-peers`` (requirements/install_peers.sh) and is compared with the plain forward pass of
the same network in the same process; ours with the fast executor. Medians of processor time, one thread; the networks'
logits must agree. Run it with ``make bench``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from counting import ROUNDS, medians

sys.path.insert(
    0, str(Path(__file__).parents[1])
)  # the network's description for other programs stands beside the tests of them

from snn2chip import engine
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.chip import load_chip
from snn2chip.hw_models.counts import count
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import place
from snn2chip.lowering import to_populations
from snn2chip.ops import Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout
from tests.peers.test_neurobench import described

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-peers"
BATCH, STEPS, CLASSES = 16, 4, 10
CONVOLUTIONS = ((32, 1), (32, 2), (64, 1), (64, 2), (128, 1), (128, 2), (128, 1))  # channels and stride
#: What each program needs beside the packages of ``.venv-peers``. syops knows SpikingJelly before version 2 only.
FOLDERS = {
    "spikingjelly": ("neurobench",),
    "neurobench": ("neurobench",),
    "syops": ("neurobench", "syops", "spikingjelly-0.0.0.0.14"),
}


def network(rng: np.random.Generator) -> Graph:
    """Seven 3x3 convolutions of integrate-and-fire neurons, and a linear readout; no weight is 0."""
    nodes, inputs, size = [Node("x", Input((3, 32, 32), 1))], 3, 32
    for index, (outputs, stride) in enumerate(CONVOLUTIONS):
        weight = rng.choice([-3, -2, -1, 1, 2, 3], (outputs, inputs, 3, 3))
        theta = round(2.2 * (9 * inputs * 0.3) ** 0.5)  # the spread of the current where 0.3 of the inputs spike
        conv = Conv2d(frozen(weight, np.int8), stride=(stride, stride), padding=(1, 1))
        nodes += [
            Node(f"c{index}", conv, (nodes[-1].name,)),
            Node(f"n{index}", MultiLevelIF(frozen([theta] * outputs, np.int32), 1), (f"c{index}",)),
        ]
        inputs, size = outputs, size // stride
    weight = rng.choice([-3, -2, -1, 1, 2, 3], (CLASSES, inputs * size * size))
    nodes += [Node("flat", Flatten(), (nodes[-1].name,)), Node("fc", Linear(frozen(weight, np.int8)), ("flat",))]
    return Graph((*nodes, Node("out", Readout(), ("fc",))), STEPS)


def written(graph: Graph, images: Array, file: Path) -> None:
    """The network as the programs of tests/peers read it."""
    nodes = [node for node in graph.nodes if not isinstance(node.op, Input | Readout)]
    jobs = [{"name": "vgg", "steps": graph.steps, "nodes": [described(node) for node in nodes]}]
    weights = {f"vgg/{node.name}.weight": node.op.weight for node in nodes if isinstance(node.op, Conv2d | Linear)}
    arrays = {**weights, "vgg/x": images}
    np.savez(file, allow_pickle=False, jobs=np.array(json.dumps(jobs)), **arrays)


def theirs(tool: str, jobs: Path) -> dict[str, Any]:
    """What the program says of the network, by `tool`."""
    python, target = PEERS / "bin" / "python", jobs.with_name(f"{tool}.json")
    if not python.exists():
        raise SystemExit(f"{PEERS.name} is missing: requirements/install_peers.sh (make test-peers) builds it")
    folders = [ROOT, *(PEERS / "share" / name for name in FOLDERS[tool])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "OMP_NUM_THREADS": "1"}
    command = [python, "-m", "tests.peers.counting_program", tool, jobs, target]
    done = subprocess.run(
        list(map(str, command)), env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise SystemExit(f"{tool}: {done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return found


def ours(graph: Graph, images: Array) -> dict[str, dict[str, Any]]:
    """What exact counts of every layer, and of every core and step, cost here."""
    flat, chip = to_populations(graph), load_chip("loihi2")
    model = Neurocores(flat, chip, place(flat, chip))
    activity = Activity(flat, BATCH)
    logits = engine.run(flat.graph, images, [activity], batch_size=BATCH).sum(axis=1).tolist()
    operations = sum(count(activity, population).effective for population in flat.populations)
    forward, layers, cores = medians(
        lambda: engine.run(graph, images, batch_size=BATCH),
        lambda: engine.run(flat.graph, images, [Activity(flat, BATCH)], batch_size=BATCH),
        lambda: engine.run(flat.graph, images, [model.activity(BATCH)], batch_size=BATCH),
    )
    common = {"forward": forward, "operations": operations, "logits": logits}
    return {
        "snn2chip, every layer": {**common, "counted": layers},
        "snn2chip, every core and step": {**common, "counted": cores},
    }


def main() -> None:
    """Print one line a tool."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    graph, images = network(rng), (rng.random((BATCH, 3, 32, 32)) < 0.3).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        jobs = Path(folder) / "jobs.npz"
        written(graph, images, jobs)
        found = {**ours(graph, images), **{tool: theirs(tool, jobs) for tool in FOLDERS}}
    expected = next(iter(found.values()))
    print(f"{BATCH} samples in one batch, medians of {ROUNDS} rounds, processor time")
    print(f"{'':<30} {'forward':>9} {'counted':>9}  ratio   operations per sample")
    for tool, result in found.items():
        assert result["logits"] == expected["logits"], f"{tool} runs another network"
        forward, counted = (1000 * result[part] / BATCH for part in ("forward", "counted"))
        print(
            f"{tool:<30} {forward:6.2f} ms {counted:6.2f} ms {counted / forward:6.3f}   "
            f"{result['operations']:,.1f} ({result['operations'] / expected['operations']:.6f})"
        )


if __name__ == "__main__":
    main()
