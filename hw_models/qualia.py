"""The analytic model of Lemaire et al. (2022) as the authors' tool Qualia computes it, slips included.

Layers with weights are charged by rates: a whole kernel for every event, whatever its place; a map that is not binary
as dense products times its rate, over one step. All else is free. What differs from `Formula`, which is corrected, and
by how much, stands in ``docs/qualia.md``. Equations: qualia-plugin-snn 2.6.0, EnergyEstimationMetric, whose numbering
is the paper's (arXiv 2210.13107).
"""

from __future__ import annotations

import math
from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Node, Shape
from snn2chip.hw_models import pricing
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.counts import Costs, Priced, count
from snn2chip.hw_models.formula import Formula
from snn2chip.hw_models.results import LayerRow
from snn2chip.hw_models.sram import Accesses, Memory, arithmetic
from snn2chip.lowering import Network, Population
from snn2chip.ops import Add, Conv2d, LeakyIntegrator, Linear, SpikingNeuron


def formula(network: Network, chip: Chip) -> Formula:
    """The analytic model that ``[choices] counting`` of the chip file asks for."""
    counting = chip.choice("counting", "exact", "rates", "dense")
    return {"exact": Formula, "rates": Spiking, "dense": Formal}[counting](network, chip)


@dataclass(frozen=True)
class Work:
    """What one layer does, per inference: words moved, and operations.

    Attributes:
        accesses: reads and writes, by memory.
        operations: counts by action.
    """

    accesses: tuple[Accesses, ...]
    operations: Mapping[str, float]


@dataclass(frozen=True)
class Layer:
    """A Conv2d, or a Linear (a convolution of one tap over one place), as the equations see it.

    Attributes:
        inputs, outputs: values of the input and of the output map: N_in and N_out.
        channels_in, channels_out: C_in and C_out.
        taps: positions of the kernel: K.
        reached: positions of the kernel divided by its stride, rounded up along each axis.
        weights, biases: stored words.
        windowed: whether it is a convolution.
    """

    inputs: int
    outputs: int
    channels_in: int
    channels_out: int
    taps: int
    reached: int
    weights: int
    biases: int
    windowed: bool

    @property
    def products(self) -> int:
        """Products of the dense layer; like the tool, with all input channels even where there are groups."""
        return self.channels_in * self.taps * self.outputs


