"""Spikes whose units do not fit one another: integer branch weights make them fit.

Spikes are counts, whose units are fixed: in a sum they must agree, and a neuron that reads them needs a threshold that
is a whole number of them. Where networks from elsewhere do not keep to that, spikes become currents through a weight
per channel (a depthwise 1x1 convolution), whose units are free; or, where the sum has to stay a sum of spikes, an
operand is added several times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Kind, Node, Op, frozen
from snn2chip.ops import LIF, Add, Conv2d, LeakyIntegrator, Linear, MultiLevelIF, Scale, SpikingNeuron
from snn2chip.quantize.units import SAME_UNIT, spike_unit

#: A ratio p:q of units is small where q is at most 8, and the sum has no more operands than this.
LARGEST_DENOMINATOR = 8
MOST_OPERANDS = 16
#: A ratio that is further from the nearest fraction than this would change the network, and is refused.
RATIO_TOLERANCE = 0.01
#: Thresholds this close to whole numbers of spikes are meant to be whole.
_WHOLE = 1e-6
#: Most features of a flat tensor that become currents: their weights form a square matrix.
_LARGEST_SQUARE = 4096


@dataclass(frozen=True)
class Approximation:
    """A number of the network that integers cannot say exactly.

    Attributes:
        node: where it stands.
        what: which number, in words.
        relative_error: the largest over its channels.
    """

    node: str
    what: str
    relative_error: float

    def __str__(self) -> str:
        return f"{self.node}: {self.what}, by {100 * self.relative_error:.3g} %"


def fit_branches(graph: Graph) -> tuple[Graph, tuple[Approximation, ...]]:
    """A float graph whose spike sums and neurons on spikes have integer counterparts, and what that changed.

    Raises: GraphError where spikes with no small ratio of units meet in a sum that weights read.
    """
    fitting = _Fitting(graph)
    for node in graph.nodes:
        fitting.add(node)
    return Graph(tuple(fitting.nodes), graph.steps), tuple(fitting.approximations)


class _Fitting:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._units: dict[str, Array] = {}
        self._currents: set[str] = set()  # sums of spikes that have become sums of currents
        self.nodes: list[Node] = []
        self.approximations: list[Approximation] = []

    def add(self, node: Node) -> None:
        if isinstance(node.op, Add) and self._is_spike(node.name) and not self._agree(node):
            self._sum(node)
        elif self._needs_current(node):
            current = self._as_current(node.inputs[0], f"{node.name}.current")
            self._emit(Node(node.name, node.op, (current,)))
        else:
            self._emit(node)

    def _emit(self, node: Node) -> str:
        self.nodes.append(node)
        if self._is_spike(node.name):
            sources = [self._units.get(name, np.ones(1)) for name in node.inputs]
            self._units[node.name] = spike_unit(self._graph, node, sources)
        return node.name

    def _is_spike(self, name: str) -> bool:
        return name in self._graph and self._graph.signals[name].kind is Kind.SPIKE and name not in self._currents

    def _needs_current(self, node: Node) -> bool:
        if not node.inputs or not self._is_spike(node.inputs[0]):
            return False
        if isinstance(node.op, SpikingNeuron):
            return not self._counts_whole(node)
        return isinstance(node.op, LeakyIntegrator)

    def _agree(self, node: Node) -> bool:
        first, *others = (self._units[name] for name in node.inputs)
        return all(np.allclose(unit, first, rtol=SAME_UNIT, atol=0) for unit in others)

    def _sum(self, node: Node) -> None:
        readers = [self._graph[name].op for name in self._graph.consumers[node.name]]
        if all(isinstance(reader, SpikingNeuron) for reader in readers):
            self._currents.add(node.name)
            operands = [self._as_current(name, f"{node.name}.current{k}") for k, name in enumerate(node.inputs)]
            self._emit(Node(node.name, node.op, tuple(operands)))
        else:
            self._repeat(node)

    def _repeat(self, node: Node) -> None:
        """``p * a + q * b`` as ``a + ... + a + b + ... + b``: units in the ratio p : q agree after it."""
        units = [self._units[name] for name in node.inputs]
        counts, error = _small_ratio(units)
        if error > RATIO_TOLERANCE or sum(counts) > MOST_OPERANDS:
            values = ", ".join(f"{unit[0]:.6g}" for unit in units)
            raise GraphError(
                f"node {node.name!r} sums spikes whose units differ ({values}) by no small ratio p:q, and weights read "
                "the sum: give their neurons the same threshold and levels, or put a neuron after the sum"
            )
        if error > SAME_UNIT:
            self.approximations.append(Approximation(node.name, "ratio of the summed spikes' units", error))
        common = units[0] / counts[0]
        operands: list[str] = []
        for k, (name, unit, count) in enumerate(zip(node.inputs, units, counts, strict=True)):
            scaled = Node(f"{node.name}.share{k}", Scale(_factor(common / unit)), (name,))
            self.nodes.append(scaled)
            self._units[scaled.name] = np.broadcast_to(common, np.broadcast_shapes(common.shape, unit.shape))
            operands += [scaled.name] * count
        self._emit(Node(node.name, node.op, tuple(operands)))

    def _as_current(self, name: str, new: str) -> str:
        """`name`, times a weight of 1 per channel."""
        shape = self._graph.signals[name].shape
        if len(shape) == 1 and shape[0] > _LARGEST_SQUARE:
            raise GraphError(
                f"node {name!r} emits {shape[0]} spikes as a flat tensor, whose units do not fit what reads them: "
                "give their neurons the same threshold and levels"
            )
        return self._emit(Node(new, identity(shape), (name,)))

    def _counts_whole(self, node: Node) -> bool:
        """Whether the neuron means the same on counts of spikes: nothing in it falls between two counts."""
        op, unit = node.op, self._units[node.inputs[0]]
        if isinstance(op, MultiLevelIF):
            return _whole(op.theta / unit)
        if not isinstance(op, LIF) or op.leaks:
            return False
        steps_matter = op.levels > 1 or op.reset == "subtract"
        matter = [op.drive, op.floor, op.step_size if steps_matter else None]
        return all(_whole(values / unit) for values in matter if values is not None)


def identity(shape: tuple[int, ...]) -> Op:
    """Weights that turn spikes into a current of the same size."""
    if len(shape) == 1:
        return Linear(frozen(np.eye(shape[0])))
    return Conv2d(frozen(np.ones((shape[0], 1, 1, 1))), groups=shape[0])


def is_identity(op: Op) -> bool:
    """Whether weights do nothing but turn spikes into currents: `identity`, or what a front end puts in its place."""
    if isinstance(op, Conv2d):
        depthwise = op.weight.shape[1:] == (1, 1, 1) and op.groups == op.outputs
        return depthwise and op.bias is None and bool((op.weight == 1).all())
    if isinstance(op, Linear) and op.weight.shape[0] == op.weight.shape[1]:
        return op.bias is None and np.array_equal(op.weight, np.eye(len(op.weight)))
    return False


def _factor(ratio: Array) -> float | Array:
    """As few numbers as say it."""
    if np.allclose(ratio, ratio[0], rtol=SAME_UNIT, atol=0):
        return float(ratio[0])
    return frozen(ratio)


def _whole(ratio: Array) -> bool:
    return np.allclose(ratio, np.rint(ratio), rtol=_WHOLE, atol=0)


def _small_ratio(units: list[Array]) -> tuple[list[int], float]:
    """Small integers in the ratio of the units, and the largest relative error of any of them."""
    first = float(np.mean(units[0]))
    ratios = [Fraction(float(np.mean(unit)) / first).limit_denominator(LARGEST_DENOMINATOR) for unit in units]
    common = math.lcm(*(ratio.denominator for ratio in ratios))
    counts = [int(ratio * common) for ratio in ratios]
    if min(counts) < 1:
        return counts, math.inf
    errors = [np.abs(unit / first * counts[0] / count - 1).max() for unit, count in zip(units, counts, strict=True)]
    return counts, float(max(errors))
