"""Rounding a folded float graph to integers, once all units are chosen.

Every edge of the integer graph has a *unit*: the real value of one integer unit (`snn2chip.quantize.units`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snn2chip import spec
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Interval, Kind, Node, Op, Signal, frozen, parameters
from snn2chip.ops import LIF, AvgPool2d, Conv2d, LeakyIntegrator, Linear, Readout, Scale, SpikingNeuron
from snn2chip.quantize.branches import Approximation, fit_branches, is_identity
from snn2chip.quantize.choices import MOST_BITS, Choices, Precision, weight_limit
from snn2chip.quantize.exact import exact_units
from snn2chip.quantize.fold import fold_batch_norms, per_input
from snn2chip.quantize.leaks import integrator_bits, neuron_bits
from snn2chip.quantize.levels import ShiftLevels
from snn2chip.quantize.neurons import decay_error, real_extent, rounded_decay, rounded_neuron, within_reach
from snn2chip.quantize.units import SAME_UNIT, UnitClasses, spike_units

_MEMBRANE_ROUNDS = 8
#: N levels are rounded at once: ``N * theta`` moves by at most N / 2, and N is at most 255.
_THETA_ROUNDING = 128


def quantize(graph: Graph, precision: Precision | None = None, choices: Choices | None = None) -> Graph:
    """The integer graph of a float graph: int8 weights per output channel, int32 thresholds and biases, proven ranges.

    Units that `choices` does not name are as fine as the weight bits allow. Where a membrane may leave 24 bits over the
    T steps, the units of its channels are coarsened until it cannot.
    Raises: GraphError naming the node where units cannot agree or a range cannot be kept; UserError where `precision`
    or `choices` names a layer that is not there.
    """
    return Rounding(prepare(graph).graph, precision or Precision(), choices or Choices()).graph()


@dataclass(frozen=True)
class Prepared:
    """A float graph that only needs rounding, and what had to be approximated to get there."""

    graph: Graph
    approximations: tuple[Approximation, ...]


def prepare(graph: Graph) -> Prepared:
    """Fold batch norms and make spikes' units fit; GraphError where parameters are not finite."""
    folded = fold_batch_norms(graph)
    for node in folded.nodes:
        if any(not np.isfinite(array).all() for array in parameters(node.op).values()):
            raise GraphError(f"node {node.name!r} ({node.kind}) holds NaN or infinite values: train the network again")
    fitted, approximations = fit_branches(folded)
    leaks = [
        Approximation(node.name, "decay, relative to its leak", error)
        for node in fitted.nodes
        if (error := _leak_error(node.op)) > 0
    ]
    return Prepared(fitted, (*approximations, *leaks))


def _leak_error(op: Op) -> float:
    return decay_error(op) if hasattr(op, "decay") else 0.0  # type: ignore[arg-type]  # LIF or LeakyIntegrator


