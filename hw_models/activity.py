"""Counting: what flowed through a network, collected in one pass while it runs.

Every count of every model is linear in the events of a population: they are summed per position over samples and steps,
and multiplied with fan-out maps afterwards, in exact integers. Only what has to be known per sample and step (the load
of each core, for the slowest core of a step) is computed on the way, as products with a few spatial patterns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Node, Shape
from snn2chip.lowering import Network, Population, Projection, Role
from snn2chip.ops import Conv2d, Linear

Floats = NDArray[np.float64]


@dataclass
class Tally:
    """Sums over all samples and steps, by position of one population.

    Attributes:
        events: int64 ``[*shape]``: how often the value was not zero.
        values: int64 ``[*shape]``: the sum of the values.
        active: int64 ``[*shape]``: updates of neurons that an event or a bias reached, or that fired.
    """

    events: NDArray[np.int64]
    values: NDArray[np.int64]
    active: NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One spatial pattern of a population's positions, and the channels that have it."""

    number: int
    channels: NDArray[np.bool_]


class Loads:
    """Loads per core that are linear in a 0/1 mask over a population's positions.

    A load is a sum of terms ``weight[channel] * pattern[row, column]``. Layers repeat few patterns over many channels
    and cores: the mask is multiplied with each pattern once, and what remains are small sums over channels.
    """

    def __init__(self, shape: Shape, cores: int) -> None:
        self.channels = shape[0]
        self.places = int(np.prod(shape[1:]))
        self.cores = cores
        self._patterns: dict[bytes, tuple[int, Array]] = {}
        #: Terms with one weight for all channels, and the others with the channels that have a weight.
        self._uniform: list[tuple[int, int, float]] = []
        self._by_channel: list[tuple[int, int, slice, Floats]] = []

    def rows(self, places: Array) -> list[Row]:
        """The spatial patterns of ``places [C, *spatial]`` (the same for many channels, as a rule)."""
        rows = places.reshape(self.channels, self.places).astype(np.int64)
        left, found = rows.any(axis=1), []
        while left.any():
            row = rows[np.argmax(left)]
            same = left & (rows == row).all(axis=1)
            number, _ = self._patterns.setdefault(row.tobytes(), (len(self._patterns), row))
            found.append(Row(number, same))
            left &= ~same
        return found

    def add(self, core: int, weight: Array, rows: list[Row]) -> None:
        """Add ``weight [C]`` times what `rows` made of the places."""
        for row in rows:
            self._add(core, row.number, np.where(row.channels, weight, 0.0))

    def _add(self, core: int, number: int, weight: Floats) -> None:
        used = np.flatnonzero(weight)
        if not used.size:
            return
        if (weight == weight[0]).all():
            self._uniform.append((core, number, float(weight[0])))
            return
        part = slice(int(used[0]), int(used[-1]) + 1)
        self._by_channel.append((core, number, part, weight[part].copy()))

    @cached_property
    def patterns(self) -> NDArray[np.int32]:
        """The spatial patterns as rows, for `snn2chip.hw_models.loops`."""
        rows = [row for _, row in self._patterns.values()] or [np.zeros(0, dtype=np.int64)]
        stacked = np.stack(rows).reshape(len(self._patterns), self.places)
        assert stacked.sum(axis=1).max(initial=0) < 2**31
        return stacked.astype(np.int32)

    def empty_counts(self, batch: int) -> NDArray[np.int32]:
        """Room for the sums of each pattern ``[B, C, K]``."""
        return np.empty((batch, self.channels, len(self.patterns)), dtype=np.int32)

    def weigh(self, counts: NDArray[np.int32]) -> Floats:
        """Loads ``[B, cores]``, from the sums of each pattern ``[B, C, K]``."""
        loads = np.zeros((len(counts), self.cores))
        by_pattern = counts.transpose(2, 0, 1).astype(np.float64)
        overall = by_pattern.sum(axis=2)
        for core, number, scale in self._uniform:
            loads[:, core] += overall[number] * scale
        for core, number, part, weight in self._by_channel:
            loads[:, core] += by_pattern[number, :, part] @ weight
        return loads


@dataclass(frozen=True)
class Watch:
    """Which loads to measure where.

    Attributes:
        sent: per population, the cycles that its events cost each core (numbered over all chips).
        visited: per population, the extra cycles that its active updates cost each core.
    """

    sent: Mapping[str, Loads]
    visited: Mapping[str, Loads]
    cores: int


