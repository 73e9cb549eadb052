"""What one Lava process computes: its share of the graph, with the operations' own arithmetic. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snn2chip.errors import UserError
from snn2chip.exporters.lava.partition import Partition
from snn2chip.graph import Array, Graph
from snn2chip.ops import Input


@dataclass
class StageProgram:
    """Executes the nodes of one stage, step by step, for `batch` samples at once.

    `states` holds the potential of every neuron node and the value of every integrator, int32 ``[batch, *shape]``;
    `current_node` is the node that is being computed, for error messages.
    """

    graph: Graph
    nodes: tuple[str, ...]
    wanted: frozenset[str]
    batch: int
    states: dict[str, Array | None] = field(default_factory=dict)
    current_node: str = ""

    @classmethod
    def of(
        cls, graph: Graph, parts: Partition, stage: int, batch: int, recorded: frozenset[str] = frozenset()
    ) -> StageProgram:
        """The program of stage number `stage`: it hands out what leaves the stage, the logits, what is `recorded`."""
        nodes = parts.stages[stage]
        leaving = {link.value for link in parts.outgoing(stage)}
        wanted = leaving | ((recorded | {graph.output.name}) & set(nodes))
        return cls(graph, nodes, frozenset(wanted), batch)

    @property
    def stateful(self) -> tuple[str, ...]:
        """The nodes that keep a state from step to step."""
        signals = self.graph.signals
        return tuple(name for name in self.nodes if self.graph[name].op.initial_state(signals[name], 1) is not None)

    def reset(self) -> None:
        """To the state at the start of a sample."""
        signals = self.graph.signals
        self.states = {name: self.graph[name].op.initial_state(signals[name], self.batch) for name in self.nodes}

    def step(self, received: Mapping[str, Array]) -> dict[str, Array]:
        """One time step: values that arrived, by node, to the wanted values, by node (int32 or narrower)."""
        values = {name: value.astype(np.int32, copy=False) for name, value in received.items()}
        for name in self.nodes:
            self.current_node = name
            node = self.graph[name]
            if isinstance(node.op, Input):
                _check_frame(node.op, values[name])
                continue
            inputs = tuple(values[source] for source in node.inputs)
            values[name], self.states[name] = node.op.step(inputs, self.states[name])
        return {name: values[name] for name in self.wanted}


def _check_frame(op: Input, frame: Array) -> None:
    if frame.size and not (0 <= int(frame.min()) and int(frame.max()) <= op.largest):
        raise UserError(f"the input holds values outside 0..{op.largest}, for which ranges are proven")