class Rounding:
    """A prepared graph, the units of its edges, and the integer counterpart of each of its nodes."""

    def __init__(self, network: Graph, precision: Precision, choices: Choices) -> None:
        self.network = network
        self.precision = precision
        self.choices = choices
        self.classes = UnitClasses(network)
        self.spikes = spike_units(network)
        self._check_names()
        self._shifts = ShiftLevels(network, self.classes, self.spikes) if choices.shift_thresholds else None
        self._real = {layer.name: self.real_weight(layer) for layer in self.classes.layers}
        self.exact = exact_units(network, self.classes, self._real, self.finest())
        self.class_units = self._class_units()
        self.fraction_bits = self._fraction_bits()

    def _check_names(self) -> None:
        layers = [node.name for node in self.classes.layers]
        self.precision.check_patterns(layers)
        neurons = [node.name for node in self.network.of_kind(SpikingNeuron)]
        leaky = [node.name for node in self.network.of_kind(LIF, LeakyIntegrator)]
        if unknown := sorted(set(self.choices.fraction_bits) - set(leaky)):
            raise GraphError(f"fraction bits are chosen for {unknown[0]!r}, but there are {', '.join(leaky)}")
        for what, named, known in (("unit", self.choices.units, layers), ("theta", self.choices.thetas, neurons)):
            for name, values in named.items():
                if name not in known:
                    raise GraphError(f"a {what} is chosen for {name!r}, but there are {', '.join(known)}")
                if values.shape != self.network.signals[name].shape[:1] or not (values > 0).all():
                    raise GraphError(f"node {name!r}: the chosen {what}s must be positive, one per channel")

    def bits(self, layer: Node) -> int:
        """Weight bits of a layer; an identity, which has one weight a channel, keeps 8 unless it is named."""
        return self.precision.bits(layer.name, MOST_BITS if is_identity(layer.op) else None)

    def limit(self, layer: Node) -> int:
        """The largest weight of a layer."""
        return weight_limit(self.bits(layer))

    def unit(self, name: str) -> Array:
        """The real value of one integer unit of what a node emits: ``[C]``, or ``[1]``."""
        return self.classes.unit(name, self.class_units) if name in self.classes else self.spikes[name]

    def real_weight(self, layer: Node) -> Array:
        """The real current that one count of each input adds: weights ``[O, I, ...]`` times the source's unit."""
        op, (source,) = layer.op, layer.inputs
        assert isinstance(op, (Conv2d, Linear))
        if self.network.signals[source].kind is not Kind.SPIKE:
            raise GraphError(f"node {layer.name!r} reads currents of {source!r}: put a neuron between")
        real: Array = op.weight * per_input(op, self.spikes[source])
        return real

    # -- units ---------------------------------------------------------------------------------------------------------

    def finest(self) -> Array:
        """``[classes]``: units that use all weight bits of the largest branch without clipping any weight."""
        largest = {
            layer.name: _row_maximum(self.real_weight(layer)) / self.limit(layer) for layer in self.classes.layers
        }
        return self.classes.largest(largest)

    def coarsest_need(self) -> Array:
        """``[classes]``: units below which a bias or a saturation would pass 24 bits (a batch-norm gain near zero makes
        both explode)."""
        extents: dict[str, Array] = {}
        for layer in self.classes.layers:
            if (bias := getattr(layer.op, "bias", None)) is not None:
                extents[layer.name] = np.abs(bias)
        for node in self.network.of_kind(SpikingNeuron):
            assert isinstance(node.op, SpikingNeuron)
            if (source := node.inputs[0]) in self.classes:
                extents[source] = np.maximum(extents.get(source, 0), real_extent(node.op))
        need: Array = self.classes.largest(extents) / (spec.MEMBRANE_LIMIT - _THETA_ROUNDING)
        return need

    def _class_units(self) -> Array:
        chosen = self.classes.largest(self.choices.units)
        for name, unit in self.choices.units.items():
            if not np.allclose(self.classes.unit(name, chosen), unit, rtol=SAME_UNIT, atol=0):
                raise GraphError(f"node {name!r}: its currents meet others, for which other units are chosen")
        own = np.where(self.exact > 0, self.exact, self.finest())
        units = np.maximum(np.where(chosen > 0, chosen, own), self.coarsest_need())
        return self.aligned(np.where(units > 0, units, 1.0))

    def _fraction_bits(self) -> dict[str, int]:
        """Of leaky neurons and integrators, by name: those that were chosen, else as many as they need."""
        chosen = self.choices.fraction_bits
        found = integrator_bits(self.network, self.classes, self.class_units) | {
            name: bits for name, bits in chosen.items() if isinstance(self.network[name].op, LeakyIntegrator)
        }
        for name, bits in found.items():
            self.classes.refine(name, bits)
        return found | neuron_bits(self.network, self.unit) | dict(chosen)

    def aligned(self, units: Array) -> Array:
        """``[classes]``: `units`, or the next coarser ones in which thresholds are powers of two where those are."""
        return units if self._shifts is None else self._shifts.aligned(units)

    # -- the integer graph ---------------------------------------------------------------------------------------------

    def graph(self) -> Graph:
        """The integer graph; the units of neurons whose membrane may leave 24 bits are coarsened until it cannot."""
        for _ in range(_MEMBRANE_ROUNDS):
            integer = self._rounded()
            if not self._coarsen(integer):
                break
        spec.check_integer(integer)
        return integer

    def _coarsen(self, integer: Graph) -> bool:
        factors = np.ones(self.classes.count)
        for node in integer.of_kind(SpikingNeuron, LeakyIntegrator):
            source = self.network[node.name].inputs[0]
            if source not in self.classes:  # spikes have no free unit: the check of the result will name the neuron
                continue
            largest = _largest(self._potential(integer, node))
            if (largest > spec.MEMBRANE_LIMIT).any():
                self._check_free(node.name)
                np.maximum.at(factors, self.classes.of(source)[0], 1.05 * largest / spec.MEMBRANE_LIMIT)
        self.class_units = self.aligned(self.class_units * factors)
        return bool((factors > 1).any())

    @staticmethod
    def _potential(integer: Graph, node: Node) -> Interval:
        if isinstance(node.op, SpikingNeuron):
            return node.op.membrane(integer.signals[node.inputs[0]].interval, integer.steps)
        return integer.signals[node.name].interval

    def _check_free(self, name: str) -> None:
        if name in self.choices.thetas:
            raise GraphError(
                f"node {name!r}: its membrane may leave 24 bits with the thresholds that were chosen for it"
            )

    def _rounded(self) -> Graph:
        building = _Building(self)
        for node in self.network.nodes:
            building.add(node)
        return Graph(tuple(building.nodes), self.network.steps)


