"""A dense array of multipliers that runs quantized networks layer by layer, with weights held still in the array.

The baseline that a multi-level network has to beat: weights are read once a time step, and an activation once for all
the columns of the array. A sum of more inputs than the array has rows, or of several branches, takes several passes and
waits in memory between them; what leaves the last pass is requantized on the way. With ideal zero skipping, products
with a zero activation cost neither energy nor time; the bitmap that says where the zeros are is charged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from snn2chip.graph import Region
from snn2chip.hw_models import pricing
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.counts import Costs, Counts, Flow, Priced, count, mean
from snn2chip.hw_models.results import ActionRow, Latency, LayerRow, exact
from snn2chip.hw_models.sram import Accesses, Memory, arithmetic
from snn2chip.hw_models.traffic import met_and_places
from snn2chip.lowering import Network, Population, Projection, Role
from snn2chip.ops import Conv2d

#: Width of a stored bias: int32 in the integer graph.
BIAS_BITS = 32


@dataclass(frozen=True)
class Work:
    """What one projection costs the array, per inference.

    Attributes:
        products: multiplications (additions, where the weight 1 is implied).
        activations: reads of an activation.
        bitmap: bits read to find the zeros.
        passes: blocks of the inputs of a sum that the array takes one after the other.
        cycles: time in the array.
    """

    flow: Flow
    products: float
    activations: float
    bitmap: float
    passes: int
    cycles: float


@dataclass(frozen=True)
class DenseArray:
    """One network on one array. Let `activity` observe a run, then ask for `layers` and `latency`."""

    network: Network
    chip: Chip

    def activity(self, samples: int) -> Activity:
        return Activity(self.network, samples)

    @property
    def steps(self) -> int:
        return self.network.graph.steps

    @property
    def skips(self) -> bool:
        return self.chip.choice("zero_skipping", "none", "ideal") == "ideal"

    def latency(self, activity: Activity) -> Latency:
        """Layers run one after the other, so that the interval is the latency."""
        cycles = math.fsum(layer.cycles or 0.0 for layer in self.layers(activity))
        seconds = cycles / self.chip.number("clock.frequency")
        return Latency(self.steps, cycles, seconds, self.steps, cycles, seconds, exact(seconds), exact(seconds))

    def layers(self, activity: Activity) -> tuple[LayerRow, ...]:
        """A row per population, the input first."""
        activity.check(self.network)
        return tuple(self._layer(activity, population) for population in self.network.populations)

    def _layer(self, activity: Activity, population: Population) -> LayerRow:
        counts = count(activity, population)
        works = [self._work(activity, flow) for flow in counts.flows]
        accesses = [found for found in self._accesses(counts, works) if found.reads or found.writes]
        priced = [row for found in accesses for row in found.priced(self.chip, population.name)]
        rows = pricing.merge_actions([*priced, *self._arithmetic(counts, works)])
        memories = pricing.merge_memories(found.row(self.chip, population.name) for found in accesses)
        costs = Costs(
            neuron_updates=float(population.neurons * self.steps),
            payload_bits=0.0,
            cycles=math.fsum(work.cycles for work in works),
        )
        return counts.row(self.steps, Priced(pricing.energy(rows), rows, memories), costs)

    def _work(self, activity: Activity, flow: Flow) -> Work:
        projection = flow.projection
        target = self.network[projection.target]
        whole = Region.whole(target.shape)
        _, places = met_and_places(projection, whole)
        dense = float(projection.fan_out(whole).sum()) * self.steps
        products = flow.operations if self.skips else dense
        if not projection.is_weighted:
            cycles = products / self.chip.count("structure.columns")
            return Work(flow, products, products, dense if self.skips else 0.0, 0, cycles)
        deep, wide, groups = self._tiles(projection)
        read = float(places.sum()) * self.steps * wide
        events = activity.tallies[projection.source].events
        positions = target.neurons // target.shape[0] * self.steps
        stream = deep * wide * groups * positions * (products / dense if dense else 0.0)
        load = deep * wide * groups * self.chip.count("structure.rows") * self.steps
        return Work(
            flow=flow,
            products=products,
            activations=mean(events, places, activity.samples) * wide if self.skips else read,
            bitmap=read if self.skips else 0.0,
            passes=deep,
            cycles=stream + load,
        )

    def _tiles(self, projection: Projection) -> tuple[int, int, int]:
        """How often the array has to be loaded: along the inputs of a sum, along the outputs, and per group."""
        op = projection.op
        groups = op.groups if isinstance(op, Conv2d) else 1
        outputs = self.network[projection.target].shape[0] // groups
        inputs = projection.weights // (outputs * groups)
        rows, columns = self.chip.count("structure.rows"), self.chip.count("structure.columns")
        return -(-inputs // rows), -(-outputs // columns), groups

    @cached_property
    def _weights(self) -> int:
        """Bits of all weights of the network: the size of the weight memory."""
        projections = (found for population in self.network.populations for found in population.projections)
        return sum(found.weights * found.weight_bits for found in projections)

    @cached_property
    def _activations(self) -> int:
        """Bits of the largest layer's inputs and outputs together: the size of the activation memory."""
        network = self.network

        def held(population: Population) -> int:
            sources = {found.source for found in population.projections}
            return sum(network[name].signal.size * _width(network[name]) for name in {*sources, population.name})

        return max(held(population) for population in network.populations)

    def _accesses(self, counts: Counts, works: list[Work]) -> Iterable[Accesses]:
        population = counts.population
        updates = population.neurons * self.steps
        sums = Memory("sum", population.state_bits, population.neurons * population.state_bits)
        for work in works:
            source, projection = self.network[work.flow.projection.source], work.flow.projection
            bits = projection.weight_bits
            yield Accesses(Memory("weight", bits, self._weights), reads=projection.weights * self.steps)
            yield Accesses(Memory("activation", _width(source), self._activations), reads=work.activations)
            yield Accesses(Memory("bitmap", 1, self._activations), reads=work.bitmap)
        waits = updates * max(0, sum(work.passes for work in works) - 1)
        yield Accesses(sums, reads=waits, writes=waits)
        yield Accesses(Memory("weight", BIAS_BITS, self._weights), reads=int(population.biased.sum()) * self.steps)
        if self.steps > 1 and population.role in (Role.NEURON, Role.READOUT):
            kept = Memory("sum", population.stored_bits, population.neurons * population.stored_bits)
            yield Accesses(kept, reads=updates, writes=updates)
        written = counts.events_out if self.skips and population.role is not Role.READOUT else float(updates)
        if population.role is Role.INPUT:
            written = counts.events_out if self.skips else float(population.signal.size * self.steps)
        yield Accesses(Memory("activation", _width(population), self._activations), writes=written)
        if self.skips and population.role is not Role.READOUT:
            yield Accesses(Memory("bitmap", 1, self._activations), writes=float(population.signal.size * self.steps))

    def _arithmetic(self, counts: Counts, works: list[Work]) -> Iterable[ActionRow]:
        population = counts.population
        name, updates = population.name, population.neurons * self.steps
        biased = float(population.biased.sum()) * updates / population.shape[0]
        for work in works:
            projection, source = work.flow.projection, self.network[work.flow.projection.source]
            if not projection.is_weighted:
                yield from arithmetic(self.chip, name, "elementwise_add", work.products, population.state_bits)
                continue
            bits = max(projection.weight_bits, _width(source))
            yield from arithmetic(self.chip, name, "multiply", work.products, bits)
            yield from arithmetic(self.chip, name, "accumulate", work.products, population.state_bits)
        yield from arithmetic(self.chip, name, "accumulate", biased, population.state_bits)
        if population.leaks:
            yield from arithmetic(self.chip, name, "multiply", population.leaks * updates, population.state_bits)
            yield from arithmetic(self.chip, name, "accumulate", population.leaks * updates, population.state_bits)
        if population.role is Role.NEURON:
            yield from arithmetic(self.chip, name, "requantize", updates, population.state_bits)
        elif population.role is Role.READOUT and self.steps > 1:
            yield from arithmetic(self.chip, name, "accumulate", updates, population.state_bits)


def _width(population: Population) -> int:
    """Bits of one activation (of one logit, for the readout)."""
    return population.state_bits if population.role is Role.READOUT else max(1, population.payload_bits)
