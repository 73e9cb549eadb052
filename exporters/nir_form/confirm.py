"""Holds a NIR file of ours against what the exporter writes for the graph that was folded out of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from snn2chip.errors import GraphError

#: What takes no part in what a file computes.
_NOTES = "metadata"


def check_same(path: Path, written: Any) -> None:
    """GraphError, naming the first node that differs, where the file at `path` is not the `nir.NIRGraph` `written`.

    Nodes, fields, numbers and edges are compared; metadata are not, nor the order of edges.
    """
    buffer = io.BytesIO()
    nir.write(buffer, written, compression=None)
    with h5py.File(path, "r") as found, h5py.File(buffer, "r") as expected:
        ours, theirs = expected["node"], found["node"]
        for name in sorted(set(ours["nodes"]) | set(theirs["nodes"])):
            if name not in theirs["nodes"]:
                raise _changed(path, f"node {name!r} is missing")
            if name not in ours["nodes"]:
                raise _changed(path, f"node {name!r} is none of the network's")
            if field := _difference(ours["nodes"][name], theirs["nodes"][name]):
                raise _changed(path, f"node {name!r} has another {field}")
        if _edges(ours) != _edges(theirs):
            raise _changed(path, "it has other edges")


def _changed(path: Path, what: str) -> GraphError:
    return GraphError(
        f"{path}: its note 'snn2chip' does not describe its nodes ({what}): it was changed after export, or written by "
        "another version: export the network anew, or delete the note to have the nodes read as they are"
    )


def _difference(ours: h5py.Group, theirs: h5py.Group) -> str | None:
    """The first field in which a node differs."""
    for field in sorted((set(ours) | set(theirs)) - {_NOTES}):
        if field not in ours or field not in theirs or not _same(ours[field], theirs[field]):
            return repr(field)
    return None


def _same(ours: Any, theirs: Any) -> bool:
    if not isinstance(theirs, h5py.Dataset) or not isinstance(ours, h5py.Dataset) or ours.shape != theirs.shape:
        return False
    return bool(np.array_equal(ours[()], theirs[()]))


def _edges(graph: h5py.Group) -> list[Any]:
    return sorted(map(tuple, graph["edges"][()].tolist()))
