"""Logical counts of one population: the same for every model, exact, per inference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snn2chip.graph import Array, Region
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.results import ActionRow, LayerRow, MemoryRow, Range
from snn2chip.lowering import Population, Projection


@dataclass(frozen=True)
class Flow:
    """What flowed through one projection, per inference.

    Attributes:
        events: non-zero values that the source sent.
        operations, effective, unary: synaptic operations, zero weights included; without them; weighted with the value.
    """

    projection: Projection
    graded: bool
    events: float
    operations: float
    effective: float
    unary: float


@dataclass(frozen=True)
class Priced:
    """Energy of a population, as `LayerRow` has it."""

    energy: Range
    actions: tuple[ActionRow, ...]
    memories: tuple[MemoryRow, ...]


@dataclass(frozen=True)
class Costs:
    """Physical counts of a population, as `LayerRow` has them; None for what the model does not know."""

    neuron_updates: float
    payload_bits: float
    cycles: float | None
    cores: int | None = None
    messages: float | None = None
    hops: float | None = None


@dataclass(frozen=True)
class Counts:
    """Logical counts of a population, per inference (the mean over the samples)."""

    population: Population
    flows: tuple[Flow, ...]
    events_out: float
    spikes_out: float

    @property
    def events_in(self) -> float:
        return math.fsum(flow.events for flow in self.flows)

    @property
    def operations(self) -> float:
        return math.fsum(flow.operations for flow in self.flows)

    @property
    def effective(self) -> float:
        return math.fsum(flow.effective for flow in self.flows)

    @property
    def unary(self) -> float:
        return math.fsum(flow.unary for flow in self.flows)

    @property
    def multiplies(self) -> float:
        """Synaptic operations whose event carries a value."""
        return math.fsum(flow.operations for flow in self.flows if flow.graded)

    @property
    def weights(self) -> int:
        return sum(flow.projection.weights for flow in self.flows)

    def row(self, steps: int, priced: Priced, costs: Costs) -> LayerRow:
        """The report's row: what was counted here, beside what one model made of it."""
        population = self.population
        return LayerRow(
            name=population.name,
            operation=population.operation,
            neurons=population.neurons,
            cores=costs.cores,
            depth=population.depth,
            weights=self.weights,
            events_in=self.events_in,
            events_out=self.events_out,
            spikes_out=self.spikes_out,
            activity=self.events_out / (population.signal.size * steps),
            synaptic_operations=self.operations,
            effective_operations=self.effective,
            unary_operations=self.unary,
            neuron_updates=costs.neuron_updates,
            payload_bits=costs.payload_bits,
            messages=costs.messages,
            hops=costs.hops,
            cycles=costs.cycles,
            energy=priced.energy,
            actions=priced.actions,
            memories=priced.memories,
        )


def mean(positions: Array, fan_out: Array, samples: int) -> float:
    """``sum(positions * fan_out) / samples``: the sum in exact integers."""
    return int(np.vdot(positions, fan_out)) / samples


def count(activity: Activity, population: Population) -> Counts:
    """The counts of one population from the sums that were collected."""
    samples, tally = activity.samples, activity.tallies[population.name]
    return Counts(
        population=population,
        flows=tuple(_flow(activity, projection) for projection in population.projections),
        events_out=int(tally.events.sum()) / samples,
        spikes_out=int(tally.values.sum()) / samples,
    )


def _flow(activity: Activity, projection: Projection) -> Flow:
    samples, tally = activity.samples, activity.tallies[projection.source]
    whole = Region.whole(activity.network[projection.target].shape)
    fan_out = projection.fan_out(whole)
    effective = projection.fan_out(whole, effective=True) if projection.is_weighted else fan_out
    return Flow(
        projection=projection,
        graded=activity.network[projection.source].payload_bits > 0 and not projection.compares,
        events=int(tally.events.sum()) / samples,
        operations=mean(tally.events, fan_out, samples),
        effective=mean(tally.events, effective, samples),
        unary=mean(tally.values, fan_out, samples),
    )
