"""What post-training quantization costs in accuracy and in time.

First a table of the digits networks in the zoo, means over 3 seeds on the 450 test images, as docs/quantization.md has
it; then the seconds that a ResNet-18 (width 64, 3x32x32, T=1) with 512 calibration images takes, on one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time

import numpy as np
import torch

from snn2chip import engine, frontend, nn, zoo
from snn2chip.data import digits
from snn2chip.graph import Array, Graph
from snn2chip.quantize import Precision, quantize
from snn2chip.quantize.agreement import agreement
from snn2chip.quantize.post_training import PostTraining, post_training

SEEDS = (0, 1, 2)
SPLITS = digits.load()
INPUTS = SPLITS.train.x[np.random.default_rng(0).permutation(len(SPLITS.train.x))[:512]]
BITS = (8, 4, 3, 2)
WAYS = ("rounded", "mse", "error", "error, corrected", "shifts, corrected")


def settings(way: str, bits: int) -> PostTraining:
    corrections = () if "corrected" not in way else ("bias",) if "shifts" in way else ("bias", "threshold")
    scale = "mse" if way == "mse" else "error"
    return PostTraining(Precision(bits), scale=scale, corrections=corrections, shift_thresholds="shifts" in way)


def quantized(graph: Graph, way: str, bits: int) -> Graph:
    """`rounded` is what ``snn2chip export`` does without calibration inputs."""
    if way == "rounded":
        return quantize(graph, Precision(bits))
    return post_training(graph, settings(way, bits), INPUTS).graph


def accuracy(graph: Graph, inputs: Array = SPLITS.test.x, classes: Array = SPLITS.test.y) -> float:
    return 100 * float(np.mean(engine.run(graph, inputs).sum(axis=1).argmax(axis=1) == classes))


def digits_table() -> None:
    print("| network | bits | float | " + " | ".join(WAYS) + " |\n|---|---|---|" + "---|" * len(WAYS))
    for name in zoo.names():
        checkpoints = [frontend.read(zoo.path(name, seed)) for seed in SEEDS]
        graphs = [frontend.capture(found.model, found.input_shape, found.largest) for found in checkpoints]
        real = 100 * statistics.fmean(found.metadata["accuracy"] for found in checkpoints)
        for bits in BITS:
            means = [statistics.fmean(accuracy(quantized(graph, way, bits)) for graph in graphs) for way in WAYS]
            cells = " | ".join(f"{mean:.2f}" for mean in means)
            print(f"| `{name}` | {bits} | {real:.2f} | {cells} |", flush=True)


def resnet_seconds() -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (512, 3, 32, 32)).astype(np.uint8)
    model = nn.build("resnet", {"block": "sparse"})
    with torch.no_grad():
        model.train()(torch.from_numpy(images[:32]))
    graph = frontend.capture(model.eval(), (3, 32, 32))
    marks = [(time.perf_counter(), time.process_time())]
    found = post_training(graph, PostTraining(Precision(4)), images)
    marks.append((time.perf_counter(), time.process_time()))
    agreement(graph, found.graph, images)
    marks.append((time.perf_counter(), time.process_time()))
    for what, before, after in zip(("quantized", "compared"), marks, marks[1:], strict=False):
        print(f"ResNet-18 {what} in {after[0] - before[0]:.1f} s ({after[1] - before[1]:.1f} s of CPU time)")


if __name__ == "__main__":
    digits_table()
    resnet_seconds()
