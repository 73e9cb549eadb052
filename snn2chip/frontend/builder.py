"""Collects the nodes of a float graph and knows the shape of each as it grows."""

from __future__ import annotations

from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Node, Op, Shape, Signal
from snn2chip.ops import Input
from snn2chip.ops.base import map_shape


class Builder:
    """Grows a float graph node by node. `steps` is set by the input encoding."""

    def __init__(self, input_shape: tuple[int, ...], largest: int) -> None:
        self._input = Input(input_shape, largest)
        self._nodes: list[Node] = []
        self._signals: dict[str, Signal] = {}
        self.steps = 1

    def input(self, name: str) -> str:
        """The network's input node."""
        return self.add(name, self._input, ())

    def add(self, name: str, op: Op, sources: tuple[str, ...]) -> str:
        """Append a node and return its name, made unique where a module is called more than once."""
        taken = {node.name for node in self._nodes}
        unique = next(found for k in range(len(taken) + 1) if (found := f"{name}_{k}" if k else name) not in taken)
        try:
            self._signals[unique] = op.signal(tuple(self._signals[source] for source in sources), self.steps)
        except GraphError as error:
            raise GraphError(f"node {unique!r}: {error}") from None
        self._nodes.append(Node(unique, op, sources))
        return unique

    def shape(self, name: str) -> Shape:
        return self._signals[name].shape

    def map_shape(self, name: str) -> tuple[int, int, int]:
        """(C, H, W); GraphError for a flat tensor."""
        return map_shape(self._signals[name])

    def read(self, name: str) -> bool:
        """Whether a node reads `name` already."""
        return any(name in node.inputs for node in self._nodes)

    @property
    def first(self) -> str:
        """The name of the input node."""
        return self._nodes[0].name

    @property
    def last(self) -> str:
        """The name of the node that was added last."""
        return self._nodes[-1].name

    def graph(self) -> Graph:
        return Graph(tuple(self._nodes), self.steps)
