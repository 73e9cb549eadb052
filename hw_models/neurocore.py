"""Neurocores: spiking cores joined by a mesh, in steps that end with a barrier (Loihi and its kin).

Timing is of the level ``summary``: a core's work in a step is the sum over its actions of count times time, a step
lasts as long as its slowest core, and then the barrier. Messages travel while cores work; contention is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np

from snn2chip.graph import Array, Region
from snn2chip.hw_models import pricing
from snn2chip.hw_models.activity import Activity, Watch
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.core_counts import CoreCounts
from snn2chip.hw_models.counts import Costs, Priced, count
from snn2chip.hw_models.loads import Floats, Loads
from snn2chip.hw_models.placement import Placement, Slot
from snn2chip.hw_models.results import ActionRow, CoreTable, Latency, LayerRow, MemoryRow, Range, with_ranges
from snn2chip.hw_models.traffic import Traffic, alike, met_and_places, traffic_of
from snn2chip.lowering import Network, Population, Projection, Role

#: Memories by the actions that read and write them. The chip states the words of synapse, axon_in and axon_out; the
#: others are as wide as what they hold.
MEMORIES = ("synapse", "axon_in", "accumulator", "state", "axon_out", "delay")


@dataclass(frozen=True)
class Neurocores:
    """One network on one neurocore chip. Let `activity` observe a run, then ask for `layers` and `latency`."""

    network: Network
    chip: Chip
    placement: Placement
    #: Which of the copies of all cores in `Activity.work` works with the times of `chip`.
    copy: int = 0

    @cached_property
    def ends(self) -> tuple[Neurocores, ...]:
        """The same cores with all times nominal, low and high; with nominal ones alone where no time has a range."""
        if not self.chip.has_uncertain_times:
            return (self,)
        bounds = (self.chip.with_times(end) for end in ("low", "high"))
        return (self, *(replace(self, chip=chip, copy=copy) for copy, chip in enumerate(bounds, start=1)))

    # -- what is known before the run ------------------------------------------------------------------------------

    def activity(self, samples: int) -> Activity:
        """The observer to run the network with."""
        return Activity(self.network, samples, self._watch)

    @cached_property
    def _watch(self) -> Watch:
        return Watch(self._sent(), self._visited(), len(self.ends) * self.placement.cores)

    def cycles(self, action: str, layer: str) -> float:
        """Time of one action, 0 where it happens within another one."""
        price = self.chip.time(action, layer)
        return price.quantity.value * self.frequency if price.quantity is not None else 0.0

    def operation_cycles(self, projection: Projection) -> float:
        """Time of one synaptic operation, with the product where its event carries a value."""
        operation = self.cycles("synaptic_operation", projection.target)
        if self.network[projection.source].payload_bits and not projection.compares:
            operation += self.cycles("payload_multiply", projection.target)
        return operation

    def _sent(self) -> Mapping[str, Loads]:
        """Per population: the cycles that one event costs the core that sends it and the cores that receive it."""
        loads = {}
        for population in self.network.populations:
            if population.role is Role.READOUT:
                continue
            found = loads[population.name] = Loads(population.shape)
            for projection in self.network.outgoing[population.name]:
                self._add_arrivals(found, projection)
            self._add_departures(found, population)
        return loads

    def _add_arrivals(self, loads: Loads, projection: Projection) -> None:
        for slots in alike(self.placement, projection):
            met, places = met_and_places(projection, slots[0].region)
            many, once = loads.rows(places), loads.rows(places > 0)
            for end in self.ends:
                cores = [end._place(slot) for slot in slots]
                loads.add(cores, met * end.operation_cycles(projection), many)
                loads.add(cores, (met > 0) * end.cycles("axon_in_read", projection.target), once)

    def _add_departures(self, loads: Loads, population: Population) -> None:
        copies = np.zeros(population.shape, dtype=np.int64)
        for projection in self.network.outgoing[population.name]:
            copies += self.traffic[projection].messages
        for rows, neighbours in _by_rows(self.placement.slots[population.name]).items():
            sent, once = loads.rows(copies * _band(rows, population)), loads.rows(_band(rows, population))
            for slot, end in product(neighbours, self.ends):
                channels = _channels(slot.region, population)
                loads.add([end._place(slot)], end.cycles("message", population.name) * channels, sent)
                loads.add([end._place(slot)], end.cycles("spike_out", population.name) * channels, once)

    def _place(self, slot: Slot) -> int:
        """Of a core, in `Activity.work`."""
        return self.copy * self.placement.cores + slot.index

    def _visited(self) -> Mapping[str, Loads]:
        """Per population with neurons that may stay untouched: the cycles of an active update beyond an idle one."""
        loads = {}
        for population in self.network.populations:
            if population.role is Role.INPUT or population.awake.all():
                continue
            found = loads[population.name] = Loads(population.shape)
            cycles = [end.active_cycles(population) for end in self.ends]
            for rows, neighbours in _by_rows(self.placement.slots[population.name]).items():
                patterns = found.rows(_band(rows, population))
                for slot, (end, each) in product(neighbours, zip(self.ends, cycles, strict=True)):
                    found.add([end._place(slot)], each * _channels(slot.region, population), patterns)
        return loads

    def active_cycles(self, population: Population) -> Array:
        """Cycles ``[C]`` of an active update beyond those of an inactive one."""
        name = population.name
        extra = np.full(population.shape[0], self.cycles("neuron_update_active", name))
        extra -= self.cycles("neuron_update_inactive", name)
        if population.leaks:
            extra += population.leaks * self.cycles("leak_multiply", name)
        if population.levels > 1:
            extra += np.where(
                population.shifts,
                self.cycles("level_shift", name) if population.shifts.any() else 0.0,
                (population.levels - 1) * (self.cycles("level_compare", name) if not population.shifts.all() else 0.0),
            )
        return extra

    @cached_property
    def traffic(self) -> Mapping[Projection, Traffic]:
        return {
            projection: traffic_of(self.placement, projection)
            for population in self.network.populations
            for projection in population.projections
        }

    def word_bits(self, memory: str) -> int:
        return self.chip.count(f"words.{memory}")

    # -- what follows from the run ---------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        return self.network.graph.steps

    @property
    def latency_steps(self) -> int:
        return self.steps + self.network.depth - 1

    def layers(self, activity: Activity) -> tuple[LayerRow, ...]:
        """A row per population, the input first."""
        work, cores = self.work(activity), self._core_counts(activity)
        actions = {population.name: cores.means(population) for population in self.network.populations}
        self.chip.check_prices({name: [action for action in done if done[action]] for name, done in actions.items()})
        return tuple(
            self._layer(activity, population, work, actions[population.name], cores)
            for population in self.network.populations
        )

    def _core_counts(self, activity: Activity) -> CoreCounts:
        words = self.word_bits("synapse")
        return CoreCounts(self.placement, self.traffic, activity, words, self.latency_steps, self.visits_idle)

    def _layer(
        self,
        activity: Activity,
        population: Population,
        work: Floats,
        actions: Mapping[str, float],
        cores: CoreCounts,
    ) -> LayerRow:
        slots = self.placement.slots[population.name]
        rows = pricing.priced(self.chip, population.name, actions, cores.growing(population, actions))
        cycles = work[:, :, [slot.index for slot in slots]].max(axis=2, initial=0.0).sum(axis=1).mean()
        costs = Costs(
            neuron_updates=actions.get("neuron_update_active", 0.0) + actions.get("neuron_update_inactive", 0.0),
            payload_bits=population.payload_bits * actions["message"],
            cycles=float(cycles),
            cores=len(slots),
            messages=actions["message"],
            hops=actions["hop_x"] + actions["hop_y"],
        )
        priced = Priced(pricing.energy(rows), rows, self._memories(population, actions, rows))
        return count(activity, population).row(self.steps, priced, costs)

    def cores(self, activity: Activity) -> CoreTable:
        """What each core in use did, in the order of their numbers."""
        work, counts = self.work(activity), self._core_counts(activity)
        found = {name: np.zeros(self.placement.cores) for name in ("operations", "updates", "received", "sent")}
        energy = np.zeros((3, self.placement.cores))
        for population in self.network.populations[1:]:
            own = [slot.index for slot in self.placement.slots[population.name]]
            actions = {action: each / activity.samples for action, each in counts.of(population).items()}
            found["operations"][own] = actions["synaptic_operation"]
            found["updates"][own] = actions["neuron_update_active"] + actions["neuron_update_inactive"]
            found["received"][own] = actions["axon_in_read"]
            found["sent"][own] = actions["message"]
            energy[:, own] = pricing.spread(self.chip, population.name, actions)
        return CoreTable(
            synaptic_operations=tuple(found["operations"].tolist()),
            neuron_updates=tuple(found["updates"].tolist()),
            messages_in=tuple(found["received"].tolist()),
            messages_out=tuple(found["sent"].tolist()),
            cycles=tuple(tuple(steps) for steps in work.mean(axis=0).T.tolist()),
            energy=tuple(Range(*each) for each in energy.T.tolist()),
        )

    def _memories(
        self, population: Population, actions: Mapping[str, float], priced: Sequence[ActionRow]
    ) -> tuple[MemoryRow, ...]:
        state = population.state_bits
        kept = population.stored_bits
        payload = max((self.network[found.source].payload_bits for found in population.projections), default=0)
        widths = {"accumulator": state, "state": kept, "delay": 1 + payload}
        rows = []
        for memory in MEMORIES:
            reads, writes = actions.get(f"{memory}_read", 0.0), actions.get(f"{memory}_write", 0.0)
            if reads or writes:
                word = widths.get(memory) or self.word_bits(memory)
                rows.append(MemoryRow(memory, word, reads, writes, *pricing.of_memory(memory, priced)))
        return tuple(rows)

    # -- time ------------------------------------------------------------------------------------------------------

    @property
    def frequency(self) -> float:
        return self.chip.number("clock.frequency")

    @property
    def visits_idle(self) -> bool:
        return self.chip.choice("idle_neurons", "visited", "gated") == "visited"

    def _all_slots(self) -> tuple[Slot, ...]:
        return tuple(slot for slots in self.placement.slots.values() for slot in slots)

    def work(self, activity: Activity) -> Floats:
        """Cycles ``[samples, T, cores]`` of every core in each of its own T steps, updates included."""
        activity.check(self.network)
        assert activity.work is not None
        first = self.copy * self.placement.cores
        work: Floats = activity.work[:, :, first : first + self.placement.cores] + self._constant
        return work

    @cached_property
    def _constant(self) -> Floats:
        """Cycles ``[cores]`` of every core in each step, whatever the events are."""
        constant = np.zeros(self.placement.cores)
        for name, slots in self.placement.slots.items():
            if not slots:
                continue
            population, inactive = self.network[name], self.cycles("neuron_update_inactive", name)
            active = self.active_cycles(population) if population.awake.all() else np.zeros(population.shape[0])
            for slot in slots:
                inside = _neurons(slot.region, population)
                constant[slot.index] = inside.sum() * inactive + float(inside @ active)
        return constant

    def latency(self, activity: Activity) -> Latency:
        """Time of an inference alone, and the interval between inferences in an endless stream of these samples."""
        nominal, *bounds = [end._latency(activity) for end in self.ends]
        return with_ranges(nominal, bounds)

    def _latency(self, activity: Activity) -> Latency:
        work, barrier = self.work(activity), self.barrier_cycles()
        depth = np.array([self.network[slot.population].depth for slot in self._all_slots()])
        alone = self._alone(work, depth) + self.latency_steps * barrier
        stream = work.reshape(-1, work.shape[2])
        for stage in np.unique(depth):
            stream[:, depth == stage] = np.roll(stream[:, depth == stage], stage - 1, axis=0)
        interval = float(stream.max(axis=1, initial=0.0).sum()) / activity.samples + self.steps * barrier
        clock = self.frequency
        return Latency(self.latency_steps, alone, alone / clock, self.steps, interval, interval / clock)

    def _alone(self, work: Floats, depth: Array) -> float:
        """Cycles of one sample through the empty pipeline, without barriers, mean over the samples."""
        idle = np.array([self._idle(slot) for slot in self._all_slots()])
        spent = np.zeros(len(work))
        for step in range(self.latency_steps):
            own = step - (depth - 1)
            active = (own >= 0) & (own < self.steps)
            seen = np.where(active, work[:, np.clip(own, 0, self.steps - 1), np.arange(len(depth))], idle)
            spent += seen.max(axis=1, initial=0.0)
        return float(spent.mean())

    def _idle(self, slot: Slot) -> float:
        if not self.visits_idle:
            return 0.0
        neurons = int(_neurons(slot.region, self.network[slot.population]).sum())
        return neurons * self.cycles("neuron_update_inactive", slot.population)

    def barrier_cycles(self) -> float:
        price = self.chip.time("barrier", self.network.graph.output.name)
        if price.table is not None:
            return price.table.at(self.placement.tiles) * self.frequency
        return self.cycles("barrier", self.network.graph.output.name)


def _by_rows(slots: Sequence[Slot]) -> dict[range, list[Slot]]:
    groups: dict[range, list[Slot]] = {}
    for slot in slots:
        groups.setdefault(slot.region.rows, []).append(slot)
    return groups


def _band(rows: range, population: Population) -> Array:
    """1 in these rows of every channel: int64 of the population's shape."""
    return Region(range(population.shape[0]), rows).mask(population.shape)


def _channels(region: Region, population: Population) -> Array:
    """1 for the region's channels: float64 ``[C]``."""
    inside = np.zeros(population.shape[0])
    inside[region.channels.start : region.channels.stop] = 1.0
    return inside


def _neurons(region: Region, population: Population) -> Array:
    """How many of each channel's neurons lie in the region: int64 ``[C]``."""
    inside = np.zeros(population.shape[0], dtype=np.int64)
    inside[region.channels.start : region.channels.stop] = len(region.rows) * math.prod(population.shape[2:])
    return inside
