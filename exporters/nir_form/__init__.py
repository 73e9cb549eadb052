"""The NIR forms, for every reader of the Neuromorphic Intermediate Representation (``docs/nir.md``).

``model.nir`` is written in the profile that suits the network, ``model.compact.nir`` and the others as their name says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nir

from snn2chip.errors import GraphError, naming
from snn2chip.exporters.base import Executor
from snn2chip.exporters.nir_form.builder import read_facts
from snn2chip.exporters.nir_form.confirm import check_same
from snn2chip.exporters.nir_form.document import graph_document
from snn2chip.exporters.nir_form.executor import FILE, NirTorchExecutor
from snn2chip.exporters.nir_form.lowering import lower
from snn2chip.exporters.nir_form.profiles import COMPOSED, PORTABLE, PROFILES
from snn2chip.graph import Graph

_LIMITS = (
    "leaks, floors and delayed resets to zero over several time steps",
    "counts: spikes are 0 or 1, and a layer of N levels compares N times",
)
_LOST = "class names, preprocessing, training facts and samples, which stay in the artifact"
_NO_GRAPH = "the graph itself, for its thresholds are too many to be written as text"


class NirExporter:
    """Writes a graph as standard NIR primitives, float32 that holds integers.

    Args: profile, one of `PROFILES`; where it is None, *portable* if that can express the network, else *composed*.
    """

    def __init__(self, profile: str | None = None) -> None:
        self.profiles = (PORTABLE, COMPOSED) if profile is None else (PROFILES[profile],)
        self.name = "nir" if profile is None else f"nir-{profile}"
        file = FILE if profile is None else PROFILES[profile].file
        self.files: tuple[str, ...] = (file,)
        self.executors: tuple[Executor, ...] = (NirTorchExecutor(file),)

    def refusal(self, graph: Graph) -> str | None:
        try:
            self.lower(graph)
        except GraphError as error:
            return str(error)
        return None

    def lower(self, graph: Graph) -> Any:
        """The `nir.NIRGraph`, in the first profile that can express `graph`. Raises: GraphError as `refusal` says."""
        *others, last = self.profiles if graph.steps > 1 else self.profiles[:1]
        for profile in others:
            try:
                return lower(graph, profile)
            except GraphError:
                continue
        return lower(graph, last)

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """Write the file. Returns profile, versions, limits and counts. Raises: GraphError as `refusal` says."""
        lowered = self.lower(graph)
        nir.write(folder / self.files[0], lowered)
        primitives = Counter(type(node).__name__ for node in lowered.nodes.values())
        return {
            "profile": profile_of(lowered),
            "nir": nir.version,
            "cannot_express": list(_LIMITS),
            "lost": [_LOST] if graph_document(graph) else [_LOST, _NO_GRAPH],
            "primitives": dict(sorted(primitives.items())),
            "edges": len(lowered.edges),
        }

    def chosen(self, graph: Graph) -> str:
        """The profile in which a graph that this form can express is written, and why in no earlier one."""
        name = profile_of(self.lower(graph))
        why = [f"; not {earlier}: {reason}" for earlier, reason in explain(graph, self._before(name)) if reason]
        return f"profile {name}, {PROFILES[name].purpose}{''.join(why)}"

    def _before(self, name: str) -> tuple[str, ...]:
        """The profiles that this form would rather write than the one called `name`."""
        names = [profile.name for profile in self.profiles]
        return tuple(names[: names.index(name)])

    def confirm(self, graph: Graph, path: Path) -> None:
        """GraphError, naming what differs, where the file at `path`, which was read as `graph`, says something else."""
        with naming(path):
            lowered = self.lower(graph)
        check_same(path, lowered)


CompactExporter = partial(NirExporter, "compact")
SnnTorchExporter = partial(NirExporter, "snntorch")
ComposedExporter = partial(NirExporter, "composed")
UnrolledExporter = partial(NirExporter, "unrolled")


def profile_of(lowered: Any) -> str:
    """The name of the profile in which a `nir.NIRGraph` of ours is written."""
    name: str = read_facts(lowered)["profile"]
    return name


def explain(graph: Graph, profiles: Sequence[str] = tuple(PROFILES)) -> list[tuple[str, str | None]]:
    """Each profile with None where it can express `graph`, else one sentence that names the node and the reason."""
    return [(name, NirExporter(name).refusal(graph)) for name in profiles]
