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

from snn2chip import kernels
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
        active: int64 ``[C]``: updates of neurons that an event or a bias reached, or that fired.
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

    def measure(self, mask: Array) -> Floats:
        """Loads ``[B, cores]`` of a mask ``[B, *shape]`` (float32, 0 or 1)."""
        loads = np.zeros((len(mask), self.cores))
        if not self._patterns:
            return loads
        counts = mask.reshape(len(mask), self.channels, self.places) @ self._matrix
        counts = counts.transpose(2, 0, 1).astype(np.float64)
        overall = counts.sum(axis=2)
        for core, number, scale in self._uniform:
            loads[:, core] += overall[number] * scale
        for core, number, part, weight in self._by_channel:
            loads[:, core] += counts[number, :, part] @ weight
        return loads

    @cached_property
    def _matrix(self) -> Array:
        """The patterns as columns, in the float type in which products with a mask are exact."""
        columns = np.stack([row for _, row in self._patterns.values()], axis=1)
        return columns.astype(kernels.exact_float(int(columns.sum(axis=0).max())))


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

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        if node.name not in self.network:
            return
        population = self.network[node.name]
        where = (slice(first_sample, first_sample + len(tensor)), step)
        mask = None if population.role is Role.READOUT else self._count(population, tensor)
        if population.role is not Role.INPUT:
            self._count_active(population, len(tensor), mask, where)
        if mask is None:
            return
        if population.name in self._deciding:
            self._masks[population.name] = mask
        if self.watch is not None and self.work is not None and population.name in self.watch.sent:
            self.work[where] += self.watch.sent[population.name].measure(mask)

    def _count(self, population: Population, tensor: Array) -> Array:
        """Add the events and values; returns the events as a float32 mask of 0 and 1."""
        tally = self.tallies[population.name]
        mask = np.minimum(tensor, 1).astype(np.float32, copy=False)
        tally.events += mask.sum(axis=0).astype(np.int64)
        if population.signal.interval.max <= 1:
            tally.values = tally.events
        else:
            # float32 adds integers exactly up to 2**24 only: see kernels.exact_float.
            exact = kernels.exact_float(population.signal.interval.max * len(tensor))
            tally.values += tensor.sum(axis=0, dtype=exact).astype(np.int64)
        return mask

    def _count_active(self, population: Population, batch: int, fired: Array | None, where: tuple[slice, int]) -> None:
        tally = self.tallies[population.name]
        if population.awake.all():
            tally.active += batch * (population.neurons // population.shape[0])
            return
        active = self._reached(population, batch)
        if fired is not None:
            np.maximum(active, fired, out=active)
        tally.active += active.sum(axis=0).astype(np.int64).reshape(population.shape[0], -1).sum(axis=1)
        if self.watch is not None and self.work is not None and population.name in self.watch.visited:
            self.work[where] += self.watch.visited[population.name].measure(active)

    def _reached(self, population: Population, batch: int) -> Array:
        """1 for neurons that are awake or that at least one event reached, else 0: float32 ``[B, *shape]``."""
        reached = np.zeros((batch, *population.shape), dtype=np.float32)
        reached[:, population.awake] = 1
        for projection in population.projections:
            mask = self._masks[projection.source]
            np.maximum(reached, reach(projection, mask.reshape(batch, *projection.view)), out=reached)
        return reached


def _empty(population: Population) -> Tally:
    zeros = np.zeros(population.shape, dtype=np.int64)
    return Tally(zeros, zeros.copy(), np.zeros(population.shape[0], dtype=np.int64))


def reach(projection: Projection, mask: Array) -> Array:
    """1 where an event of a mask ``[B, *view]`` arrives, zero weights included: float32 ``[B, *target shape]``."""
    op = projection.op
    if projection.is_identity:
        return mask
    if isinstance(op, Linear):
        return np.repeat(mask.max(axis=1, keepdims=True), len(op.weight), axis=1)
    if not isinstance(op, Conv2d):
        return np.minimum(op.step((mask,), None)[0], 1)
    batch, _, height, width = mask.shape
    grouped = mask.reshape(batch, op.groups, -1, height, width).max(axis=2)
    ones = np.ones((op.groups, 1, *op.kernel), dtype=np.float32)
    hit = replace(op, weight=ones, bias=None).step((grouped,), None)[0]
    return np.minimum(hit, 1).astype(np.float32).repeat(op.outputs // op.groups, axis=1)
