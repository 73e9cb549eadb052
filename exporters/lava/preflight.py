"""Limits of the machine that Lava would run into without saying so: open files and shared memory."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np

from snn2chip.errors import UserError
from snn2chip.exporters.lava.partition import Partition
from snn2chip.graph import Graph

SHARED_MEMORY = Path("/dev/shm")
#: Slots per channel, and bytes of the smallest shared-memory block.
SLOTS = 2
PAGE = 4096
#: Open files of the worker: in all, per process (measured 10 to 12), per link.
FILES, FILES_PER_PROCESS, FILES_PER_LINK = 64, 12, 2


def fitting_batch(graph: Graph, parts: Partition, wanted: int) -> int:
    """The largest batch, halved from `wanted`, whose channels fill at most half of the free shared memory.

    Raises: UserError where not even one sample fits, or the limit on open files is too low for that many processes.
    """
    _check_files(parts)
    free = _free_shared_memory()
    batch = wanted
    while batch > 1 and channel_bytes(graph, parts, batch) > free // 2:
        batch //= 2
    if (needed := channel_bytes(graph, parts, batch)) > free:
        raise UserError(
            f"Lava needs {needed >> 20} MB of shared memory for one sample, but {SHARED_MEMORY} has {free >> 20} MB: "
            "enlarge it (docker run --shm-size) or ask for fewer stages"
        )
    return batch


def channel_bytes(graph: Graph, parts: Partition, batch: int) -> int:
    """Bytes of shared memory for all channels: links, source, sink, and four of Lava's own per process."""
    sizes = [
        graph.signals[link.value].size * np.dtype(link.dtype).itemsize for link in parts.links for _ in link.targets
    ]
    sizes += [graph.signals[graph.input.name].size, graph.signals[graph.output.name].size * 4]
    own = 4 * (len(parts.stages) + 3) * PAGE
    return own + sum(-(-size * batch * SLOTS // PAGE) * PAGE for size in sizes)


def _free_shared_memory() -> int:
    if not SHARED_MEMORY.is_dir():
        return 1 << 62  # not a file system there (macOS): no limit that could be asked for
    status = os.statvfs(SHARED_MEMORY)
    return status.f_bavail * status.f_frsize


def _check_files(parts: Partition) -> None:
    links = sum(len(link.targets) for link in parts.links)
    needed = FILES + FILES_PER_PROCESS * (len(parts.stages) + 3) + FILES_PER_LINK * links
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UserError(
            f"Lava needs about {needed} open files for {len(parts.stages)} stages, but the limit is {hard}: "
            "raise it (ulimit -n) or ask for fewer stages"
        )
