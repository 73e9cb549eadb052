"""``.npy`` files that the processes of a network write while it runs: arrays do not crawl through scalar messages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from snn2chip.errors import UserError
from snn2chip.exporters.lava.partition import payload_dtype
from snn2chip.graph import Graph


@dataclass(frozen=True)
class Records:
    """Where to keep what the nodes of a network do, ``[samples, T, *shape]`` each, step by step as a node counts them.

    Attributes:
        samples: how many samples are kept; what follows is not.
        values: by node, the file for what it computes, in the dtype of its port (int32 for the logits).
        states: by node, the file for its potential (or the value of an integrator) after each step, int32.
    """

    samples: int
    values: Mapping[str, str | Path] = field(default_factory=dict)
    states: Mapping[str, str | Path] = field(default_factory=dict)

    def allocate(self, graph: Graph) -> None:
        """Makes the files. UserError where `graph` has no such node, or the node has no state."""
        check_names(self.values, list(graph.signals), "value")
        check_names(self.states, stateful(graph), "state")
        for name, path in self.values.items():
            dtype = "int32" if name == graph.output.name else payload_dtype(graph.signals[name])
            allocate(Path(path), (self.samples, graph.steps, *graph.signals[name].shape), dtype)
        for name, path in self.states.items():
            allocate(Path(path), (self.samples, graph.steps, *graph.signals[name].shape), "int32")


def stateful(graph: Graph) -> list[str]:
    """The nodes that keep a state from step to step."""
    return [node.name for node in graph.nodes if node.op.initial_state(graph.signals[node.name], 1) is not None]


def check_names(wanted: Iterable[str], known: Sequence[str], what: str) -> None:
    """UserError for the first of the `wanted` names that is not `known`."""
    if unknown := [name for name in wanted if name not in known]:
        raise UserError(f"node {unknown[0]!r} has no {what} to record: choose from {', '.join(known)}")


def allocate(path: Path, shape: tuple[int, ...], dtype: str) -> None:
    """A ``.npy`` file of zeros, its blocks reserved: a full disk would otherwise kill the process that writes to it."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    del array
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
