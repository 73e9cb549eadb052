"""Rounding a folded float graph to integers.

Every edge of the integer graph has a *unit*: the real value of one integer unit. Spikes are counts, whose unit the
neuron fixes (one level, ``Vth / N``); a current's unit is free, per output channel, and follows from the weights.
All that reaches one neuron in one sum must share its unit, and all classes of the readout share one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snn2chip import spec
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph, Kind, Node, Op, Signal, frozen, parameters
from snn2chip.ops import Add, AvgPool2d, Conv2d, Linear, MultiLevelIF, Readout, Scale
from snn2chip.quantize.fold import fold_batch_norms

#: How closely two real units must agree to be the same unit (they come from products of float64 numbers).
_SAME_UNIT = 1e-9
_MEMBRANE_ROUNDS = 8
#: N levels are rounded at once: ``N * theta`` moves by at most N / 2, and N is at most 255.
_THETA_ROUNDING = 128


@dataclass(frozen=True)
class Precision:
    """What the integers may cost.

    Attributes:
        weight_bits: 2..8, signed and symmetric: weights lie in ``-(2**(bits-1)-1) .. 2**(bits-1)-1``.
    """

    weight_bits: int = 8

    def __post_init__(self) -> None:
        if not 2 <= self.weight_bits <= 8:
            raise UserError(f"weight_bits is {self.weight_bits}: weights take 2 to 8 bits")

    @property
    def weight_limit(self) -> int:
        return int(2 ** (self.weight_bits - 1) - 1)


def quantize(graph: Graph, precision: Precision | None = None) -> Graph:
    """The integer graph of a float graph: int8 weights per output channel, int32 thresholds and biases, proven ranges.

    Where a membrane may leave 24 bits over the T steps, the units of its channels are coarsened until it cannot.
    Raises: GraphError naming the node where units cannot agree or a range cannot be kept.
    """
    folded = fold_batch_norms(graph)
    _check_finite(folded)
    rounding = _Rounding(folded, precision or Precision())
    for _ in range(_MEMBRANE_ROUNDS):
        integer = rounding.graph()
        excess = _excess(integer)
        if not excess:
            break
        rounding.coarsen(excess)
    spec.check_integer(integer)
    return integer


def _check_finite(graph: Graph) -> None:
    for node in graph.nodes:
        if any(not np.isfinite(array).all() for array in parameters(node.op).values()):
            raise GraphError(f"node {node.name!r} ({node.kind}) holds NaN or infinite values: train the network again")


def _excess(graph: Graph) -> dict[str, Array]:
    """For every neuron whose membrane may leave 24 bits: by what factor, per channel."""
    factors: dict[str, Array] = {}
    for node in graph.of_kind(MultiLevelIF):
        assert isinstance(node.op, MultiLevelIF)
        membrane = node.op.membrane(graph.signals[node.inputs[0]].interval, graph.steps)
        largest = np.maximum(np.abs(membrane.low), np.abs(membrane.high))
        if (largest > spec.MEMBRANE_LIMIT).any():
            factors[node.name] = np.maximum(1.0, 1.05 * largest / spec.MEMBRANE_LIMIT)
    return factors


class _Rounding:
    """One pass over a folded graph; `coarseness` is what earlier passes have learned, per summed current."""

    def __init__(self, graph: Graph, precision: Precision) -> None:
        self._float = graph
        self._limit = precision.weight_limit
        self._group = _current_groups(graph)
        self._coarseness: dict[str, Array] = {}

    def coarsen(self, excess: dict[str, Array]) -> None:
        """Multiply the units of the currents that feed each named neuron."""
        for name, factor in excess.items():
            group = self._group.get(self._float[name].inputs[0])
            if group is not None:  # a neuron on a sum of spikes has no free unit: the check of the result will name it
                self._coarseness[group] = self._coarseness.get(group, np.ones(1)) * factor

    def graph(self) -> Graph:
        """The integer graph at the present coarseness."""
        self._units = _spike_units(self._float)
        self._alias: dict[str, str] = {}
        self._shared: dict[str, Array] = {}
        self._signals: dict[str, Signal] = {}
        self._nodes: list[Node] = []
        rules: dict[type[Op], Callable[[Node, tuple[str, ...]], None]] = {
            Scale: self._scale,
            AvgPool2d: self._average,
            Conv2d: self._synapses,
            Linear: self._synapses,
            MultiLevelIF: self._neuron,
            Add: self._sum,
        }
        for node in self._float.nodes:
            inputs = tuple(self._alias.get(name, name) for name in node.inputs)
            rules.get(type(node.op), self._unchanged)(node, inputs)
        return Graph(tuple(self._nodes), self._float.steps)

    def _emit(self, node: Node, op: Op, inputs: tuple[str, ...], unit: Array) -> None:
        self._units[node.name] = unit
        try:
            self._signals[node.name] = op.signal(tuple(self._signals[name] for name in inputs), self._float.steps)
        except GraphError as error:
            raise GraphError(f"node {node.name!r}: {error}") from None
        self._nodes.append(Node(node.name, op, inputs, frozen(np.atleast_1d(unit), np.float64)))

    def _unit(self, node: Node) -> Array:
        return self._units[node.inputs[0]]

    def _unchanged(self, node: Node, inputs: tuple[str, ...]) -> None:
        unit = self._unit(node) if node.inputs else np.ones(1)
        if len(unit) > 1:  # a flattened map repeats the unit of its channel
            unit = np.repeat(unit, self._float.signals[node.name].shape[0] // len(unit))
        self._emit(node, node.op, inputs, unit)

    def _scale(self, node: Node, inputs: tuple[str, ...]) -> None:
        """A scale moves nothing: the same integers are read in another unit."""
        assert isinstance(node.op, Scale)
        self._units[node.name] = self._unit(node) * node.op.factor
        self._alias[node.name] = inputs[0]
        emitted = next(k for k, known in enumerate(self._nodes) if known.name == inputs[0])
        if set(self._float.consumers[node.inputs[0]]) == {node.name}:  # the unit that its readers mean
            unit = frozen(np.atleast_1d(self._units[node.name]))
            self._nodes[emitted] = replace(self._nodes[emitted], unit=unit)

    def _average(self, node: Node, inputs: tuple[str, ...]) -> None:
        assert isinstance(node.op, AvgPool2d)
        self._emit(node, node.op.as_sum, inputs, self._unit(node) / node.op.area)

    def _sum(self, node: Node, inputs: tuple[str, ...]) -> None:
        first, *others = (self._units[name] for name in node.inputs)
        for name, unit in zip(node.inputs[1:], others, strict=True):
            if not np.allclose(unit, first, rtol=_SAME_UNIT, atol=0):
                raise GraphError(
                    f"node {node.name!r} sums {node.inputs[0]!r} and {name!r}, whose units differ "
                    f"({first[0]:.6g} and {unit[0]:.6g}): give their neurons the same threshold and levels"
                )
        self._emit(node, node.op, inputs, first)

    def _synapses(self, node: Node, inputs: tuple[str, ...]) -> None:
        op = node.op
        assert isinstance(op, (Conv2d, Linear))
        group = self._group[node.name]
        if group not in self._shared:
            members = [name for name, found in self._group.items() if found == group]
            self._shared[group] = self._current_unit(group, members)
        unit = self._shared[group]
        real = self._in_source_units(node)
        weight = np.rint(real / unit.reshape((-1,) + (1,) * (real.ndim - 1))).clip(-self._limit, self._limit)
        bias = None if op.bias is None else frozen(np.rint(op.bias / unit), np.int32)
        self._emit(node, replace(op, weight=frozen(weight, np.int8), bias=bias), inputs, unit)

    def _in_source_units(self, node: Node) -> Array:
        """The real current that one unit of each input adds: weights ``[O, I, ...]`` times the source's unit."""
        op = node.op
        assert isinstance(op, (Conv2d, Linear))
        if self._float.signals[node.inputs[0]].kind is not Kind.SPIKE:
            raise GraphError(f"node {node.name!r} reads currents of {node.inputs[0]!r}: put a neuron between")
        real: Array = op.weight * self._unit(node)
        return real

    def _current_unit(self, group: str, members: list[str]) -> Array:
        """The unit ``[O]`` of a summed current: fine enough to use all weight bits of its largest branch, and coarse
        enough that biases and ``N * theta`` stay within 24 bits (a batch-norm gain near zero makes both explode)."""
        nodes = [self._float[name] for name in members if isinstance(self._float[name].op, (Conv2d, Linear))]
        largest = np.max([self._channel_maximum(self._in_source_units(node)) for node in nodes], axis=0)
        unit: Array = largest / self._limit
        magnitude = np.max([self._magnitude(node, len(unit)) for node in nodes], axis=0)
        magnitude = np.maximum(magnitude, self._saturation(members, len(unit)))
        unit = np.maximum(unit, magnitude / (spec.MEMBRANE_LIMIT - _THETA_ROUNDING))
        unit = np.where(unit > 0, unit, 1.0) * self._coarseness.get(group, np.ones(1))
        if any(_reaches_readout(self._float, name) for name in members):
            return np.full(len(unit), unit.max())
        return unit

    @staticmethod
    def _channel_maximum(weight: Array) -> Array:
        largest: Array = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        return largest

    @staticmethod
    def _magnitude(node: Node, outputs: int) -> Array:
        bias = getattr(node.op, "bias", None)
        return np.zeros(outputs) if bias is None else np.abs(bias)

    def _saturation(self, members: list[str], outputs: int) -> Array:
        """Real ``N * theta`` of the neurons that read the current."""
        readers = {reader for name in members for reader in self._float.consumers[name]}
        ops = [self._float[reader].op for reader in readers]
        bounds = [op.theta * op.levels for op in ops if isinstance(op, MultiLevelIF)]
        saturation: Array = np.max([np.zeros(outputs), *bounds], axis=0)
        return saturation

    def _neuron(self, node: Node, inputs: tuple[str, ...]) -> None:
        op = node.op
        assert isinstance(op, MultiLevelIF)
        theta = op.theta / self._unit(node)
        rounded = np.maximum(1, np.rint(theta))
        if self._group.get(node.inputs[0]) is None and not np.allclose(theta, rounded, rtol=1e-6, atol=0):
            raise GraphError(
                f"node {node.name!r} counts spikes whose unit is {self._unit(node)[0]:.6g}, but one of its "
                f"levels is {op.theta[0]:.6g}: the ratio must be whole, so give them the same threshold and levels"
            )
        reachable = self._reachable(inputs[0], rounded, op.levels)
        theta_integer = frozen(np.minimum(rounded, reachable), np.int32)
        self._emit(node, MultiLevelIF(theta_integer, op.levels), inputs, np.ones(1))

    def _reachable(self, source: str, theta: Array, levels: int) -> Array:
        """Just above every potential that can occur: a larger theta would mean the same and waste bits."""
        op = MultiLevelIF(frozen(theta, np.int64), levels)
        above: Array = np.maximum(1, op.membrane(self._signals[source].interval, self._float.steps).high + 1)
        return above


