"""The stock form among the others: see `snn2chip.exporters.base`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snn2chip.errors import GraphError
from snn2chip.exporters.base import Executor, Tensors
from snn2chip.exporters.lava import joined
from snn2chip.exporters.lava.host import run_documents
from snn2chip.exporters.lava.stock.file import FOLDER, write
from snn2chip.exporters.lava.stock.parts import CELLS, CONV, DENSE, SPARSE, lower
from snn2chip.graph import Array, Graph
from snn2chip.ops import SpikingNeuron

RUNNER = "snn2chip.exporters.lava.stock.runner"


class StockExecutor:
    """Lava's runtime on CPUs, in the isolated worker, with its own synapse processes."""

    name = "lava stock"
    #: Lava's Conv made about 10**7 products of a weight and a value in a second, with 10,000 kernels on maps of 8x8.
    largest_work = 10**8

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        """See `snn2chip.exporters.base.Executor.run`: every layer of neurons, and the logits of every step."""
        record = tuple(node.name for node in graph.of_kind(SpikingNeuron))
        (result,) = run_documents(lambda work: [joined.document(graph, inputs, work, RUNNER, folder / FOLDER, record)])
        if result.error is not None:
            raise result.error
        return result.tensors


class StockExporter:
    """``lava-stock/``: Lava's Conv, Dense and Sparse processes for every weighted sum."""

    name = "lava-stock"
    files: tuple[str, ...] = (FOLDER,)
    executors: tuple[Executor, ...] = (StockExecutor(),)

    def refusal(self, graph: Graph) -> str | None:
        """None where Lava's processes can compute `graph`; else one sentence that names the node and the reason."""
        try:
            lower(graph)
        except GraphError as error:
            return str(error)
        return None

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """See `snn2chip.exporters.base.Exporter.write`. Raises: GraphError as `refusal` says."""
        parts = lower(graph)
        write(folder / FOLDER, parts, graph.steps, graph.digest)
        kinds = [part.process for part in parts]
        return {
            "processes": {kind: kinds.count(kind) for kind in (CONV, DENSE, SPARSE, CELLS)},
            "depth": max(part.lag for part in parts),
            "by_lava": "every weighted sum, and sums over windows of spikes",
            "by_this_project": "what has no weights: neurons, residual sums, maxima, reshapes, biases",
            "written_for": "lava-nc 0.10.0",
        }
