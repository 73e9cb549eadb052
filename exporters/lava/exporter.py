"""The Lava form among the others: see `snn2chip.exporters.base`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn2chip.errors import CheckFailed, GraphError
from snn2chip.exporters.base import Executor, Tensors
from snn2chip.exporters.lava import form
from snn2chip.exporters.lava.host import run
from snn2chip.exporters.lava.partition import Stages
from snn2chip.graph import Array, Graph
from snn2chip.spec import broken_rule

#: Seconds for all samples of a certificate: a residual network on maps of 32x32 needs minutes for 512 of them.
TIMEOUT = 1800.0


@dataclass(frozen=True)
class LavaExecutor:
    """Lava's runtime on CPUs, in the isolated worker, with the network cut into `stages`."""

    name: str
    stages: Stages

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        """See `snn2chip.exporters.base.Executor.run`. CheckFailed where the form holds another network than `graph`."""
        try:
            return run(folder / form.FOLDER, inputs, self.stages, timeout=TIMEOUT)
        except GraphError as error:
            changed = form.first_changed_node(graph, folder / form.FOLDER)
            where = f"node {changed!r} has other parameters than the artifact" if changed else str(error)
            raise CheckFailed(f"the stored Lava form was changed: {where}") from None


class LavaExporter:
    """``lava/``: the network as Lava Processes that send graded spikes to one another."""

    name = "lava"
    files = (form.FOLDER,)
    # For a single stage alone the certificate would compare a kernel with itself: one process per layer sends every
    # spike through a real port.
    executors: tuple[Executor, ...] = (LavaExecutor("lava fused", 1), LavaExecutor("lava per-layer", "per-layer"))

    def refusal(self, graph: Graph) -> str | None:
        """None for every legal integer graph; else the rule that it breaks."""
        return broken_rule(graph)

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """See `snn2chip.exporters.base.Exporter.write`."""
        form.write(graph, folder / form.FOLDER)
        return dict(form.STATEMENT)
