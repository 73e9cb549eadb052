"""Networks on which something went wrong, kept as small JSON files and replayed by a test for ever."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from snn2chip import graph_io
from tests.differential.strategies import Case

FOLDER = Path(__file__).resolve().parent.parent / "crashers"


def save(case: Case, check: str, message: str, folder: Path = FOLDER) -> Path:
    """Write `case` as ``CHECK-DIGEST.json``; `message` says what was seen."""
    document, tensors = graph_io.to_document(case.graph)
    content = {
        "check": check,
        "message": message,
        "inputs": case.inputs.tolist(),
        "tensors": {name: {"dtype": str(array.dtype), "values": array.tolist()} for name, array in tensors.items()},
        "graph": document,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{check}-{case.graph.digest[:12]}.json"
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> tuple[str, Case]:
    """The check that failed, and its case."""
    content = json.loads(path.read_text(encoding="utf-8"))
    tensors = {name: np.array(entry["values"], entry["dtype"]) for name, entry in content["tensors"].items()}
    graph = graph_io.from_document(content["graph"], tensors)
    return content["check"], Case(graph, np.array(content["inputs"], np.uint8))
