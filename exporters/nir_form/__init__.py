"""The NIR form: ``model.nir``, for every reader of the Neuromorphic Intermediate Representation (``docs/nir.md``)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import nir

from snn2chip.errors import GraphError
from snn2chip.exporters.base import Executor
from snn2chip.exporters.nir_form.executor import FILE, NirTorchExecutor
from snn2chip.exporters.nir_form.lowering import PROFILE, lower
from snn2chip.graph import Graph

_LIMITS = (
    "soft resets, several levels and leaks over several time steps: T > 1 is for binary IF neurons reset to zero",
    "spikes are 0 or 1: a layer of N levels is a layer of N times the neurons",
)


class NirExporter:
    """Writes a graph as standard NIR primitives: Conv2d and binary IF, float32 that holds integers."""

    name = "nir"
    files: tuple[str, ...] = (FILE,)
    executors: tuple[Executor, ...] = (NirTorchExecutor(),)

    def refusal(self, graph: Graph) -> str | None:
        try:
            lower(graph)
        except GraphError as error:
            return str(error)
        return None

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """Write ``model.nir``. Returns profile, versions, limits and counts. Raises: GraphError as `refusal` says."""
        lowered = lower(graph)
        nir.write(folder / FILE, lowered)
        primitives = Counter(type(node).__name__ for node in lowered.nodes.values())
        return {
            "profile": PROFILE,
            "nir": nir.version,
            "cannot_express": list(_LIMITS),
            "primitives": dict(sorted(primitives.items())),
            "edges": len(lowered.edges),
        }
