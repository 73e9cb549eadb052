"""The Lava target: an exported network as communicating Lava Processes, written, executed and loaded.

Importing this package does not import lava. `run` and `run_jobs` execute a form in the isolated worker; `load` is for
people who hold a Lava environment of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from snn2chip.exporters.lava.form import read, write
from snn2chip.exporters.lava.host import Job, Result, run, run_jobs
from snn2chip.exporters.lava.partition import Partition, Stages, partition
from snn2chip.exporters.lava.records import Records
from snn2chip.lowering.pipeline import Timing

if TYPE_CHECKING:
    from snn2chip.exporters.lava.network import Network

__all__ = ["Job", "Partition", "Records", "Result", "Stages", "load", "partition", "read", "run", "run_jobs", "write"]


def load(
    directory: str | Path,
    batch: int = 1,
    stages: Stages = "per-layer",
    timing: Timing = "algorithmic",
    records: Records | None = None,
) -> Network:
    """The network in `directory` (the artifact's ``lava/``) as Lava Processes, to be connected to others and run.

    Args: batch, how many samples travel at once; stages, ``per-layer`` or the largest number of processes; timing,
    ``algorithmic`` (every layer in the same step) or ``pipelined`` (each one step behind its sources); records, files
    for what is to be looked at.
    Raises: UserError or GraphError where the files cannot be read, ImportError where lava-nc is not installed.
    """
    from snn2chip.exporters.lava import compatibility

    compatibility.prepare()
    from snn2chip.exporters.lava import network

    graph, parts = read(Path(directory), stages)
    if records is not None:
        records.allocate(graph)
    return network.build(graph, parts, batch, timing, records)
