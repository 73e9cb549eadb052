"""Counting: what flowed through a network, collected in one pass while it runs.

Every count of every model is linear in the events of a population: they are summed per position over samples and steps,
and multiplied with fan-out maps afterwards, in exact integers. Only what has to be known per sample and step (the load
of each core, for the slowest core of a step) is computed on the way, from bits that say where the events were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Node
from snn2chip.hw_models.loads import WORD, Floats, Ints, Loads, Plan, Words
from snn2chip.lowering import Network, Population, Projection, Role
from snn2chip.ops import Conv2d, Linear, SumPool2d
from snn2chip.ops.base import window_shape


@dataclass
class Tally:
    """Sums over all samples and steps, by position of one population.

    Attributes:
        events: int64 ``[*shape]``: how often the value was not zero.
        values: int64 ``[*shape]``: the sum of the values (the same array as `events` where no value exceeds 1).
        active: int64 ``[*shape]``: updates of neurons that an event or a bias reached, or that fired.
    """

    events: NDArray[np.int64]
    values: NDArray[np.int64]
    active: NDArray[np.int64]


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


@dataclass(frozen=True)
class _Counter:
    """What every step needs of one population, looked up once.

    Attributes:
        events, active: the arrays of the population's `Tally`, flat.
        totals: its values, flat; of length 0 where they are its events.
        largest: the largest value.
        words: the words that hold a bit for each position.
        sent, visited: the loads to measure.
        awake: bits ``[1, words]`` of the neurons that are updated in any case; None where all are.
        decides: whether these events decide which neurons of another population were reached at all.
    """

    population: Population
    events: Ints
    totals: Ints
    active: Ints
    largest: int
    words: int
    sent: Plan | None
    visited: Plan | None
    awake: Words | None
    decides: bool


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
    #: Events of the present batch and step, as bits ``[B, words]``, by population.
    _fired: dict[str, Words] = field(default_factory=dict)
    _counters: dict[str, _Counter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        populations = self.network.populations
        self.tallies = {population.name: _empty(population) for population in populations}
        asleep = [population for population in populations if not population.awake.all()]
        deciding = {projection.source for population in asleep for projection in population.projections}
        self._counters = {each.name: self._counter(each, each.name in deciding) for each in populations}
        if self.watch is not None:
            self.work = np.zeros((self.samples, self.network.graph.steps, self.watch.cores))

    def _counter(self, population: Population, decides: bool) -> _Counter:
        name, tally = population.name, self.tallies[population.name]
        return _Counter(
            population=population,
            events=tally.events.reshape(-1),
            totals=tally.values.reshape(-1)[: 0 if tally.values is tally.events else None],
            active=tally.active.reshape(-1),
            largest=population.signal.interval.max,
            words=-(-population.signal.size // WORD),
            sent=_plan(self.watch.sent.get(name) if self.watch else None),
            visited=_plan(self.watch.visited.get(name) if self.watch else None),
            awake=_awake(population),
            decides=decides,
        )

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
        counter = self._counters.get(node.name)
        if counter is None:
            return
        population, batch = counter.population, len(tensor)
        if tensor.shape[1:] != population.signal.shape:
            raise GraphError(
                f"node {node.name!r} sent a tensor of shape {tensor.shape[1:]}, but in the network that is counted it "
                f"has {population.signal.shape}: it is another graph"
            )
        work = None if self.work is None else self.work[first_sample : first_sample + batch, step]
        fired = None if population.role is Role.READOUT else _count(counter, tensor, work)
        if population.role is Role.INPUT:
            self.seen += batch
        elif counter.awake is None:
            counter.active[:] += batch
        else:
            self._count_active(counter, counter.awake.repeat(batch, axis=0), fired, work)
        if fired is not None and counter.decides:
            self._fired[population.name] = fired

    def _count_active(self, counter: _Counter, active: Words, fired: Words | None, work: Floats | None) -> None:
        """Count the neurons that are awake (`active`), that fired, or that at least one event reached."""
        from snn2chip.hw_models import loops

        for projection in counter.population.projections:
            active |= self._reached(projection)
        if fired is not None:
            active |= fired
        loops.count_bits(active, counter.active)
        _add_work(counter.visited, active, work)

    def _reached(self, projection: Projection) -> Words:
        """Bits of 1 where at least one event arrived."""
        fired = self._fired[projection.source]
        if projection.is_identity:
            return fired
        mask = np.unpackbits(fired.view(np.uint8), axis=1, count=math.prod(projection.view), bitorder="little")
        return _packed(reach(projection, mask.reshape(len(fired), *projection.view)))


def _count(counter: _Counter, tensor: Array, work: Floats | None) -> Words:
    """Add events, values and the loads they cause; returns the events as bits."""
    from snn2chip.hw_models import loops  # the compiler takes a second to import

    values = np.ascontiguousarray(tensor).reshape(len(tensor), -1)
    words = np.zeros((len(tensor), counter.words), dtype=np.uint64)
    scratch = np.empty(loops.TILE, sum_type(values.dtype, counter.largest * len(values)))
    loops.pack(values, counter.totals, scratch, words)
    loops.count_bits(words, counter.events)
    _add_work(counter.sent, words, work)
    return words


def _add_work(plan: Plan | None, words: Words, work: Floats | None) -> None:
    from snn2chip.hw_models import loops

    if plan is not None and work is not None:
        loops.add_work(words, plan.cells, plan.classes, plan.patterns, plan.sums, plan.terms, work)


def _plan(loads: Loads | None) -> Plan | None:
    return None if loads is None or loads.is_empty else loads.plan


def _awake(population: Population) -> Words | None:
    if population.awake.all():
        return None
    awake = np.zeros((1, *population.shape), dtype=np.uint8)
    awake[:, population.awake] = 1
    return _packed(awake)


def _packed(mask: Array) -> Words:
    """The bits of a mask of 0 and 1 ``[B, *shape]``, as `snn2chip.hw_models.loops.pack` lays them out."""
    flat = mask.reshape(len(mask), -1)
    words = np.zeros((len(flat), -(-flat.shape[1] // WORD)), dtype=np.uint64)
    words.view(np.uint8)[:, : -(-flat.shape[1] // 8)] = np.packbits(flat, axis=1, bitorder="little")
    return words


def sum_type(dtype: np.dtype[Any], largest: int) -> np.dtype[Any]:
    """The type of the values where it holds sums up to `largest` exactly, else int64."""
    exact = 2 ** (np.finfo(dtype).nmant + 1) if dtype.kind == "f" else np.iinfo(dtype).max
    return dtype if largest <= exact else np.dtype(np.int64)


def _empty(population: Population) -> Tally:
    events = np.zeros(population.shape, dtype=np.int64)
    values = events if population.signal.interval.max <= 1 else np.zeros_like(events)
    return Tally(events, values, np.zeros_like(events))


def reach(projection: Projection, mask: Array) -> NDArray[np.uint8]:
    """1 where an event of a mask ``[B, *view]`` of 0 and 1 arrives, zero weights included: ``[B, *target shape]``."""
    op, events = projection.op, np.ascontiguousarray(mask, dtype=np.uint8)
    if projection.is_identity:
        return events
    if isinstance(op, Linear):
        return np.repeat(events.max(axis=1, keepdims=True), len(op.weight), axis=1)
    if isinstance(op, Conv2d):
        batch, _, *size = events.shape
        grouped = events.reshape(batch, op.groups, -1, *size).max(axis=2)
        return _windows(grouped, op, op.dilation).repeat(op.outputs // op.groups, axis=1)
    if isinstance(op, SumPool2d):
        return _windows(events, op, (1, 1))
    return np.minimum(op.step((mask.astype(np.float32, copy=False),), None)[0], 1).astype(np.uint8)


def _windows(events: NDArray[np.uint8], op: Conv2d | SumPool2d, dilation: tuple[int, int]) -> NDArray[np.uint8]:
    """1 where a window over ``events [B, C, height, width]`` has a 1: first along the height, then along the width."""
    sizes = window_shape(events.shape[2:], op.kernel, op.stride, op.padding, dilation)
    for axis, size in enumerate(sizes):
        stride, padding, sent = op.stride[axis], op.padding[axis], events.swapaxes(2 + axis, 3)
        reached = np.zeros((*sent.shape[:3], size), dtype=np.uint8)
        for tap in range(op.kernel[axis]):
            offset = tap * dilation[axis] - padding
            first, end = max(0, -(offset // stride)), min(size, (sent.shape[3] - 1 - offset) // stride + 1)
            if first < end:
                reached[..., first:end] |= sent[..., first * stride + offset : (end - 1) * stride + offset + 1 : stride]
        events = reached.swapaxes(2 + axis, 3)
    return events
