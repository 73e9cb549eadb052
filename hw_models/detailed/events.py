"""An observer that keeps which neurons sent an event, for every sample and step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snn2chip.graph import Array, Node
from snn2chip.lowering import Network, Role


@dataclass(frozen=True)
class Events:
    """Let it observe a run (see `snn2chip.interpreter.Observer`), then read `fired`."""

    network: Network
    samples: int

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Where the positions of each population that sends events start in `fired`."""
        found, at = {}, 0
        for population in self.network.populations:
            if population.role is not Role.READOUT:
                found[population.name] = at
                at += population.signal.size
        return found

    @cached_property
    def fired(self) -> NDArray[np.uint8]:
        """1 for an event, else 0: ``[samples * T, positions of all populations]``."""
        size = sum(self.network[name].signal.size for name in self.offsets)
        return np.zeros((self.samples * self.network.graph.steps, size), dtype=np.uint8)

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        if (start := self.offsets.get(node.name)) is None:
            return
        steps = self.network.graph.steps
        rows = slice(first_sample * steps + step, (first_sample + len(tensor)) * steps, steps)
        events = tensor.reshape(len(tensor), -1) != 0
        self.fired[rows, start : start + events.shape[1]] = events

    def of(self, name: str) -> NDArray[np.uint8]:
        """The events of one population: ``[samples * T, positions]``."""
        start = self.offsets[name]
        return self.fired[:, start : start + self.network[name].signal.size]
