"""What each core of a neurocore chip does, as exact sums over all samples; a layer's counts are those of its cores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snn2chip.graph import Array, Region
from snn2chip.hw_models.actions import ARRIVING, SENDING
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.needs import rows_of
from snn2chip.hw_models.placement import Placement
from snn2chip.hw_models.traffic import Traffic, alike, along_channels, met_and_places, words_met
from snn2chip.lowering import Population, Projection, Role

#: One number per core that holds a part of the population.
PerCore = NDArray[np.int64]


@dataclass(frozen=True)
class CoreCounts:
    """Counts of a placed network that has run, core by core.

    Attributes:
        traffic: what the events of each projection become between cores.
        word_bits: width of a word of synaptic memory.
        latency_steps: steps of one inference alone.
        visits_idle: whether neurons are visited in the steps in which their layer waits for its turn.
    """

    placement: Placement
    traffic: Mapping[Projection, Traffic]
    activity: Activity
    word_bits: int
    latency_steps: int
    visits_idle: bool

    def of(self, population: Population) -> dict[str, PerCore]:
        """How often each core did each action, in the order of the population's cores.

        Messages, their hops and their bits are counted where they leave, all that an arrival causes where it arrives.
        The input sits on no core: what it sends is a single entry.
        """
        arriving = self._arriving(population, population.projections)
        return {**arriving, **self._updating(population), **self._leaving(population)}

    def means(self, population: Population) -> dict[str, float]:
        """How often all cores of the population together do each action in one inference."""
        return {action: int(each.sum()) / self.activity.samples for action, each in self.of(population).items()}

    def growing(self, population: Population, actions: Mapping[str, float]) -> dict[str, float]:
        """How many of the `actions` of a population grow with the events of the layers, the input's being given.

        Those of arrivals from layers and of what it sends itself; with other activity, other neurons would be updated,
        and the updates stay as they are.
        """
        if population.role is Role.INPUT:
            return {}
        found = {action: count for action, count in actions.items() if action in SENDING}
        layers = tuple(each for each in population.projections if not self._is_input(each))
        if len(layers) < len(population.projections):
            arriving = self._arriving(population, layers).items()
            return found | {action: int(each.sum()) / self.activity.samples for action, each in arriving}
        return found | {action: count for action, count in actions.items() if action in ARRIVING}

    def _is_input(self, projection: Projection) -> bool:
        return self.placement.network[projection.source].role is Role.INPUT

    def _regions(self, population: Population) -> Sequence[Region]:
        return self.placement.regions[population.name] or (Region.whole(population.shape),)

    def _arriving(self, population: Population, projections: Sequence[Projection]) -> dict[str, PerCore]:
        sums: dict[str, PerCore] = defaultdict(lambda: np.zeros(len(self._regions(population)), np.int64))
        for projection in projections:
            messages, operations, words = self._arrivals(projection)
            graded = self.placement.network[projection.source].payload_bits > 0 and not projection.compares
            sums["synaptic_operation"] += operations
            sums["payload_multiply"] += operations * graded
            sums["synapse_read"] += words
            sums["axon_in_read"] += messages
            sums["accumulator_read"] += operations
            sums["accumulator_write"] += operations
            sums["delay_write"] += messages * (projection.delay > 0)
            sums["delay_read"] += messages * (projection.delay > 0)
        return sums

    def _arrivals(self, projection: Projection) -> tuple[PerCore, PerCore, PerCore]:
        """Messages, synaptic operations and words of weights."""
        events = self.activity.tallies[projection.source].events
        if projection.is_identity:
            met = sums_in(events.reshape(projection.view), self.placement.regions[projection.target])
            return met, met, np.zeros_like(met)
        slots = self.placement.slots[projection.target]
        found = np.zeros((3, len(slots)), np.int64)
        place = {slot.index: number for number, slot in enumerate(slots)}
        for group in alike(self.placement, projection):
            met, places = met_and_places(projection, group[0].region)
            per_channel = (events * places).reshape(len(met), -1).sum(axis=1)
            sums = (
                np.vdot(events, places > 0),
                np.vdot(per_channel, met),
                np.vdot(per_channel, words_met(projection, met, self.word_bits)),
            )
            found[:, [place[slot.index] for slot in group]] = np.array(sums, np.int64)[:, None]
        return found[0], found[1], found[2]

    def _updating(self, population: Population) -> dict[str, PerCore]:
        if population.role is Role.INPUT:
            return {}
        samples, steps = self.activity.samples, self.placement.network.graph.steps
        regions, updated = self._regions(population), self.activity.tallies[population.name].active
        active = sums_in(updated, regions)
        neurons = sums_in(np.ones(population.shape, np.int64), regions)
        shifted = compared = np.zeros_like(active)
        if population.levels > 1:
            shifted = sums_in(np.where(along_channels(population.shifts, updated), updated, 0), regions)
            compared = active - shifted
        visits = neurons * samples * steps
        seen = neurons * samples * self.latency_steps if self.visits_idle else visits
        return {
            "neuron_update_active": active,
            "neuron_update_inactive": seen - active,
            "leak_multiply": population.leaks * active,
            "level_shift": shifted,
            "level_compare": (population.levels - 1) * compared,
            "state_read": seen,
            "state_write": active,
            "barrier": np.full(len(regions), samples * self.latency_steps, np.int64),
        }

    def _leaving(self, population: Population) -> dict[str, PerCore]:
        events, regions = self.activity.tallies[population.name].events, self._regions(population)
        outgoing = [self.traffic[projection] for projection in self.placement.network.outgoing[population.name]]

        def sent(field: str) -> PerCore:
            copies: Array = sum((getattr(traffic, field) for traffic in outgoing), np.zeros(population.shape, np.int64))
            return sums_in(events * copies, regions)

        messages, hops_x, hops_y = sent("messages"), sent("hops_x"), sent("hops_y")
        stays = population.role in (Role.INPUT, Role.READOUT)
        return {
            "spike_out": sums_in(events, regions) * (not stays),
            "message": messages,
            "axon_out_read": messages * (population.role is not Role.INPUT),
            "hop_x": hops_x,
            "hop_y": hops_y,
            "payload_bit_hop": population.payload_bits * (hops_x + hops_y),
            "chip_crossing": sent("crossings"),
        }


def sums_in(values: Array, regions: Sequence[Region]) -> PerCore:
    """The sum of int64 ``values [*shape]`` in each region."""
    channels = len(values)
    rows = values.reshape(channels, rows_of(values.shape), -1).sum(axis=2, dtype=np.int64)
    before = np.zeros((channels + 1, rows.shape[1] + 1), np.int64)
    np.cumsum(rows, axis=0, out=before[1:, 1:]).cumsum(axis=1, out=before[1:, 1:])
    first, last, top, bottom = np.array(
        [(each.channels.start, each.channels.stop, each.rows.start, each.rows.stop) for each in regions]
    ).reshape(-1, 4).T  # fmt: skip
    found: PerCore = before[last, bottom] - before[first, bottom] - before[last, top] + before[first, top]
    return found
