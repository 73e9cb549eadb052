"""The stock form on disk: ``processes.json`` and ``processes.safetensors`` in the folder ``lava-stock``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip import files
from snn2chip.errors import GraphError
from snn2chip.exporters.lava.stock.parts import Part
from snn2chip.graph import Array

FOLDER = "lava-stock"
FORMAT = "snn2chip-lava-stock-1"
_DOCUMENT, _TENSORS = "processes.json", "processes.safetensors"


def write(folder: Path, parts: Sequence[Part], steps: int, digest: str) -> None:
    """Write the processes of the graph with that digest; a sample has `steps` steps."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    document = {"format": FORMAT, "graph_digest": digest, "steps": steps, "processes": [_entry(part) for part in parts]}
    (folder / _DOCUMENT).write_text(files.canonical_json(document), encoding="utf-8")
    tensors = {f"{part.name}//{name}": array for part in parts for name, array in part.tensors.items()}
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, folder / _TENSORS)


def read(folder: Path) -> tuple[tuple[Part, ...], int]:
    """(processes, steps of a sample). Raises: UserError or GraphError where `folder` holds something else."""
    from safetensors.numpy import load_file

    document = files.read_json(folder / _DOCUMENT)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise GraphError(f"{folder / _DOCUMENT}: its format is not {FORMAT!r}: export the model again")
    tensors: dict[str, Array] = load_file(folder / _TENSORS)
    return tuple(_part(entry, tensors) for entry in document["processes"]), int(document["steps"])


def _entry(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "process": part.process,
        "inputs": list(part.inputs),
        "shape": list(part.shape),
        "lag": part.lag,
        "arguments": dict(part.arguments),
    }


def _part(entry: dict[str, Any], tensors: dict[str, Array]) -> Part:
    mine = f"{entry['name']}//"
    own = {name.removeprefix(mine): array for name, array in tensors.items() if name.startswith(mine)}
    return Part(
        entry["name"],
        entry["process"],
        tuple(entry["inputs"]),
        tuple(entry["shape"]),
        entry["lag"],
        entry["arguments"],
        own,
    )
