"""Holds a NIR file of ours against what the exporter writes for the graph that was folded out of it."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from snn2chip.errors import GraphError, UserError

#: What takes no part in what a file computes.
_NOTES = "metadata"
#: What h5py raises where the data of a file are damaged.
_DAMAGED = (OSError, RuntimeError, KeyError, ValueError)


def check_same(path: Path, written: Any) -> None:
    """Hold the file at `path` against the `nir.NIRGraph` `written`.

    Nodes, fields, numbers and edges are compared; metadata are not, nor the order of edges.

    Raises: GraphError naming the first node that differs; UserError naming the node that cannot be read.
    """
    buffer = io.BytesIO()
    nir.write(buffer, written, compression=None)
    with h5py.File(buffer, "r") as expected, _opened(path) as found:
        ours, theirs = expected["node"], found.get("node")
        if not isinstance(theirs, h5py.Group):
            raise _changed(path, "its group 'node' is missing")
        _check_nodes(path, ours["nodes"], theirs.get("nodes"))
        with _reading(path, "its list of edges"):
            same = _edges(ours) == _edges(theirs)
        if not same:
            raise _changed(path, "it has other edges")


def _opened(path: Path) -> h5py.File:
    with _reading(path, "it"):
        return h5py.File(path, "r")


@contextlib.contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise UserError(
            f"{path}: {what} cannot be read: the HDF5 file is damaged ({str(error)[:200]}): export the network anew"
        ) from None


def _check_nodes(path: Path, ours: h5py.Group, theirs: object) -> None:
    if not isinstance(theirs, h5py.Group):
        raise _changed(path, "its group 'nodes' is missing")
    known, found = set(ours), set(theirs)
    for name in _sorted(known | found):
        if name not in found:
            raise _changed(path, f"node {name!r} is missing")
        if name not in known:
            raise _changed(path, f"node {name!r} is none of the network's")
        with _reading(path, f"node {name!r}"):
            field = _difference(ours[name], theirs[name])
        if field:
            raise _changed(path, f"node {name!r} has another {field}")


def _sorted(names: set[str | bytes]) -> list[str | bytes]:
    """h5py gives names that are not UTF-8 as bytes, and does not look them up."""
    return sorted(names, key=lambda name: name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape"))


def _changed(path: Path, what: str) -> GraphError:
    return GraphError(
        f"{path}: its note 'snn2chip' does not describe its nodes ({what}): it was changed after export, or written by "
        "another version: export the network anew, or delete the note to have the nodes read as they are"
    )


def _difference(ours: h5py.Group, theirs: object) -> str | None:
    """The first field in which a node differs."""
    if not isinstance(theirs, h5py.Group):
        return "kind of object"
    known, found = set(ours), set(theirs)
    for field in _sorted((known | found) - {_NOTES}):
        if field not in known or field not in found or not _same(ours[field], theirs[field]):
            return repr(field)
    return None


def _same(ours: Any, theirs: Any) -> bool:
    if not isinstance(theirs, h5py.Dataset) or not isinstance(ours, h5py.Dataset) or ours.shape != theirs.shape:
        return False
    return bool(np.array_equal(ours[()], theirs[()]))


def _edges(graph: h5py.Group) -> Counter[tuple[bytes, ...]] | None:
    """How often each pair of names is joined; None where that is not what the file has."""
    edges = graph.get("edges")
    if not isinstance(edges, h5py.Dataset) or edges.ndim != 2 or edges.dtype.kind not in "OS":
        return None
    return Counter(map(tuple, edges[()].tolist()))