def layer_of(op: Conv2d | Linear, source: Shape, target: Shape) -> Layer:
    """The layer of an operation that reads ``source`` and gives ``target`` (shapes without batch)."""
    windowed = isinstance(op, Conv2d)
    kernel, stride = (op.kernel, op.stride) if isinstance(op, Conv2d) else ((1, 1), (1, 1))
    return Layer(
        inputs=math.prod(source),
        outputs=math.prod(target),
        channels_in=source[0],
        channels_out=target[0],
        taps=math.prod(kernel),
        reached=math.prod(-(-size // step) for size, step in zip(kernel, stride, strict=True)),
        weights=int(op.weight.size),
        biases=0 if op.bias is None else int(op.bias.size),
        windowed=windowed,
    )


@dataclass(frozen=True)
class Firing:
    """What reaches and leaves one layer, per inference.

    Attributes:
        events: values that are not zero in its input, over all steps: theta_in.
        spikes: values that are not zero and leave the neurons directly behind it: theta_out.
        binary: whether its input counts as spikes.
        leaks: whether the neurons directly behind it leak.
        steps: T.
    """

    events: float
    spikes: float
    binary: bool
    leaks: bool
    steps: int


@dataclass(frozen=True)
class Literal(Formula, metaclass=ABCMeta):
    """What both of Qualia's counts share: a memory of the exact size per tensor, and one width for every word."""

    def layers(self, activity: Activity) -> tuple[LayerRow, ...]:
        """A row per population; each holds the layers with weights that end in it."""
        return tuple(self._row(activity, population) for population in self.network.populations)

    def _row(self, activity: Activity, population: Population) -> LayerRow:
        works = [work for node in self._owned[population.name] for work in self.work(activity, node)]
        accesses = [found for work in works for found in work.accesses if found.reads or found.writes]
        rows = [row for found in accesses for row in found.priced(self.chip, population.name)]
        for work in works:
            for action, number in work.operations.items():
                rows += arithmetic(self.chip, population.name, action, number, self.word)
        merged = pricing.merge_actions(rows)
        memories = pricing.merge_memories(found.row(self.chip, population.name) for found in accesses)
        costs = Costs(neuron_updates=float(population.neurons * self.steps), payload_bits=0.0, cycles=None)
        return count(activity, population).row(self.steps, Priced(pricing.energy(merged), merged, memories), costs)

    @abstractmethod
    def work(self, activity: Activity, node: Node) -> Iterable[Work]:
        """What the layer `node` does; nothing for nodes that are free."""

    @property
    def word(self) -> int:
        """Width of every stored word, in bits."""
        return self.chip.count("words.word")

    def memory(self, name: str, words: int) -> Memory:
        return Memory(name, self.word, words * self.word)

    def layer(self, node: Node) -> Layer:
        op, signals = node.op, self.network.graph.signals
        assert isinstance(op, (Conv2d, Linear))
        return layer_of(op, signals[node.inputs[0]].shape, signals[node.name].shape)

    @cached_property
    def _owned(self) -> Mapping[str, tuple[Node, ...]]:
        """By population: its own node and the nodes in front of it, each charged to the first population it reaches."""
        graph, taken = self.network.graph, {population.name for population in self.network.populations}
        return {
            population.name: (*_in_front(graph, graph[population.name], taken), graph[population.name])
            for population in self.network.populations
        }


def _in_front(graph: Graph, node: Node, taken: set[str]) -> tuple[Node, ...]:
    """The nodes before `node` that are not in `taken`, in graph order; they are added to it."""
    found: tuple[Node, ...] = ()
    for name in node.inputs:
        if name in taken:
            continue
        taken.add(name)
        if isinstance(graph[name].op, LeakyIntegrator):
            raise GraphError(
                f"node {name!r} (LeakyIntegrator) is a current that fades, for which Qualia has no equation: "
                "simulate it on lemaire-45nm"
            )
        found += (*_in_front(graph, graph[name], taken), graph[name])
    return found


class Spiking(Literal):
    """The equations for spiking networks."""

    def work(self, activity: Activity, node: Node) -> Iterable[Work]:
        if not isinstance(node.op, (Conv2d, Linear)):
            return
        layer, firing = self.layer(node), self._firing(activity, node)
        yield Work(tuple(self._moved(layer, firing)), operations(layer, firing))

    def _moved(self, layer: Layer, firing: Firing) -> Iterable[Accesses]:
        shown = _shown(firing)
        fan_out = layer.channels_out * layer.taps
        updates = firing.steps * layer.outputs
        queue = self.memory("event", self.chip.count("structure.queue_words"))
        touched = firing.events * fan_out + updates
        yield Accesses(queue, reads=shown)
        yield Accesses(self.memory("weight", layer.weights), reads=shown * fan_out)
        if layer.biases:
            yield Accesses(self.memory("bias", layer.biases), reads=updates)
        yield Accesses(self.memory("potential", layer.outputs), reads=touched, writes=touched)
        yield Accesses(queue, writes=firing.spikes)

    def _firing(self, activity: Activity, node: Node) -> Firing:
        source, behind = node.inputs[0], self._neurons_behind(node)
        tally, binary = activity.tallies[self._home(source)], self._is_binary(activity, source)
        summed = binary and isinstance(self.network.graph[source].op, Add)
        events = int((tally.values if summed else tally.events).sum())
        spikes = int(activity.tallies[behind.name].events.sum()) if behind else 0
        return Firing(
            events=events / activity.samples,
            spikes=spikes / activity.samples,
            binary=binary,
            leaks=behind is not None and behind.leaks > 0,
            steps=self.steps,
        )

    def _neurons_behind(self, node: Node) -> Population | None:
        """The neurons that read a layer first and directly: only these reset, and only these write events."""
        first = self.network.graph.consumers[node.name][0]
        return self.network[first] if isinstance(self.network.graph[first].op, SpikingNeuron) else None

    def _home(self, name: str) -> str:
        """The population whose events `name` carries (a Flatten is a view)."""
        while name not in self.network:
            (name,) = self.network.graph[name].inputs
        return name

    def _is_binary(self, activity: Activity, name: str) -> bool:
        """Whether nothing but 0 and 1 was seen. A sum of such maps counts as one: its values are so many spikes."""
        node = self.network.graph[name]
        if isinstance(node.op, Add):
            return all(self._is_binary(activity, source) for source in node.inputs)
        tally = activity.tallies[self._home(name)]
        return bool((tally.values == tally.events).all())


def _shown(firing: Firing) -> float:
    """Events that are read: a map that is not binary is read in one step only."""
    return firing.events if firing.binary else firing.events / firing.steps


def operations(layer: Layer, firing: Firing) -> Mapping[str, float]:
    """Counts by action: equations 1.3, 1.4, 2.3, 2.4, 16.2, 16.3, 17.2; the tool's own where maps are not binary."""
    shown, updates = _shown(firing), float(firing.steps * layer.outputs)
    if firing.binary:
        multiplied = updates if firing.leaks else 0.0
        added = multiplied + firing.events * layer.channels_out * layer.reached + updates + firing.spikes
    else:
        products = layer.products * shown / layer.inputs
        multiplied = products + (layer.outputs if firing.leaks else 0)
        added = products + layer.outputs + firing.spikes
    moved = 2 * shown if layer.windowed else 0.0
    stepped = shown * layer.taps if layer.windowed else shown / layer.inputs * layer.outputs
    return {"multiply": multiplied, "accumulate": added, "address_multiply": moved, "address": moved + stepped}


class Formal(Literal):
    """The equations for networks that do not spike: every product is carried out, and nothing is reused.

    Such a network has one step; one of T steps is charged T times.
    """

    def work(self, activity: Activity, node: Node) -> Iterable[Work]:
        if isinstance(node.op, (Conv2d, Linear)):
            yield self._layer_work(self.layer(node))
        elif isinstance(node.op, Add):
            signals = self.network.graph.signals
            yield self._sum_work([signals[name].shape for name in node.inputs])

    def _layer_work(self, layer: Layer) -> Work:
        steps, outputs = self.steps, self.steps * layer.outputs
        products = steps * layer.products
        addressed = layer.inputs + layer.outputs + layer.channels_out * layer.taps
        accesses = (
            Accesses(
                self.memory("activation", layer.inputs), reads=products if layer.windowed else steps * layer.inputs
            ),
            Accesses(self.memory("weight", layer.weights), reads=products),
            Accesses(self.memory("bias", layer.biases), reads=outputs if layer.biases else 0),
            Accesses(self.memory("activation", layer.outputs), writes=outputs),
        )
        return Work(
            accesses,
            {
                "multiply": products,
                "accumulate": products + outputs,
                "address": steps * addressed if layer.windowed else products,
            },
        )

    def _sum_work(self, shapes: list[Shape]) -> Work:
        """A sum of maps: the tool adds the sizes of the axes where their product was meant."""
        steps, extents = self.steps, [sum(shape) for shape in shapes]
        memory = self.memory("activation", math.prod(shapes[0]))
        return Work(
            (Accesses(memory, reads=steps * sum(extents), writes=steps * shapes[0][0]),),
            {"accumulate": steps * min(extents) * (len(shapes) - 1), "address": steps * min(extents)},
        )
