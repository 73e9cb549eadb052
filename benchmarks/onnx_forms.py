"""How fast the ONNX forms are in onnxruntime: a ResNet-18 (width 64, 3x32x32, random weights), one thread.

The forms of one network take turns in one process; medians and their ratios to the float32 form are printed. Logits are
held to the interpreter first. Run it with ``make bench``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from snn2chip import api, interpreter, nn
from snn2chip.exporters import exporter
from snn2chip.graph import Array, Graph

ROUNDS = 11
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32)).astype(np.uint8)
#: The first is what the others are compared with.
FORMS = ("onnx-float", "onnx", "onnx-qlinear")


def network(block: str, steps: int) -> Graph:
    """A ResNet-18 with batch statistics from one pass over `IMAGES`."""
    torch.manual_seed(0)
    model = nn.build("resnet", {"block": block, "levels": 4, "steps": steps})
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(torch.from_numpy(IMAGES))
    return api.compile_module(model.eval(), "resnet18", (3, 32, 32)).graph


def sessions(graph: Graph, folder: Path) -> dict[str, Any]:
    """A session for every form that can express the network, each exact on `IMAGES`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    expected, found = interpreter.logits(graph, IMAGES), {}
    for name in FORMS:
        form = exporter(name)
        if form.refusal(graph) is not None:
            continue
        form.write(graph, folder)
        path = str(folder / form.files[0])
        found[name] = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        if not np.array_equal(found[name].run(None, {"x": IMAGES})[0], expected):
            raise SystemExit(f"{name} differs from the interpreter: there is nothing to time")
    return found


def medians(found: dict[str, Any], images: Array) -> dict[str, float]:
    """Median processor seconds of each form over `ROUNDS` rounds, in which they take turns; one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(ROUNDS + 1):
        for name, session in found.items():
            start = time.process_time()
            session.run(None, {"x": images})
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def main() -> None:
    """Print one line a form."""
    torch.set_num_threads(1)
    print(f"onnxruntime {onnxruntime.__version__}, one thread, ms of processor time per image and step")
    for block, steps in (("sparse", 1), ("spiking", 1), ("sparse", 4)):
        graph = network(block, steps)
        with tempfile.TemporaryDirectory() as folder:
            found = sessions(graph, Path(folder))
        for batch in (1, len(IMAGES)):
            taken = medians(found, IMAGES[:batch])
            for name, seconds in taken.items():
                each = 1000 * seconds / (batch * steps)
                ratio = seconds / taken[FORMS[0]]
                print(f"{block:8} T={steps} batch {batch}  {name:13} {each:7.2f} ms  {ratio:5.2f}x")


if __name__ == "__main__":
    main()
