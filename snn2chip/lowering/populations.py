"""Integer graph to populations and projections: what lives on cores, and what connects it.

A *population* is a node whose neurons sit on cores and send events: a spiking neuron; an adder (a sum of spikes that
does not solely feed neurons, or a pool); a comparer (a maximum); a relay (Upsample2d); the Readout, which sends
nothing; and the Input, which computes nothing. A *projection* is the synaptic path from one population to another: a
Conv2d or Linear, the windows of a pool, or the identity of a residual sum. Flatten is a view, a LeakyIntegrator the
synaptic current of the neurons behind it, and concatenations are taken apart first (`snn2chip.lowering.concat`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Kind, Node, Region, Shape, Signal
from snn2chip.kernels import DECAY_ONE
from snn2chip.lowering.concat import split_concats
from snn2chip.lowering.max_pool import neurons_before_maxima
from snn2chip.lowering.pipeline import takes_a_step
from snn2chip.ops import (
    LIF,
    Add,
    Concat,
    Conv2d,
    Flatten,
    Input,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    SpikingNeuron,
    SumPool2d,
    Upsample2d,
)

Synapse = Add | Conv2d | Linear | MaxPool2d | SumPool2d | Upsample2d


class Role(str, enum.Enum):
    """What the neurons of a population do."""

    INPUT = "input"
    NEURON = "neuron"
    ADDER = "adder"
    COMPARER = "comparer"
    RELAY = "relay"
    READOUT = "readout"


@dataclass(frozen=True)
class Projection:
    """All synapses from one population to another along one path.

    Attributes:
        source, target: names of populations.
        node: the node whose weights these are (for a pool or a sum: the pool, or the target itself).
        op: the connectivity; `Add` stands for the identity.
        shape: shape of the source population.
        view: the shape in which `op` sees it (differs behind a Flatten).
        delay: steps that an event waits beyond the one of the pipeline, so that skips arrive aligned.
    """

    source: str
    target: str
    node: str
    op: Synapse
    shape: Shape
    view: Shape
    delay: int

    @property
    def is_weighted(self) -> bool:
        """Whether weights are stored; the identity, pools and relays have an implicit weight of 1."""
        return isinstance(self.op, (Conv2d, Linear))

    @property
    def compares(self) -> bool:
        """Whether an event is compared with what its target holds, instead of being added to it."""
        return isinstance(self.op, MaxPool2d)

    @property
    def is_dense(self) -> bool:
        """Whether every source channel meets every target channel: then only a region's rows say what reaches it."""
        return isinstance(self.op, Linear) or (isinstance(self.op, Conv2d) and self.op.groups == 1)

    @property
    def is_identity(self) -> bool:
        """Whether every position reaches its own place and no other."""
        return isinstance(self.op, Add)

    @property
    def weights(self) -> int:
        """Stored weights, shared ones once."""
        return int(self.op.weight.size) if isinstance(self.op, (Conv2d, Linear)) else 0

    @cached_property
    def weight_bits(self) -> int:
        """Signed width that holds every weight; 0 where the weight 1 is implied."""
        if not isinstance(self.op, (Conv2d, Linear)):
            return 0
        least, most = int(self.op.weight.min(initial=0)), int(self.op.weight.max(initial=0))
        return max((-least - 1).bit_length() if least else 0, most.bit_length()) + 1

    def fan_out(self, target: Region, effective: bool = False) -> Array:
        """Targets in `target` that an event at each source position reaches: int64 of the source's shape."""
        return self.op.fan_out(self.view, target, effective).reshape(self.shape)

    def channels_met(self, target: Region) -> Array:
        """How many of the channels in `target` each source channel meets: int64 ``[C]`` of the source.

        ``fan_out // channels_met`` is the number of target *places* (weights for the channels at one place lie side by
        side in synaptic memory, so that one read fetches several).
        """
        first, last = target.channels.start, target.channels.stop
        channels = self.view[0]
        if isinstance(self.op, Linear):
            met = np.full(channels, last - first, dtype=np.int64)
        elif isinstance(self.op, Conv2d):
            group = np.arange(first, last) // (self.op.outputs // self.op.groups)
            met = np.bincount(group, minlength=self.op.groups).repeat(channels // self.op.groups)
        else:
            met = np.zeros(channels, dtype=np.int64)
            met[first:last] = 1
        return met if self.view == self.shape else met.reshape(self.shape[0], -1).max(axis=1)


@dataclass(frozen=True)
class Population:
    """Neurons that sit on cores, with the projections that reach them.

    Attributes:
        name: the node that makes the events.
        role: what the neurons do.
        signal: shape, kind and proven interval of what they send.
        depth: pipeline stage: 0 for the input, else one more than the deepest source. With T steps the population is
            active in steps depth - 1 .. depth - 1 + T - 1 of a sample, counted from 0.
        projections: incoming, in the order of the graph.
        levels: N of a neuron; 0 for everything else.
        shifts: channels whose theta is a power of two, so that a shift replaces the division.
        biased: ``[C]`` bool: channels to which a bias or drive is added at every step.
        awake: ``[C]`` bool: channels that change at every step whether an event reached them or not: biased ones, ones
            with a leak, and ones whose reset is delayed.
        leaks: products with a decay in one update: of the membrane, and of the synaptic current where there is one.
        state_bits: width of one neuron's accumulator or membrane, as proven.
        current_bits: width of its synaptic current, as proven; 0 where it has none of its own.
    """

    name: str
    role: Role
    signal: Signal
    depth: int
    projections: tuple[Projection, ...]
    operation: str
    levels: int
    shifts: Array
    biased: Array
    awake: Array
    leaks: int
    state_bits: int
    current_bits: int

    @property
    def shape(self) -> Shape:
        return self.signal.shape

    @property
    def neurons(self) -> int:
        return 0 if self.role is Role.INPUT else self.signal.size

    @property
    def stored_bits(self) -> int:
        """What one neuron keeps from step to step."""
        return self.state_bits + self.current_bits

    @property
    def payload_bits(self) -> int:
        """Bits that an event carries beyond its being there: none for binary spikes (and none for the readout)."""
        largest = self.signal.interval.max
        return largest.bit_length() if largest > 1 and self.role is not Role.READOUT else 0


@dataclass(frozen=True)
class Network:
    """The populations of a graph, in topological order; the first is the input, the last the readout."""

    graph: Graph
    populations: tuple[Population, ...]

    def __getitem__(self, name: str) -> Population:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> Mapping[str, Population]:
        return MappingProxyType({population.name: population for population in self.populations})

    @cached_property
    def outgoing(self) -> Mapping[str, tuple[Projection, ...]]:
        """For every population, the projections that leave it."""
        found: dict[str, list[Projection]] = {population.name: [] for population in self.populations}
        for population in self.populations:
            for projection in population.projections:
                found[projection.source].append(projection)
        return MappingProxyType({name: tuple(projections) for name, projections in found.items()})

    @property
    def depth(self) -> int:
        """Pipeline stages; one sample takes T + depth - 1 steps."""
        return max(population.depth for population in self.populations)


def to_populations(graph: Graph) -> Network:
    """The populations of an integer graph; the network's own graph is the same network as cores can hold it.

    Raises: GraphError, naming the node, where no core could hold it.
    """
    graph = split_concats(neurons_before_maxima(graph))
    homes = {node.name for node in graph.nodes if _is_population(graph, node)}
    found: dict[str, Population] = {}
    for node in graph.nodes:
        if node.name in homes:
            found[node.name] = _population(graph, homes, found, node)
    return Network(graph, tuple(found.values()))


def _is_population(graph: Graph, node: Node) -> bool:
    op = node.op
    if isinstance(op, (MaxPool2d, SumPool2d, Upsample2d)) and graph.signals[node.name].kind is Kind.CURRENT:
        raise GraphError(
            f"node {node.name!r} ({node.kind}) reads currents, which no core can send: put it behind the neuron"
        )
    return isinstance(op, Input) or takes_a_step(graph, node)


@dataclass(frozen=True)
class _Path:
    source: str
    node: str
    op: Synapse
    view: Shape


def _population(graph: Graph, homes: set[str], found: Mapping[str, Population], node: Node) -> Population:
    paths = tuple(path for name in node.inputs for path in _incoming(graph, homes, node, name))
    depth = 1 + max((found[path.source].depth for path in paths), default=-1)
    projections = tuple(
        Projection(
            path.source,
            node.name,
            path.node,
            path.op,
            found[path.source].shape,
            path.view,
            depth - found[path.source].depth - 1,
        )
        for path in paths
    )
    op, integrator = node.op, _integrator(graph, node)
    biased = _biased(op, graph.signals[node.name].shape[0], projections)
    leaking = [found for found in (op, integrator) if isinstance(found, (LIF, LeakyIntegrator)) and _leaks(found)]
    return Population(
        name=node.name,
        role=_role(op),
        signal=graph.signals[node.name],
        depth=depth,
        projections=projections,
        operation=_operation(node, projections),
        levels=op.levels if isinstance(op, SpikingNeuron) else 0,
        shifts=_shifts(op),
        biased=biased,
        awake=biased | (isinstance(op, LIF) and op.delayed) | bool(leaking),
        leaks=len(leaking),
        state_bits=_state_bits(graph, node),
        current_bits=0 if integrator is None else graph.signals[node.inputs[0]].interval.bits,
    )


def _integrator(graph: Graph, node: Node) -> LeakyIntegrator | None:
    """The synaptic current that a population's neurons keep beside their membrane."""
    source = graph[node.inputs[0]].op if node.inputs else None
    return source if isinstance(source, LeakyIntegrator) else None


def _leaks(op: LIF | LeakyIntegrator) -> bool:
    return bool((op.decay != DECAY_ONE).any())


def _shifts(op: object) -> Array:
    """Channels ``[C]`` in which a shift counts the levels; none for what is no neuron."""
    if isinstance(op, MultiLevelIF):
        return (op.theta & (op.theta - 1)) == 0  # type: ignore[no-any-return]  # numpy's & is untyped here
    if isinstance(op, LIF):  # levels are counted from theta on, in steps: a shift serves where both are one
        return (op.step_size & (op.step_size - 1) == 0) & (op.theta == op.step_size)  # type: ignore[no-any-return]
    return np.zeros(0, dtype=bool)


def _role(op: object) -> Role:
    if isinstance(op, Input):
        return Role.INPUT
    if isinstance(op, SpikingNeuron):
        return Role.NEURON
    if isinstance(op, MaxPool2d):
        return Role.COMPARER
    if isinstance(op, Readout):
        return Role.READOUT
    return Role.RELAY if isinstance(op, Upsample2d) else Role.ADDER


def _incoming(graph: Graph, homes: set[str], target: Node, name: str) -> Iterator[_Path]:
    """The paths that end in `target` through its input `name`."""
    if isinstance(target.op, (MaxPool2d, SumPool2d, Upsample2d)):
        yield from _from_population(graph, homes, name, target, target.op)
        return
    yield from _trace(graph, homes, target, name)


def _trace(graph: Graph, homes: set[str], target: Node, name: str) -> Iterator[_Path]:
    node = graph[name]
    if name in homes:
        yield _Path(name, target.name, Add(), graph.signals[name].shape)
    elif isinstance(node.op, (Conv2d, Linear)):
        yield from _from_population(graph, homes, node.inputs[0], node, node.op)
    elif isinstance(node.op, Add):
        for source in node.inputs:
            yield from _trace(graph, homes, target, source)
    elif isinstance(node.op, LeakyIntegrator) and graph.consumers[name] == (target.name,) and name in target.inputs:
        yield from _trace(graph, homes, target, node.inputs[0])
    elif isinstance(node.op, Flatten) and graph.signals[name].kind is Kind.SPIKE:
        yield from _from_population(graph, homes, name, target, Add())
    elif isinstance(node.op, Concat):
        raise GraphError(f"node {name!r} (Concat) joins currents for the readout, which no core holds together")
    else:
        raise GraphError(
            f"node {name!r} ({node.kind}) stands between synapses and neuron {target.name!r}: move it behind"
        )


def _from_population(graph: Graph, homes: set[str], name: str, node: Node, op: Synapse) -> Iterator[_Path]:
    """The path from the population behind `name` (through Flattens) into `op`, which belongs to `node`."""
    view = graph.signals[name].shape
    while name not in homes:
        reader = graph[name]
        if not isinstance(reader.op, Flatten):
            raise GraphError(f"node {node.name!r} ({node.kind}) reads {name!r} ({reader.kind}), which sends no spikes")
        name = reader.inputs[0]
    yield _Path(name, node.name, op, view)


def _operation(node: Node, projections: tuple[Projection, ...]) -> str:
    weighted = {type(projection.op).__name__: None for projection in projections if projection.is_weighted}
    summed = ["Add"] if len(projections) > 1 and node.kind != "Add" else []
    return " + ".join([*weighted, *summed, node.kind])


def _biased(op: object, channels: int, projections: tuple[Projection, ...]) -> Array:
    biased: Array = np.zeros(channels, dtype=bool)
    if isinstance(op, LIF) and op.drive is not None:
        biased |= op.drive != 0
    for projection in projections:
        if isinstance(projection.op, (Conv2d, Linear)) and projection.op.bias is not None:
            biased |= projection.op.bias != 0
    return biased


def _state_bits(graph: Graph, node: Node) -> int:
    if isinstance(node.op, SpikingNeuron):
        return node.op.membrane(graph.signals[node.inputs[0]].interval, graph.steps).bits
    interval = graph.signals[node.name].interval
    if isinstance(node.op, Readout):
        return interval.bits + (graph.steps - 1).bit_length()
    return interval.bits