def _current_groups(graph: Graph) -> dict[str, str]:
    """Synaptic nodes and sums of currents, each with the name of the last sum they flow into: they share a unit."""
    groups: dict[str, str] = {}
    for node in reversed(graph.nodes):
        if isinstance(node.op, (Conv2d, Linear)) or (isinstance(node.op, Add) and _sums_currents(graph, node)):
            sums = [name for name in graph.consumers[node.name] if name in groups and isinstance(graph[name].op, Add)]
            groups[node.name] = groups[sums[0]] if sums else node.name
    return groups


def _sums_currents(graph: Graph, node: Node) -> bool:
    return graph.signals[node.name].kind.value == "current"


def _spike_units(graph: Graph) -> dict[str, Array]:
    """The real value ``[1]`` of one spike on every spike edge: fixed by neurons, scales and pools alone."""
    units: dict[str, Array] = {}
    for node in graph.nodes:
        if graph.signals[node.name].kind is not Kind.SPIKE:
            continue
        fresh = not node.inputs or isinstance(node.op, MultiLevelIF)
        unit = np.ones(1) if fresh else units[node.inputs[0]]
        if isinstance(node.op, Scale):
            unit = unit * node.op.factor
        units[node.name] = unit / node.op.area if isinstance(node.op, AvgPool2d) else unit
    return units


def _reaches_readout(graph: Graph, name: str) -> bool:
    """Whether a current arrives at the readout without a neuron in between."""
    readers = [graph[reader] for reader in graph.consumers[name]]
    return any(
        isinstance(reader.op, Readout)
        or (not isinstance(reader.op, MultiLevelIF) and _reaches_readout(graph, reader.name))
        for reader in readers
    )
