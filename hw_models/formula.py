"""The analytic model of Lemaire et al. (2022), corrected: a memory of the exact size per tensor, no cores, no time.

Every layer owns its weight, bias and potential memory and the queues of events before it. What was corrected, and why,
stands in ``docs/hardware-models.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from snn2chip.hw_models import pricing
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.counts import Costs, Counts, Flow, Priced, count
from snn2chip.hw_models.results import ActionRow, Latency, LayerRow
from snn2chip.hw_models.sram import Accesses, Memory, arithmetic
from snn2chip.lowering import Network, Population, Role
from snn2chip.ops import Conv2d, MaxPool2d, SumPool2d

#: Width of a stored bias: int32 in the integer graph.
BIAS_BITS = 32


@dataclass(frozen=True)
class Formula:
    """One network under an analytic model. Let `activity` observe a run, then ask for `layers`."""

    network: Network
    chip: Chip

    def activity(self, samples: int) -> Activity:
        return Activity(self.network, samples)

    @property
    def steps(self) -> int:
        return self.network.graph.steps

    def latency(self, activity: Activity) -> Latency:
        """Steps only: the model knows no time."""
        return Latency(self.steps + self.network.depth - 1, None, None, self.steps, None, None)

    def layers(self, activity: Activity) -> tuple[LayerRow, ...]:
        """A row per population, the input first."""
        activity.check(self.network)
        return tuple(self._layer(count(activity, population)) for population in self.network.populations)

    def _layer(self, counts: Counts) -> LayerRow:
        population = counts.population
        accesses = [found for found in self._accesses(counts) if found.reads or found.writes]
        actions = [row for found in accesses for row in found.priced(self.chip, population.name)]
        rows = pricing.merge_actions([*actions, *self._arithmetic(counts)])
        copies = len(self.network.outgoing[population.name])
        memories = pricing.merge_memories(found.row(self.chip, population.name) for found in accesses)
        costs = Costs(
            neuron_updates=float(population.neurons * self.steps),
            payload_bits=population.payload_bits * counts.events_out * copies,
            cycles=None,
        )
        return counts.row(self.steps, Priced(pricing.energy(rows), rows, memories), costs)

    def _accesses(self, counts: Counts) -> Iterable[Accesses]:
        population = counts.population
        updates = population.neurons * self.steps
        for flow in counts.flows:
            share = 1.0 if self._grows(flow) else 0.0
            yield Accesses(self._queue(self.network[flow.projection.source]), reads=flow.events, growing=share)
            if flow.projection.is_weighted:
                bits = flow.projection.weight_bits
                memory = Memory("weight", bits, flow.projection.weights * bits)
                yield Accesses(memory, reads=flow.operations, growing=share)
        touched = counts.operations + updates
        state = Memory("potential", population.stored_bits, population.neurons * population.stored_bits)
        share = self._growing(counts) / touched if touched else 0.0
        yield Accesses(state, reads=touched, writes=touched, growing=share)
        biased = int(population.biased.sum())
        per_channel = updates // population.shape[0]
        yield Accesses(Memory("bias", BIAS_BITS, biased * BIAS_BITS), reads=biased * per_channel, growing=0.0)
        copies = len(self.network.outgoing[population.name])
        share = 0.0 if population.role is Role.INPUT else 1.0
        yield Accesses(self._queue(population), writes=counts.events_out * copies, growing=share)

    def _grows(self, flow: Flow) -> bool:
        """Whether a layer sends these events: what the input sends is given."""
        return self.network[flow.projection.source].role is not Role.INPUT

    def _growing(self, counts: Counts) -> float:
        """Synaptic operations that grow with the events of the layers."""
        return sum(flow.operations for flow in counts.flows if self._grows(flow))

    def _queue(self, source: Population) -> Memory:
        """The queue that holds a population's events: address and value."""
        bits = source.payload_bits + (source.signal.size - 1).bit_length()
        return Memory("event", bits, self.chip.count("structure.queue_words") * bits)

    def _arithmetic(self, counts: Counts) -> Iterable[ActionRow]:
        population, steps = counts.population, self.steps
        name, width = population.name, population.state_bits
        updates = population.neurons * steps
        per_channel = updates / population.shape[0]
        operation = "compare" if population.role is Role.COMPARER else "accumulate"
        yield from arithmetic(self.chip, name, operation, counts.operations, width, self._growing(counts))
        if population.role is Role.NEURON and steps > 1:  # at T = 1 nothing survives that would have to be reset
            yield from arithmetic(self.chip, name, "accumulate", counts.spikes_out, width, counts.spikes_out)
        added = float(population.biased.sum()) * per_channel
        if population.role is Role.READOUT:
            added += updates
        added += population.leaks * updates  # a leak is a product and, for the current it is added to, a sum
        yield from arithmetic(self.chip, name, "accumulate", added, width, 0.0)
        yield from arithmetic(self.chip, name, "multiply", population.leaks * updates, width, 0.0)
        for flow in counts.flows:
            yield from self._per_flow(name, flow)
        if population.role is Role.NEURON:
            shifted = float(population.shifts.sum())
            compares = (shifted + population.levels * (population.shape[0] - shifted)) * per_channel
            yield from arithmetic(self.chip, name, "compare", compares, width, 0.0)

    def _per_flow(self, name: str, flow: Flow) -> Iterable[ActionRow]:
        source = self.network[flow.projection.source]
        grow = 1.0 if self._grows(flow) else 0.0
        if flow.graded and flow.projection.is_weighted:
            bits = max(flow.projection.weight_bits, source.payload_bits)
            yield from arithmetic(self.chip, name, "multiply", flow.operations, bits, grow * flow.operations)
        address = (self.network[flow.projection.target].signal.size - 1).bit_length()
        yield from arithmetic(self.chip, name, "address", flow.operations, address, grow * flow.operations)
        if isinstance(flow.projection.op, (Conv2d, MaxPool2d, SumPool2d)):
            moved = 2 * flow.events
            yield from arithmetic(self.chip, name, "address_multiply", moved, address, grow * moved)
