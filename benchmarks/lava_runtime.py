"""Lava beside the same kernels without it, and beside Lava's own convolutions: Sparse-ResNet-18 (width 64, 3x32x32,
T=4, random weights), one sample at a time, one thread a process.

Kernels and Lava run in Lava's Python, turn by turn. Printed are medians of `ROUNDS` rounds, per time step of a sample:
what `LONG` samples take more than `SHORT` ones, so that no side is charged for its first step. Lava's own Conv
processes are measured once for every shape of layer, alone, and summed over the network's layers. Run it with
``make bench``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 3
SHORT, LONG = 2, 8
STOCK_STEPS = 2
PER_LAYER = "Lava, one process per layer"
WAYS: dict[str, tuple[Any, Any]] = {
    "Lava, K=1": (1, "algorithmic"),
    PER_LAYER: ("per-layer", "algorithmic"),
    "Lava, one process per layer, pipelined": ("per-layer", "pipelined"),
}
STOCK = "its convolutions, Lava's Conv processes"
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Print one line a program."""
    from counting import IMAGES, calibrated

    from snn2chip import api, lava_environment
    from snn2chip.exporters.lava import write

    environment = lava_environment.require()
    graph = api.compile_module(calibrated(), "resnet18", (3, 32, 32)).graph
    images = np.random.default_rng(0).integers(0, 256, (LONG, *IMAGES.shape[1:])).astype(np.uint8)
    kernels: list[float] = []
    lava: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        write(graph, Path(folder))
        np.save(Path(folder) / "x.npy", images)
        for _ in range(ROUNDS):
            before = _in_lavas_python(environment.python, "kernels", folder)
            lava.append(_lava(graph, images))
            kernels.append((before + _in_lavas_python(environment.python, "kernels", folder)) / 2)
        stock = _in_lavas_python(environment.python, "stock", folder)
    report(kernels, lava, stock)


def report(kernels: list[float], lava: list[dict[str, float]], stock: float) -> None:
    """Prints medians over the rounds: seconds per step, and their ratio to the kernels of the same round."""
    print(f"{'the same kernels without Lava':40} {1000 * statistics.median(kernels):9.1f} ms a step")
    for name in WAYS:
        median = statistics.median(found[name] for found in lava)
        ratio = statistics.median(found[name] / alone for found, alone in zip(lava, kernels, strict=True))
        print(f"{name:40} {1000 * median:9.1f} ms a step, {ratio:.2f}x the kernels")
    faster = stock / statistics.median(found[PER_LAYER] for found in lava)
    print(f"{STOCK:40} {1000 * stock:9.1f} ms a step, {faster:.0f}x one process per layer")


def _lava(graph: Any, images: Any) -> dict[str, float]:
    """Seconds per step of every way to run `graph` in Lava, in one worker, with one thread a process."""
    from snn2chip.exporters.lava import Job, run_jobs

    jobs = [
        Job(graph, images[:count], stages, "output", batch=1, timing=timing)
        for stages, timing in WAYS.values()
        for count in (SHORT, LONG)
    ]
    seconds = []
    for result in run_jobs(jobs):
        if result.error is not None:
            raise result.error
        seconds.append(result.timings["run_seconds"])
    steps = graph.steps * (LONG - SHORT)
    return {name: (seconds[2 * i + 1] - seconds[2 * i]) / steps for i, name in enumerate(WAYS)}


def _in_lavas_python(python: Path, what: str, folder: str) -> float:
    """Seconds per step that this file finds when Lava's Python runs it."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [str(python), str(Path(__file__).resolve()), what, folder]
    done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{what} failed: {done.stderr.strip()[-400:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def measure_kernels(folder: Path) -> float:
    """Seconds per step of the interpreter, one sample at a time."""
    from snn2chip import interpreter
    from snn2chip.exporters.lava import read

    graph, _ = read(folder)
    images = np.load(folder / "x.npy")
    interpreter.run(graph, images[:SHORT], batch_size=1)
    began = time.perf_counter()
    interpreter.run(graph, images[SHORT:], batch_size=1)
    return (time.perf_counter() - began) / (graph.steps * (LONG - SHORT))


def measure_stock(folder: Path) -> float:
    """Seconds per step of all convolutions on Lava's own Conv processes, each shape alone between two ring buffers."""
    from snn2chip.exporters.lava import compatibility, read

    compatibility.prepare()
    graph, _ = read(folder)
    known: dict[tuple[Any, ...], float] = {}
    total = 0.0
    for op, source in _convolutions(graph):
        key = (op.weight.shape, source, op.stride, op.padding)
        if key not in known:
            known[key] = _stock_seconds(op, source)
        total += known[key]
    return total


def _convolutions(graph: Any) -> Iterator[tuple[Any, tuple[int, ...]]]:
    from snn2chip.ops import Conv2d

    for node in graph.of_kind(Conv2d):
        yield node.op, graph.signals[node.inputs[0]].shape


def _stock_seconds(op: Any, source: tuple[int, ...]) -> float:
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.conv.process import Conv
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    channels, height, width = source
    spikes = np.random.default_rng(0).integers(0, 5, (width, height, channels, 1))
    feed = Source(data=spikes.astype(np.int32))
    conv = Conv(
        weight=np.ascontiguousarray(op.weight.transpose(0, 3, 2, 1)).astype(np.int32),
        input_shape=(width, height, channels),
        stride=op.stride[::-1],
        padding=op.padding[::-1],
        dilation=op.dilation[::-1],
        groups=op.groups,
        num_message_bits=8,
    )
    sink = Sink(shape=conv.a_out.shape, buffer=STOCK_STEPS + 1)
    feed.s_out.connect(conv.s_in)
    conv.a_out.connect(sink.a_in)
    config = Loihi2SimCfg(select_tag="fixed_pt")
    sink.run(RunSteps(num_steps=1), run_cfg=config)
    began = time.perf_counter()
    sink.run(RunSteps(num_steps=STOCK_STEPS), run_cfg=config)
    seconds = (time.perf_counter() - began) / STOCK_STEPS
    sink.stop()
    return seconds


if __name__ == "__main__":
    if len(sys.argv) == 3:  # in Lava's Python
        print(json.dumps({"kernels": measure_kernels, "stock": measure_stock}[sys.argv[1]](Path(sys.argv[2]))))
    else:
        main()
