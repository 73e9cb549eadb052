"""The Lava form among the others: see `snn2chip.exporters.base`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn2chip.errors import CheckFailed, GraphError, Snn2chipError, UserError
from snn2chip.exporters.base import Tensors
from snn2chip.exporters.lava import form
from snn2chip.exporters.lava.host import Job, run_jobs
from snn2chip.exporters.lava.partition import Stages
from snn2chip.graph import Array, Graph
from snn2chip.lowering.pipeline import Timing
from snn2chip.spec import broken_rule

#: Seconds for all samples of a certificate: a residual network on maps of 32x32 needs minutes for 512 of them.
TIMEOUT = 1800.0
#: Products that one way to cut a network is asked for in one certificate, so that the six ways together take seconds.
LARGEST_WORK = 10_000_000_000


@dataclass(frozen=True)
class LavaExecutor:
    """Lava's runtime on CPUs, in the isolated worker, with the network cut into `stages`."""

    name: str
    stages: Stages
    timing: Timing = "algorithmic"
    largest_work: int = LARGEST_WORK

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        """See `snn2chip.exporters.base.Executor.run`. CheckFailed where the form holds another network than `graph`."""
        found = run_together([self], graph, folder, inputs)[self.name]
        if isinstance(found, Snn2chipError):
            raise found
        return found


def run_together(
    executors: Sequence[LavaExecutor], graph: Graph, folder: Path, inputs: Array
) -> dict[str, Tensors | Snn2chipError]:
    """What each executor finds, by name; they share one worker.

    Raises: CheckFailed where the form holds another network than `graph`, BackendError where there is no environment.
    """
    source = folder / form.FOLDER
    jobs = [Job(source, inputs, executor.stages, timeout=TIMEOUT, timing=executor.timing) for executor in executors]
    try:
        results = run_jobs(jobs)
    except GraphError as error:
        changed = form.first_changed_node(graph, source)
        where = f"node {changed!r} has other parameters than the artifact" if changed else str(error)
        raise CheckFailed(f"the stored Lava form was changed: {where}") from None
    return {
        executor.name: result.tensors if result.error is None else result.error
        for executor, result in zip(executors, results, strict=True)
    }


class LavaExporter:
    """``lava/``: the network as Lava Processes that send graded spikes to one another."""

    name = "lava"
    files = (form.FOLDER,)
    # For a single stage alone the certificate would compare a kernel with itself: one process per layer sends every
    # spike through a real port.
    executors = (
        LavaExecutor("lava K=1", 1),
        LavaExecutor("lava K=2", 2),
        LavaExecutor("lava per-layer", "per-layer"),
        LavaExecutor("lava K=1 pipelined", 1, "pipelined"),
        LavaExecutor("lava K=2 pipelined", 2, "pipelined"),
        LavaExecutor("lava per-layer pipelined", "per-layer", "pipelined"),
    )

    def refusal(self, graph: Graph) -> str | None:
        """None for every legal integer graph; else the rule that it breaks."""
        return broken_rule(graph)

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """See `snn2chip.exporters.base.Exporter.write`."""
        form.write(graph, folder / form.FOLDER)
        return dict(form.STATEMENT)

    def confirm(self, graph: Graph, path: Path) -> None:
        """UserError, naming what differs, where the folder `path` holds another network than `graph`, or none."""
        stored, _ = form.read(path)
        if stored.digest != graph.digest:
            changed = form.first_changed_node(graph, path)
            raise UserError(f"{path}: " + (f"node {changed!r} has other parameters" if changed else "another network"))

    def run_all(self, graph: Graph, folder: Path, inputs: Array) -> Mapping[str, Tensors | Snn2chipError]:
        """See `snn2chip.exporters.base.RunsTogether`."""
        return run_together(self.executors, graph, folder, inputs)
