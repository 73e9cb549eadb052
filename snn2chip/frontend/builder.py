"""Collects the nodes of a float graph and knows the shape of each as it grows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Kind, Node, Op, Shape, Signal, frozen
from snn2chip.ops import Conv2d, Input, Linear
from snn2chip.ops.base import map_shape

#: A unit matrix of more features than this is refused where flat spikes have to become currents.
LARGEST_UNIT_MATRIX = 2**12


class Builder:
    """Grows a float graph node by node. `steps` is set by the input encoding."""

    def __init__(self, input_shape: tuple[int, ...], largest: int) -> None:
        self._input = Input(input_shape, largest)
        self._nodes: dict[str, Node] = {}
        self._signals: dict[str, Signal] = {}
        self._steps = 1

    @property
    def steps(self) -> int:
        """T; setting it anew bounds every signal anew."""
        return self._steps

    @steps.setter
    def steps(self, steps: int) -> None:
        if steps != self._steps:
            self._steps = steps
            self._bound_again()

    def input(self, name: str) -> str:
        """The network's input node."""
        return self.add(name, self._input, ())

    def add(self, name: str, op: Op, sources: tuple[str, ...]) -> str:
        """Append a node and return its name, made unique where a module is called more than once."""
        taken = self._nodes
        unique = next(found for k in range(len(taken) + 1) if (found := f"{name}_{k}" if k else name) not in taken)
        node = Node(unique, op, sources)
        self._signals[unique] = self._signal(node)
        self._nodes[unique] = node
        return unique

    def rehearse(self, build: Callable[[Builder, str, str], str], path: str, source: str) -> tuple[Op, ...]:
        """The operations that `build` would add, without adding them."""
        scratch = copy.copy(self)
        scratch._nodes, scratch._signals = dict(self._nodes), dict(self._signals)
        build(scratch, path, source)
        return tuple(node.op for name, node in scratch._nodes.items() if name not in self._nodes)

    def as_current(self, source: str, name: str, factors: Array | None = None) -> str:
        """Append synapses that make spikes a current, one to one: of weight 1, or `factors` ``[C]``."""
        shape = self.shape(source)
        factors = np.ones(shape[0]) if factors is None else factors
        if len(shape) == 3:
            return self.add(name, Conv2d(frozen(factors.reshape(-1, 1, 1, 1), np.float64), groups=shape[0]), (source,))
        if shape[0] > LARGEST_UNIT_MATRIX:
            raise GraphError(f"{shape[0]} flat spikes would become a current: at most {LARGEST_UNIT_MATRIX} can")
        return self.add(name, Linear(frozen(np.diag(factors), np.float64)), (source,))

    def replace(self, name: str, op: Op, sources: tuple[str, ...]) -> None:
        """Give a node another operation, of the same shape."""
        self._nodes[name] = Node(name, op, sources)
        changed: set[str] = set()
        for node in self._nodes.values():
            if node.name == name or not changed.isdisjoint(node.inputs):
                signal = self._signal(node)
                if not _same_bounds(signal, self._signals[node.name]):
                    changed.add(node.name)
                self._signals[node.name] = signal

    def insert(self, name: str, op: Op, source: str, before: str) -> str:
        """Add a node that reads `source`, in front of the node `before`."""
        behind = list(self._nodes)[list(self._nodes).index(before) :]
        later = {moved: self._nodes.pop(moved) for moved in behind}
        unique = self.add(name, op, (source,))
        self._nodes.update(later)
        return unique

    def names(self, kind: type[Any]) -> tuple[str, ...]:
        """The nodes of one kind of operation, in graph order."""
        return tuple(name for name, node in self._nodes.items() if isinstance(node.op, kind))

    def depends(self, name: str, on: str) -> bool:
        """Whether what a node yields is computed from what another yields."""
        reached, waiting = set[str](), [name]
        while waiting:
            node = waiting.pop()
            if node not in reached:
                reached.add(node)
                waiting += self.sources(node)
        return on in reached

    def _bound_again(self) -> None:
        """All signals anew, for a new T or a changed node."""
        for node in self._nodes.values():
            self._signals[node.name] = self._signal(node)

    def _signal(self, node: Node) -> Signal:
        try:
            return node.op.signal(tuple(self._signals[source] for source in node.inputs), self._steps)
        except GraphError as error:
            raise GraphError(f"node {node.name!r}: {error}") from None

    def op(self, name: str) -> Op:
        """The operation of a node."""
        return self._nodes[name].op

    def sources(self, name: str) -> tuple[str, ...]:
        """The nodes that a node reads."""
        return self._nodes[name].inputs

    def signal(self, name: str) -> Signal:
        """Shape, kind and interval of a node's output."""
        return self._signals[name]

    def shape(self, name: str) -> Shape:
        return self._signals[name].shape

    def kind(self, name: str) -> Kind:
        """Whether a node emits spikes or currents."""
        return self._signals[name].kind

    def map_shape(self, name: str) -> tuple[int, int, int]:
        """(C, H, W); GraphError for a flat tensor."""
        return map_shape(self._signals[name])

    def read(self, name: str) -> bool:
        """Whether a node reads `name` already."""
        return any(name in node.inputs for node in self._nodes.values())

    def unread(self) -> tuple[str, ...]:
        """The nodes that no other node reads, in graph order."""
        return tuple(name for name in self._nodes if not self.read(name))

    def remove(self, name: str) -> None:
        """Take out a node that nobody reads."""
        del self._nodes[name], self._signals[name]

    @property
    def first(self) -> str:
        """The name of the input node."""
        return next(iter(self._nodes))

    @property
    def last(self) -> str:
        """The name of the node that was added last."""
        return next(reversed(self._nodes))

    def graph(self) -> Graph:
        return Graph(tuple(self._nodes.values()), self.steps)


def _same_bounds(first: Signal, second: Signal) -> bool:
    """Whether what reads one signal may as well read the other."""
    if (first.shape, first.kind) != (second.shape, second.kind):
        return False
    pairs = ((first.interval.low, second.interval.low), (first.interval.high, second.interval.high))
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