@dataclass
class Activity:
    """An observer (see `snn2chip.interpreter.Observer`) that counts.

    Attributes:
        tallies: per population, sums over samples and steps.
        work: ``[samples, T, cores]``: cycles of each core that depend on the events (None where nothing is watched).
    """

    network: Network
    samples: int
    watch: Watch | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)
    work: Floats | None = None
    #: Steps of samples that were seen.
    seen: int = 0
    #: Events of the present batch and step, by population.
    _masks: dict[str, Array] = field(default_factory=dict)
    #: Populations whose events decide whether a neuron of another one was reached at all.
    _deciding: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        unbiased = [population for population in self.network.populations if not population.awake.all()]
        self._deciding = frozenset(
            projection.source for population in unbiased for projection in population.projections
        )
        steps = self.network.graph.steps
        self.tallies = {population.name: _empty(population) for population in self.network.populations}
        if self.watch is not None:
            self.work = np.zeros((self.samples, steps, self.watch.cores))

    def check(self, network: Network) -> None:
        """GraphError where these are not the counts of all samples through `network`."""
        found, wanted = self.network.graph.digest[:12], network.graph.digest[:12]
        if found != wanted:
            raise GraphError(f"the counts are of the graph {found}, but the network is {wanted}: run it again")
        steps = self.samples * network.graph.steps
        if self.seen != steps:
            raise GraphError(
                f"{self.seen} of {steps} steps of {self.samples} samples were seen: run the samples that were announced"
            )

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        if node.name not in self.network:
            return
        population = self.network[node.name]
        if tensor.shape[1:] != population.signal.shape:
            raise GraphError(
                f"node {node.name!r} sent a tensor of shape {tensor.shape[1:]}, but in the network that is counted it "
                f"has {population.signal.shape}: it is another graph"
            )
        where = (slice(first_sample, first_sample + len(tensor)), step)
        fired = None if population.role is Role.READOUT else self._count(population, tensor, where)
        if population.role is Role.INPUT:
            self.seen += len(tensor)
        else:
            self._count_active(population, len(tensor), fired, where)
        if fired is not None and population.name in self._deciding:
            self._masks[population.name] = fired

    def _count(self, population: Population, tensor: Array, where: tuple[slice, int]) -> Array | None:
        """Add events, values and the loads they cause; returns the events as a uint8 mask where it is needed later."""
        from snn2chip.hw_models import loops  # the compiler takes a second to import

        tally = self.tallies[population.name]
        loads = _loads(population, self.watch.sent if self.watch else {})
        values = np.ascontiguousarray(tensor).reshape(_flat(len(tensor), population))
        kept = population.name in self._deciding or not population.awake.all()
        mask = np.empty((len(values) * kept, *values.shape[1:]), dtype=np.uint8)
        largest = population.signal.interval.max * len(values)
        summed = np.empty(values.shape[2], dtype=np.int32 if largest < 2**31 else np.int64)
        counts = loads.empty_counts(len(tensor))
        sums = tally.events.reshape(values.shape[1:]), tally.values.reshape(values.shape[1:])
        loops.tally(values, loads.patterns, *sums, summed, mask, counts)
        self._add_work(loads, counts, where)
        return mask.reshape(tensor.shape) if kept else None

    def _count_active(self, population: Population, batch: int, fired: Array | None, where: tuple[slice, int]) -> None:
        from snn2chip.hw_models import loops

        tally = self.tallies[population.name]
        if population.awake.all():
            tally.active += batch
            return
        active = self._reached(population, batch)
        if fired is not None:
            np.maximum(active, fired, out=active)
        loads = _loads(population, self.watch.visited if self.watch else {})
        counts = loads.empty_counts(batch)
        flat = _flat(batch, population)
        loops.sum_patterns(active.reshape(flat), loads.patterns, tally.active.reshape(flat[1:]), counts)
        self._add_work(loads, counts, where)

    def _add_work(self, loads: Loads, counts: NDArray[np.int32], where: tuple[slice, int]) -> None:
        if self.work is not None and len(loads.patterns):
            self.work[where] += loads.weigh(counts)

    def _reached(self, population: Population, batch: int) -> Array:
        """1 for neurons that are awake or that at least one event reached, else 0: uint8 ``[B, *shape]``."""
        reached = np.zeros((batch, *population.shape), dtype=np.uint8)
        reached[:, population.awake] = 1
        for projection in population.projections:
            mask = self._masks[projection.source].reshape(batch, *projection.view)
            np.maximum(reached, reach(projection, mask).astype(np.uint8, copy=False), out=reached)
        return reached


def _loads(population: Population, watched: Mapping[str, Loads]) -> Loads:
    """What is watched of the population: nothing, as a rule, where only sums are asked for."""
    return watched.get(population.name) or Loads(population.shape, 0)


def _flat(batch: int, population: Population) -> tuple[int, int, int]:
    """Samples, channels and places."""
    return batch, population.shape[0], int(np.prod(population.shape[1:]))


def _empty(population: Population) -> Tally:
    zeros = np.zeros(population.shape, dtype=np.int64)
    return Tally(zeros, zeros.copy(), zeros.copy())


def reach(projection: Projection, mask: Array) -> Array:
    """1 where an event of a mask ``[B, *view]`` arrives, zero weights included: ``[B, *target shape]``, in
    float32 or the type of the mask."""
    op = projection.op
    if projection.is_identity:
        return mask
    if isinstance(op, Linear):
        return np.repeat(mask.max(axis=1, keepdims=True), len(op.weight), axis=1)
    if not isinstance(op, Conv2d):
        return np.minimum(op.step((mask.astype(np.float32, copy=False),), None)[0], 1)
    batch, _, height, width = mask.shape
    grouped = mask.reshape(batch, op.groups, -1, height, width).max(axis=2).astype(np.float32, copy=False)
    ones = np.ones((op.groups, 1, *op.kernel), dtype=np.float32)
    hit = replace(op, weight=ones, bias=None).step((grouped,), None)[0]
    return np.minimum(hit, 1).astype(np.float32).repeat(op.outputs // op.groups, axis=1)
