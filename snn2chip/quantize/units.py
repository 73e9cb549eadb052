"""Units: the real value of one integer unit on every edge.

Spikes are counts: their units follow from neurons, scales and pools alone. A current's unit is free, per channel, but
currents that meet in a sum share it, and so do all classes of the readout: such channels form one *class*.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Kind, Node
from snn2chip.ops import Add, AvgPool2d, Concat, Conv2d, Linear, Readout, Scale, SpikingNeuron

#: How closely two real units must agree to be the same unit (they come from products of float64 numbers).
SAME_UNIT = 1e-9


def spike_units(graph: Graph) -> dict[str, Array]:
    """The real value of one spike on every spike edge, and of a readout that counts spikes: ``[1]`` or ``[C]``.

    Raises: GraphError where spikes of different units meet in one sum.
    """
    units: dict[str, Array] = {}
    for node in graph.nodes:
        if graph.signals[node.name].kind is Kind.SPIKE or _counts_spikes(graph, node):
            units[node.name] = spike_unit(graph, node, [units.get(name, np.ones(1)) for name in node.inputs])
    return units


def _counts_spikes(graph: Graph, node: Node) -> bool:
    return isinstance(node.op, Readout) and graph.signals[node.inputs[0]].kind is Kind.SPIKE


def spike_unit(graph: Graph, node: Node, sources: list[Array]) -> Array:
    """The real value of one spike of `node`, whose inputs have the units `sources`; see `spike_units`."""
    if not node.inputs or isinstance(node.op, SpikingNeuron):
        return np.ones(1)
    first, *others = sources
    if isinstance(node.op, Scale):
        return first * node.op.factor
    if isinstance(node.op, AvgPool2d):
        return first / node.op.area
    if isinstance(node.op, Concat):
        return _joined(sources, [graph.signals[name].shape[0] for name in node.inputs])
    for name, unit in zip(node.inputs[1:], others, strict=True):
        if not np.allclose(unit, first, rtol=SAME_UNIT, atol=0):
            raise GraphError(
                f"node {node.name!r} sums {node.inputs[0]!r} and {name!r}, whose units differ "
                f"({first[0]:.6g} and {unit[0]:.6g}): give their neurons the same threshold and levels"
            )
    return _repeated(first, graph.signals[node.name].shape[0])


def _joined(units: list[Array], channels: list[int]) -> Array:
    if all(len(unit) == 1 and unit[0] == units[0][0] for unit in units):
        return units[0]
    return np.concatenate([np.broadcast_to(unit, size) for unit, size in zip(units, channels, strict=True)])


def _repeated(unit: Array, channels: int) -> Array:
    """A flattened map repeats the unit of its channel."""
    return unit if len(unit) == 1 else np.repeat(unit, channels // len(unit))


class UnitClasses:
    """Which channels of which currents share a unit: channel c of node n has the unit ``ratio[n][c] * class unit``.

    Raises: GraphError where currents meet whose units differ by a fixed factor.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._parent: list[int] = []
        self._factor: list[float] = []  # the unit of a member in units of its parent
        self._members: dict[str, tuple[Array, Array]] = {}
        for node in graph.nodes:
            if graph.signals[node.name].kind is Kind.CURRENT and not _counts_spikes(graph, node):
                self._members[node.name] = self._member(node)
        self._freeze()

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def of(self, name: str) -> tuple[Array, Array]:
        """(class of every channel, int64 ``[C]``; its ratio to the unit of its class, float64 ``[C]``)."""
        return self._members[name]

    @cached_property
    def count(self) -> int:
        return 1 + max((int(ids.max()) for ids, _ in self._members.values()), default=-1)

    @cached_property
    def layers(self) -> tuple[Node, ...]:
        """The convolutions and linear layers: what gives currents their units."""
        return self._graph.of_kind(Conv2d, Linear)

    def largest(self, values: Mapping[str, Array]) -> Array:
        """``[classes]``: the largest of real `values` ``[C]`` by node, each in terms of its class unit; 0 for none."""
        result = np.zeros(self.count)
        for name, found in values.items():
            ids, ratio = self._members[name]
            np.maximum.at(result, ids, found / ratio)
        return result

    def unit(self, name: str, class_units: Array) -> Array:
        """The unit ``[C]`` of a current."""
        ids, ratio = self._members[name]
        unit: Array = class_units[..., ids] * ratio
        return unit

    def refine(self, name: str, bits: int) -> None:
        """Make the unit of `name`, a current that no sum reads, so many bits finer than that of its class."""
        ids, ratio = self._members[name]
        self._members[name] = ids, ratio / 2**bits

    def _member(self, node: Node) -> tuple[Array, Array]:
        channels = self._graph.signals[node.name].shape[0]
        if isinstance(node.op, (Conv2d, Linear)):
            return self._fresh(channels)
        sources = [self._members[name] for name in node.inputs]
        if isinstance(node.op, Concat):
            return np.concatenate([ids for ids, _ in sources]), np.concatenate([ratio for _, ratio in sources])
        ids, ratio = sources[0]
        if isinstance(node.op, Add):
            for other in sources[1:]:
                self._merge(node, sources[0], other)
        elif isinstance(node.op, Readout):
            self._merge(node, (ids[:1].repeat(len(ids)), ratio[:1].repeat(len(ids))), sources[0])
        elif isinstance(node.op, Scale):
            ratio = ratio * node.op.factor
        elif isinstance(node.op, AvgPool2d):
            ratio = ratio / node.op.area
        repeats = channels // len(ids)  # a flattened map
        return np.repeat(ids, repeats), np.repeat(ratio, repeats)

    def _fresh(self, channels: int) -> tuple[Array, Array]:
        first = len(self._parent)
        self._parent.extend(range(first, first + channels))
        self._factor.extend([1.0] * channels)
        return np.arange(first, first + channels), np.ones(channels)

    def _root(self, member: int) -> tuple[int, float]:
        factor = 1.0
        while self._parent[member] != member:
            factor *= self._factor[member]
            member = self._parent[member]
        return member, factor

    def _merge(self, node: Node, first: tuple[Array, Array], second: tuple[Array, Array]) -> None:
        pairs = set(zip(*(array.tolist() for array in (*first, *second)), strict=True))
        for one, one_ratio, other, other_ratio in sorted(pairs):
            root, factor = self._root(one)
            joined, joined_factor = self._root(other)
            ratio = (one_ratio * factor) / (other_ratio * joined_factor)
            if root != joined:
                self._parent[joined], self._factor[joined] = root, ratio
            elif abs(ratio - 1) > SAME_UNIT:
                raise GraphError(
                    f"node {node.name!r} ({node.kind}) adds a current to {ratio:.6g} times itself, as one unit cannot "
                    "say: take the factor into the weights"
                )

    def _freeze(self) -> None:
        """Members by consecutive class numbers instead of chains of parents."""
        found = [self._root(member) for member in range(len(self._parent))]
        roots = np.array([root for root, _ in found], dtype=np.int64)
        factors = np.array([factor for _, factor in found])
        _, numbers = np.unique(roots, return_inverse=True)
        self._members = {name: (numbers[ids], ratio * factors[ids]) for name, (ids, ratio) in self._members.items()}
