"""Whole networks by docs/decisions/0007-detailed-timing.md, neuron by neuron and synapse by synapse, on `SlowMesh`.

Placement, depths and delays are taken as they are; what reaches what, what it costs and when it travels is worked out
here, in ticks of 1 ns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from snn2chip.graph import Array
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.placement import Placement, Slot
from snn2chip.lowering import Network, Population, Projection, Role
from snn2chip.ops import Add, Conv2d, Linear, MaxPool2d, SumPool2d
from tests.hw.slow_mesh import Message, SlowMesh

Place = tuple[int, ...]


def synapses(projection: Projection, target: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Every pair of a source and a target neuron with a synapse, weight zero included; both by flat number."""
    op, view = projection.op, projection.view
    if isinstance(op, Add):
        yield from ((number, number) for number in range(int(np.prod(target))))
    elif isinstance(op, Linear):
        yield from product(range(view[0]), range(target[0]))
    else:
        yield from _windows(op, view, target)


def _windows(op: object, view: tuple[int, ...], target: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    assert isinstance(op, (Conv2d, MaxPool2d, SumPool2d))
    padding = op.padding if isinstance(op, Conv2d) else (0, 0)
    for c, y, x, by, bx in product(*map(range, target), *map(range, op.kernel)):
        row, column = y * op.stride[0] + by - padding[0], x * op.stride[1] + bx - padding[1]
        if not (0 <= row < view[1] and 0 <= column < view[2]):
            continue
        for source in range(view[0]) if isinstance(op, Conv2d) else [c]:
            yield (source * view[1] + row) * view[2] + column, (c * target[1] + y) * target[2] + x


@dataclass
class Step:
    taken: list[int]
    updating: list[int]
    sending: list[int]
    duration: int


class SlowNetwork:
    """`tensors`: what every population sent: int ``[samples, T, *shape]`` by name."""

    def __init__(self, network: Network, chip: Chip, placement: Placement, tensors: Mapping[str, Array]) -> None:
        self.network, self.chip, self.tensors = network, chip, tensors
        self.slots = sorted((slot for found in placement.slots.values() for slot in found), key=lambda slot: slot.index)
        self.core_of: dict[str, dict[int, int]] = {population.name: {} for population in network.populations}
        for slot in self.slots:
            for number in self.neurons(slot):
                self.core_of[slot.population][number] = slot.index
        self.reached: dict[tuple[Projection, int], dict[int, int]] = {}
        for projection in (found for population in network.populations for found in population.projections):
            for source, target in synapses(projection, network[projection.target].shape):
                cores = self.reached.setdefault((projection, source), {})
                core = self.core_of[projection.target][target]
                cores[core] = cores.get(core, 0) + 1

    def ticks(self, action: str) -> int:
        price = self.chip.times[action]
        return round(price.quantity.value * 1e9) if price.quantity else 0

    def neurons(self, slot: Slot) -> list[int]:
        shape = self.network[slot.population].shape
        inside = np.zeros(shape, bool)
        channels = slice(slot.region.channels.start, slot.region.channels.stop)
        rows = slice(slot.region.rows.start, slot.region.rows.stop)
        inside[(channels, rows) if len(shape) == 3 else channels] = True
        return [int(number) for number in np.flatnonzero(inside)]

    def alone(self, sample: int) -> list[Step]:
        steps = self.network.graph.steps
        return [self.step(lambda own: sample * steps + own if 0 <= own < steps else None, step)
                for step in range(steps + self.network.depth - 1)]  # fmt: skip

    def stream(self) -> list[Step]:
        count = self.network.graph.steps * len(next(iter(self.tensors.values())))
        return [self.step(lambda own: own % count, step) for step in range(count)]

    def step(self, row_of: object, step: int) -> Step:
        """`row_of` says which of all the samples' steps an own step of a population is; None where it has none."""
        assert callable(row_of)
        outboxes = [self.outbox(slot.population, self.neurons(slot), row_of, step) for slot in self.slots]
        host = self.network.populations[0]
        outboxes.append(self.outbox(host.name, list(range(host.signal.size)), row_of, step))
        mesh = SlowMesh(
            [(slot.x, slot.y) for slot in self.slots],
            outboxes,
            self.ticks("hop_x"),
            self.ticks("hop_y"),
            self.ticks("chip_crossing"),
            self.chip.count("structure.tile_columns"),
            self.chip.count("limits.buffer_messages"),
        )
        mesh.run()
        taken = [core.taken for core in mesh.cores]
        rows = [row_of(step - self.network[slot.population].depth + 1) for slot in self.slots]
        updating = [self.update(slot, row) for slot, row in zip(self.slots, rows, strict=True)]
        sending = [0 if row is None else self.send(slot, row) for slot, row in zip(self.slots, rows, strict=True)]
        slowest = max(map(sum, zip(taken, updating, sending, strict=True)))
        return Step(taken, updating, sending, slowest + self.ticks("barrier"))

    def fired(self, name: str, row: int) -> Array:
        tensor = self.tensors[name]
        events: Array = tensor.reshape(-1, int(np.prod(tensor.shape[2:])))[row] != 0
        return events

    def outbox(self, name: str, neurons: list[int], row_of: object, step: int) -> list[Message]:
        assert callable(row_of)
        depth, outgoing = self.network[name].depth, self.network.outgoing[name]
        found: list[Message] = []
        for own in range(step - self.network.depth - 1, step + 1):  # what was sent first comes first
            row = row_of(own)
            if row is None or self.network[name].role is Role.READOUT:
                continue
            now = [projection for projection in outgoing if own + depth + projection.delay == step]
            for number in neurons:
                if self.fired(name, row)[number]:
                    for projection in now:
                        found += self.messages(projection, number)
        return found

    def messages(self, projection: Projection, number: int) -> list[Message]:
        operation = self.ticks("synaptic_operation")
        if self.network[projection.source].signal.interval.max > 1 and not projection.compares:
            operation += self.ticks("payload_multiply")
        reached = self.reached.get((projection, number), {})
        return [Message(core, self.ticks("axon_in_read") + reached[core] * operation) for core in sorted(reached)]

    def send(self, slot: Slot, row: int) -> int:
        if self.network[slot.population].role is Role.READOUT:
            return 0
        sent = [number for number in self.neurons(slot) if self.fired(slot.population, row)[number]]
        outgoing = self.network.outgoing[slot.population]
        copies = sum(len(self.reached.get((projection, number), {})) for number in sent for projection in outgoing)
        return len(sent) * self.ticks("spike_out") + copies * self.ticks("message")

    def update(self, slot: Slot, row: int | None) -> int:
        idle = self.ticks("neuron_update_inactive")
        if row is None:
            return len(self.neurons(slot)) * idle if self.chip.choices["idle_neurons"] == "visited" else 0
        population = self.network[slot.population]
        touched = self.touched(population, row)
        per_channel = population.signal.size // population.shape[0]
        return sum(
            self.active(population, number // per_channel) if number in touched else idle
            for number in self.neurons(slot)
        )

    def active(self, population: Population, channel: int) -> int:
        ticks = self.ticks("neuron_update_active") + population.leaks * self.ticks("leak_multiply")
        if population.levels > 1:
            shifts = population.shifts[channel]
            ticks += self.ticks("level_shift") if shifts else (population.levels - 1) * self.ticks("level_compare")
        return ticks

    def touched(self, population: Population, row: int) -> set[int]:
        """Neurons that an event or a bias reached, or that fired."""
        awake = np.broadcast_to(population.awake.reshape(-1, *[1] * (len(population.shape) - 1)), population.shape)
        found = {int(number) for number in np.flatnonzero(awake)}
        if population.role is not Role.READOUT:
            found |= {int(number) for number in np.flatnonzero(self.fired(population.name, row))}
        for projection in population.projections:
            events = self.fired(projection.source, row)
            found |= {target for source, target in synapses(projection, population.shape) if events[source]}
        return found
