"""What counting costs beside the forward pass: a Sparse-ResNet-18 (width 64, 3x32x32, T=4, random weights), one thread.

All run in one process, turn by turn; medians of processor time and their ratios are printed, so that other programs on
the machine do not count. Run it with ``make bench``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from snn2chip import api, engine, interpreter, nn
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.chip import load_chip
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import place
from snn2chip.hw_models.simulate import simulate
from snn2chip.lowering import to_populations

ROUNDS = 5
BATCH = 64
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32)).astype(np.uint8)


def calibrated(**options: Any) -> torch.nn.Module:
    """A sparse ResNet (the options of `nn.resnet`) with batch statistics from one pass over `IMAGES`."""
    torch.manual_seed(0)
    model = nn.build("resnet", {"block": "sparse", "levels": 4, "steps": 4, **options})
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(torch.from_numpy(IMAGES))
    return model.eval()


def medians(*actions: Callable[[], object]) -> list[float]:
    """Median processor seconds of each action over `ROUNDS` rounds, in which they take turns; one round to warm up."""
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(ROUNDS + 1):
        for action, taken in zip(actions, seconds, strict=True):
            start = time.process_time()
            action()
            taken.append(time.process_time() - start)
    return [statistics.median(taken[1:]) for taken in seconds]


def main() -> None:
    """Print one line a comparison."""
    torch.set_num_threads(1)
    graph = api.compile_module(calibrated(), "resnet18", (3, 32, 32)).graph
    images = np.random.default_rng(1).integers(0, 256, (BATCH, *IMAGES.shape[1:])).astype(np.uint8)
    chip, network = load_chip("loihi2"), to_populations(graph)
    model = Neurocores(network, chip, place(network, chip))
    forward, sums, cores, report = medians(
        lambda: engine.run(graph, images, batch_size=BATCH),
        lambda: engine.run(network.graph, images, [Activity(network, BATCH)], batch_size=BATCH),
        lambda: engine.run(network.graph, images, [model.activity(BATCH)], batch_size=BATCH),
        lambda: simulate(graph, images, None, chip, execute=engine.run, batch_size=BATCH),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    small, reference = medians(
        lambda: engine.run(graph, IMAGES, batch_size=len(IMAGES)),
        lambda: interpreter.run(graph, IMAGES, batch_size=len(IMAGES)),
    )
    print(f"forward pass (engine), batch {BATCH}       {1000 * forward / BATCH:8.1f} ms per inference")
    for what, seconds in {
        "and exact counts of every layer": sums,
        "and the work of every core and step": cores,
        "and placement, prices and report": report,
    }.items():
        print(f"{what:<37} {1000 * seconds / BATCH:8.1f} ms, {seconds / forward:.3f}x")
    print(f"peak memory of the process            {peak:8.2f} GB")
    print(f"interpreter, batch {len(IMAGES)}                  {1000 * reference / len(IMAGES):8.1f} ms, "
          f"{reference / small:.2f}x the engine's {1000 * small / len(IMAGES):.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
