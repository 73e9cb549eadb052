"""What counting costs beside the forward pass: a Sparse-ResNet-18 (width 64, 3x32x32, T=4, random weights), one thread.

Both sides run in one process, turn by turn; the medians and their ratio are printed. Run it with ``make bench``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from snn2chip import api, engine, interpreter, nn
from snn2chip.hw_models.chip import load_chip
from snn2chip.hw_models.simulate import simulate

ROUNDS = 5
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32)).astype(np.uint8)


def calibrated() -> torch.nn.Module:
    """Batch statistics from one pass over `IMAGES`."""
    torch.manual_seed(0)
    model = nn.build("resnet", {"block": "sparse", "levels": 4, "steps": 4})
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(torch.from_numpy(IMAGES))
    return model.eval()


def medians(*actions: Callable[[], object]) -> list[float]:
    """Median seconds of each action over `ROUNDS` rounds, in which they take turns; one round to warm up."""
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(ROUNDS + 1):
        for action, taken in zip(actions, seconds, strict=True):
            start = time.perf_counter()
            action()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken[1:]) for taken in seconds]


def main() -> None:
    """Print one line a comparison."""
    torch.set_num_threads(1)
    graph = api.compile_module(calibrated(), "resnet18", (3, 32, 32)).graph
    chip = load_chip("loihi2")
    forward, report, reference = medians(
        lambda: engine.run(graph, IMAGES, batch_size=8),
        lambda: simulate(graph, IMAGES, None, chip, execute=engine.run, batch_size=8),
        lambda: interpreter.run(graph, IMAGES, batch_size=8),
    )
    count = len(IMAGES)
    print(f"forward pass (engine)               {1000 * forward / count:8.1f} ms per inference")
    print(f"forward pass, counts and report     {1000 * report / count:8.1f} ms, {report / forward:.2f}x")
    print(f"interpreter                         {1000 * reference / count:8.1f} ms, {reference / forward:.2f}x")


if __name__ == "__main__":
    main()
