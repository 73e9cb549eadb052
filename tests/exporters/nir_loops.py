"""NIR with feedback by the letter of its documentation: the plain loops of `nir_spec`, and edges that lead back.

NIR describes signals in continuous time. In steps, an edge into an integrator from a node that depends on it carries
the value of the step before, and 0 before the first.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from snn2chip.graph import Array
from tests.frontend.nir_spec import Spec


class LoopSpec(Spec):
    """A flat `nir.NIRGraph` with its state."""

    def __init__(self, graph: Any, dt: float) -> None:
        super().__init__(graph, dt)
        integrators = {name for name, node in graph.nodes.items() if isinstance(node, nir.I)}
        self.back = {(a, b) for a, b in graph.edges if b in integrators and a in self._reachable(b)}
        self.before: dict[str, Array] = {}

    def _reachable(self, start: str) -> set[str]:
        seen, waiting = set[str](), [start]
        while waiting:
            name = waiting.pop()
            for target in (b for a, b in self.graph.edges if a == name and b not in seen):
                seen.add(target)
                waiting.append(target)
        return seen

    def step(self, x: Array) -> Array:
        values: dict[str, Array] = {}

        def value(name: str) -> Array:
            if name not in values:
                feeding = [
                    self.before.get(source, np.zeros(1)) if (source, target) in self.back else value(source)
                    for source, target in self.graph.edges
                    if target == name
                ]
                values[name] = self._node(name, self.graph.nodes[name], sum(feeding) if feeding else x)
            return values[name]

        for name in self.graph.nodes:
            value(name)
        self.before = {source: values[source] for source, _ in self.back}
        return values["output"]
