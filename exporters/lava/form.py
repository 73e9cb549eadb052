"""The exported Lava form on disk: ``graph.json``, ``tensors.safetensors`` and ``partition.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip import graph_io
from snn2chip.errors import GraphError, UserError
from snn2chip.exporters.lava import partition as partitions
from snn2chip.exporters.lava.partition import Partition, Stages
from snn2chip.graph import Array, Graph, parameters
from snn2chip.spec import check_integer

#: Name of the form's folder in an artifact.
FOLDER = "lava"
#: What readers of the form must know before they rely on it.
STATEMENT = {
    "expresses": [
        "the integer graph, node by node: convolutions, linear layers, residual sums, concatenation, sums and maxima",
        "multi-level neurons, leaky ones with every reset, fading currents",
        "graded spikes as integer payloads on Lava ports, uint8, uint16, int16 or int32, with their proven width",
        "algorithmic timing, and pipelined timing with skips delayed to match",
        "T steps per sample, with every neuron reset between samples",
    ],
    "does_not_express": [
        "a program for a neurocore: it runs on CPUs, in Lava's simulation of processes and channels",
        "Lava's stock Conv and Dense processes, whose arithmetic differs (truncated odd weights, wrapped sums)",
    ],
}


def write(graph: Graph, directory: Path) -> tuple[str, ...]:
    """Writes the form of an integer `graph` into `directory` and returns the names of the files.

    Raises: GraphError where the graph is no legal integer graph.
    """
    from safetensors.numpy import save_file

    check_integer(graph)
    directory.mkdir(parents=True, exist_ok=True)
    document, tensors = graph_io.to_document(graph)
    parts = partitions.to_document(graph, partitions.partition(graph))
    _write_json(directory / "graph.json", document)
    _write_json(directory / "partition.json", parts | {"statement": STATEMENT})
    save_file(tensors, directory / "tensors.safetensors")
    return "graph.json", "partition.json", "tensors.safetensors"


def read(directory: Path, stages: Stages = "per-layer") -> tuple[Graph, Partition]:
    """The graph and its partition: the stored one for ``per-layer``, else fused into at most `stages` stages.

    `directory` is what `write` filled, or the artifact in which it is called ``lava``.
    Raises: UserError where a file is missing or unreadable, GraphError where the files do not belong together.
    """
    if not (directory / "partition.json").exists() and (directory / FOLDER).is_dir():
        directory = directory / FOLDER
    graph = graph_io.from_document(_read_json(directory / "graph.json"), _read_tensors(directory))
    check_integer(graph)
    stored = _read_json(directory / "partition.json")
    stored.pop("statement", None)
    parts = partitions.from_document(graph, stored)
    return graph, parts if stages == "per-layer" else partitions.partition(graph, stages)


def first_changed_node(graph: Graph, directory: Path) -> str | None:
    """The first node of `graph` whose stored parameters in `directory` are others; None where all are the same."""
    stored = _read_tensors(directory)
    for node in graph.nodes:
        for name, array in parameters(node.op).items():
            found = stored.get(f"{node.name}/{name}")
            if found is None or found.dtype != array.dtype or not np.array_equal(found, array):
                return node.name
    return None


def _read_tensors(directory: Path) -> dict[str, Array]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:  # in an environment that people made for Lava
        raise UserError("safetensors is not installed in this environment: pip install safetensors") from None

    path = directory / "tensors.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}): export the model again") from None


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): export the model again") from None
    if not isinstance(document, dict):
        raise GraphError(f"{path} holds no JSON object: export the model again")
    return document
