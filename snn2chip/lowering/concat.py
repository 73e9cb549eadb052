"""Concatenation taken apart: chips have no such operation, but what reads a concatenation can read its parts.

Operations that treat every channel alike are applied to each part; a convolution or linear layer becomes the sum of one
for each part, each with its share of the weights. Nodes that are left keep their names and their integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Kind, Node, frozen, parameters
from snn2chip.ops import (
    LIF,
    Add,
    Concat,
    Conv2d,
    Flatten,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    SumPool2d,
    Upsample2d,
)

#: Each channel of the output depends on the same channel of the input alone.
_CHANNELWISE = (LIF, LeakyIntegrator, MaxPool2d, MultiLevelIF, SumPool2d, Upsample2d)


def split_concats(graph: Graph) -> Graph:
    """The same integer network without `Concat`, but for currents that the readout reads side by side.

    Parts of a node ``x`` are called ``x.part0``, ``x.part1``, and so on. Raises: GraphError, naming the node, where
    what reads a concatenation cannot read its parts.
    """
    if not graph.of_kind(Concat):
        return graph
    splitting = _Splitting(graph)
    for node in graph.nodes:
        splitting.take(node)
    return Graph(tuple(splitting.nodes), graph.steps)


@dataclass
class _Splitting:
    graph: Graph
    nodes: list[Node] = field(default_factory=list)
    #: For every node that is a concatenation now, its parts.
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Channels (features) of every node of the new graph.
    channels: dict[str, int] = field(default_factory=dict)

    def take(self, node: Node) -> None:
        if isinstance(node.op, Concat):
            self.parts[node.name] = tuple(part for name in node.inputs for part in self.parts.get(name, (name,)))
        elif not any(name in self.parts for name in node.inputs):
            self.add(node, node.name, node.op, node.inputs, self.graph.signals[node.name].shape[0])
        else:
            rule = _RULES.get(type(node.op))
            if rule is None:
                raise GraphError(
                    f"node {node.name!r} ({node.kind}) reads a concatenation, which it cannot read in parts"
                )
            rule(self, node, node.op)

    def add(self, node: Node, name: str, op: Any, inputs: tuple[str, ...], channels: int) -> str:
        if name != node.name and name in self.graph:
            raise GraphError(f"node {name!r} has the name of a part of {node.name!r}: rename it")
        unit = node.unit if node.unit is None or len(node.unit) in (1, channels) else None
        self.nodes.append(Node(name, op, inputs, unit))
        self.channels[name] = channels
        return name

    def channelwise(self, node: Node, op: Any) -> None:
        parts, made = self.parts[node.inputs[0]], []
        for index, (part, (first, last)) in enumerate(zip(parts, self.ranges(parts), strict=True)):
            own = {name: frozen(array[first:last]) for name, array in parameters(op).items()}
            made.append(self.add(node, f"{node.name}.part{index}", replace(op, **own), (part,), last - first))
        self.parts[node.name] = tuple(made)

    def flatten(self, node: Node, op: Flatten) -> None:
        parts = self.parts[node.inputs[0]]
        positions = self.graph.signals[node.name].size // sum(self.channels[part] for part in parts)
        self.parts[node.name] = tuple(
            self.add(node, f"{node.name}.part{index}", op, (part,), self.channels[part] * positions)
            for index, part in enumerate(parts)
        )

    def sum(self, node: Node, op: Add) -> None:
        operands = [self.parts.get(name, (name,)) for name in node.inputs]
        if len({tuple(self.channels[part] for part in parts) for parts in operands}) > 1:
            raise GraphError(f"node {node.name!r} (Add) sums concatenations whose parts differ in their channels")
        self.parts[node.name] = tuple(
            self.add(node, f"{node.name}.part{index}", op, parts, self.channels[parts[0]])
            for index, parts in enumerate(zip(*operands, strict=True))
        )

    def conv(self, node: Node, op: Conv2d) -> None:
        if op.groups > 1:
            self.grouped(node, op)
        else:
            self.synapses(node, op)

    def synapses(self, node: Node, op: Conv2d | Linear) -> None:
        """One convolution or linear layer for each part, and their sum; the first has the bias."""
        parts, made = self.parts[node.inputs[0]], []
        for index, (part, (first, last)) in enumerate(zip(parts, self.ranges(parts), strict=True)):
            own = replace(op, weight=frozen(op.weight[:, first:last]), bias=op.bias if index == 0 else None)
            made.append(self.add(node, f"{node.name}.part{index}", own, (part,), len(op.weight)))
        self.add(node, node.name, Add(), tuple(made), len(op.weight))

    def grouped(self, node: Node, op: Conv2d) -> None:
        """Groups of channels that lie within one part stay together: the outputs are a concatenation again."""
        parts, made = self.parts[node.inputs[0]], []
        inputs, outputs = op.weight.shape[1], len(op.weight) // op.groups
        for index, (part, (first, last)) in enumerate(zip(parts, self.ranges(parts), strict=True)):
            if first % inputs or last % inputs:
                raise GraphError(
                    f"node {node.name!r} (Conv2d) has a group of channels from several parts of {node.inputs}"
                )
            rows = slice(first // inputs * outputs, last // inputs * outputs)
            bias = None if op.bias is None else frozen(op.bias[rows])
            own = replace(op, weight=frozen(op.weight[rows]), bias=bias, groups=(last - first) // inputs)
            made.append(self.add(node, f"{node.name}.part{index}", own, (part,), rows.stop - rows.start))
        self.parts[node.name] = tuple(made)

    def readout(self, node: Node, op: Readout) -> None:
        """Spikes reach their classes through weights of 1; currents stay joined."""
        parts, joined = self.parts[node.inputs[0]], self.graph[node.inputs[0]]
        classes = sum(self.channels[part] for part in parts)
        if self.graph.signals[joined.name].kind is not Kind.SPIKE:
            self.add(joined, joined.name, Concat(), parts, classes)
            self.add(node, node.name, op, (joined.name,), classes)
            return
        weight, made = np.eye(classes, dtype=np.int8), []
        for index, (part, (first, last)) in enumerate(zip(parts, self.ranges(parts), strict=True)):
            own = Linear(frozen(weight[:, first:last]))
            made.append(self.add(node, f"{node.name}.part{index}", own, (part,), classes))
        total = self.add(node, f"{node.name}.sum", Add(), tuple(made), classes)
        self.add(node, node.name, op, (total,), classes)

    def ranges(self, parts: tuple[str, ...]) -> list[tuple[int, int]]:
        """First channel of each part and the one behind its last, within the concatenation."""
        ends = np.cumsum([0, *(self.channels[part] for part in parts)]).tolist()
        return list(pairwise(ends))


_RULES: dict[type[Any], Callable[[_Splitting, Node, Any], None]] = {
    **dict.fromkeys(_CHANNELWISE, _Splitting.channelwise),
    Add: _Splitting.sum,
    Conv2d: _Splitting.conv,
    Flatten: _Splitting.flatten,
    Linear: _Splitting.synapses,
    Readout: _Splitting.readout,
}
