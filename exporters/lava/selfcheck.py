"""Runs a network of a few neurons through Lava and compares: what ``snn2chip doctor`` calls in Lava's Python."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from snn2chip import interpreter
from snn2chip.exporters.lava import compatibility, form, worker
from snn2chip.exporters.lava.watch import Starter
from snn2chip.graph import Graph, Node, frozen
from snn2chip.ops import Input, Linear, MultiLevelIF, Readout

TIMEOUT = 60


def main(arguments: Sequence[str]) -> None:
    """Prints one line of versions and exits with 0, or exits with a sentence on stderr."""
    if importlib.util.find_spec("torch") is not None:
        sys.exit("PyTorch is installed there, and Lava hangs when it forks after a torch operation")
    compatibility.prepare()
    with tempfile.TemporaryDirectory(prefix="snn2chip-lava-") as folder:
        _run(Path(folder))
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("lava-nc", "numpy", "scipy")]
    print(f"Lava works: Python {platform.python_version()}, {', '.join(versions)}; two processes gave the exact result")


def _run(folder: Path) -> None:
    graph = _graph()
    inputs = np.arange(12, dtype=np.uint8).reshape(3, 4)
    form.write(graph, folder / "form")
    np.save(folder / "x.npy", inputs)
    (folder / "out").mkdir()
    files = {"form": folder / "form", "inputs": folder / "x.npy", "output": folder / "out"}
    choices = {"stages": "per-layer", "timing": "algorithmic", "batch": 2, "record": [], "states": []}
    result = worker.attempt({**files, **choices, "timeout": TIMEOUT}, Starter(os.getppid(), folder))
    if "error" in result:
        sys.exit(f"a network of two processes failed: {result['error']}")
    if not np.array_equal(np.load(folder / "out" / "logits.npy"), interpreter.run(graph, inputs)):
        sys.exit("a network of two processes gave other integers than the interpreter")


def _graph() -> Graph:
    weight = frozen([[1, -2, 3, 1], [2, 1, -1, 1]], np.int8)
    nodes = (
        Node("input", Input((4,), largest=11)),
        Node("fc1", Linear(weight, frozen([1, -1], np.int32)), ("input",)),
        Node("neuron", MultiLevelIF(frozen([5, 3], np.int32), levels=4), ("fc1",)),
        Node("fc2", Linear(frozen([[1, 2], [-3, 1]], np.int8)), ("neuron",)),
        Node("logits", Readout(), ("fc2",)),
    )
    return Graph(nodes, steps=2)