class _Building:
    """The nodes of the integer graph as they are added, with the interval of each."""

    def __init__(self, rounding: Rounding) -> None:
        self._rounding = rounding
        self._network = rounding.network
        self._alias: dict[str, str] = {}
        self._signals: dict[str, Signal] = {}
        self.nodes: list[Node] = []

    def add(self, node: Node) -> None:
        inputs = tuple(self._alias.get(name, name) for name in node.inputs)
        if isinstance(node.op, Scale):
            self._rename(node, inputs[0])
            return
        op = rounded(self._rounding, node)
        try:
            if isinstance(op, SpikingNeuron):
                shifts = self._rounding.choices.shift_thresholds
                op = within_reach(op, self._signals[inputs[0]].interval, self._network.steps, shifts)
            self._signals[node.name] = op.signal(tuple(self._signals[name] for name in inputs), self._network.steps)
        except GraphError as error:
            raise GraphError(f"node {node.name!r}: {error}") from None
        self.nodes.append(Node(node.name, op, inputs, self._unit(node.name)))

    def _unit(self, name: str) -> Array:
        return frozen(self._rounding.unit(name), np.float64)

    def _rename(self, node: Node, source: str) -> None:
        """A scale moves nothing: the same integers are read in another unit."""
        self._alias[node.name] = source
        emitted = next(k for k, known in enumerate(self.nodes) if known.name == source)
        if set(self._network.consumers[node.inputs[0]]) == {node.name}:  # the unit that its readers mean
            self.nodes[emitted] = replace(self.nodes[emitted], unit=self._unit(node.name))


def rounded(rounding: Rounding, node: Node) -> Op:
    """The integer operation of a node of the prepared graph (not of a `Scale`, which leaves nothing behind)."""
    rules: dict[type[Op], Callable[[Rounding, Node], Op]] = {
        AvgPool2d: _average,
        Conv2d: _synapses,
        Linear: _synapses,
        LeakyIntegrator: _integrator,
        Readout: _readout,
    }
    if isinstance(node.op, SpikingNeuron):
        return _neuron(rounding, node)
    rule = rules.get(type(node.op))
    return node.op if rule is None else rule(rounding, node)


def _synapses(rounding: Rounding, node: Node) -> Op:
    op = node.op
    assert isinstance(op, (Conv2d, Linear))
    unit, limit, real = rounding.unit(node.name), rounding.limit(node), rounding.real_weight(node)
    weight = np.rint(real / unit.reshape((-1,) + (1,) * (real.ndim - 1))).clip(-limit, limit)
    bias = None if op.bias is None else frozen(np.rint(op.bias / unit), np.int32)
    return replace(op, weight=frozen(weight, np.int8), bias=bias)


def _average(rounding: Rounding, node: Node) -> Op:
    assert isinstance(node.op, AvgPool2d)
    return node.op.as_sum


def _integrator(rounding: Rounding, node: Node) -> Op:
    assert isinstance(node.op, LeakyIntegrator)
    bits = rounding.fraction_bits.get(node.name, 0)
    return replace(node.op, decay=rounded_decay(node.op.decay), fraction_bits=bits)


def _neuron(rounding: Rounding, node: Node) -> Op:
    op = node.op
    assert isinstance(op, SpikingNeuron)
    theta, bits = rounding.choices.thetas.get(node.name), rounding.fraction_bits.get(node.name, 0)
    return rounded_neuron(op, rounding.unit(node.inputs[0]), theta, bits)


def _readout(rounding: Rounding, node: Node) -> Op:
    if len(np.unique(rounding.unit(node.inputs[0]))) > 1:
        raise GraphError(
            f"node {node.name!r} reads spikes whose units differ between classes: give their neurons the same threshold"
        )
    return node.op


def _row_maximum(weight: Array) -> Array:
    largest: Array = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    return largest


def _largest(interval: Interval) -> Array:
    largest: Array = np.maximum(np.abs(interval.low), np.abs(interval.high))
    return largest
