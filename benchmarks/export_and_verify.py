"""What a network of full size takes to export and verify: a Sparse-ResNet-18 (width 64, 3x32x32, random weights).

Each runs as the command does, certificate and all, once in this order; the seconds of each stage are printed. Run it
with ``make bench``, or alone: ``python benchmarks/export_and_verify.py``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from snn2chip import api, nn
from snn2chip.hw_models.chip import load_chip

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32)).astype(np.uint8)


def calibrated(steps: int) -> torch.nn.Module:
    """Batch statistics from one pass over `IMAGES`."""
    torch.manual_seed(0)
    model = nn.build("resnet", {"block": "sparse", "levels": 4, "steps": steps})
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(torch.from_numpy(IMAGES))
    return model.eval()


class Stages:
    """Seconds between the lines of a report."""

    def __init__(self) -> None:
        self.last, self.name = time.perf_counter(), ""
        self.total = 0.0

    def __call__(self, line: str) -> None:
        now = time.perf_counter()
        if self.name:
            print(f"    {now - self.last:6.1f} s  {self.name}")
            self.total += now - self.last
        self.last, self.name = now, line


def measure(steps: int, folder: Path) -> None:
    """Export and verify the network for T = `steps`."""
    print(f"T = {steps}")
    seconds = []
    stages = Stages()
    stages("capture and quantization")
    compiled = api.compile_module(calibrated(steps), "resnet18", (3, 32, 32))
    exported = api.write(compiled, load_chip("loihi2"), folder, report=stages)
    stages("")
    seconds.append(stages.total)
    stages = Stages()
    stages("reading")
    certificate = api.verify(folder, stages)
    stages("")
    seconds.append(stages.total)
    both = {exported.certificate.verdict, certificate.verdict}
    given = {f"{sum(result.inputs.values())} inputs" for result in certificate.results if result.rows}
    print(f"  export {seconds[0]:.1f} s + verify {seconds[1]:.1f} s = {sum(seconds):.1f} s: {both}, {given}")


def main() -> None:
    """Print seconds by stage."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for steps in (1, 4):
            measure(steps, Path(folder) / f"resnet18-t{steps}")


if __name__ == "__main__":
    main()
