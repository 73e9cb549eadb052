"""Which messages an event becomes, and what each costs the core that takes it in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from snn2chip.graph import Array, Region
from snn2chip.hw_models.detailed.kernel import Ints
from snn2chip.hw_models.detailed.topology import picoseconds
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import Placement, Slot
from snn2chip.hw_models.traffic import alike, met_and_places
from snn2chip.lowering import Population, Projection, Role

#: In a map of times: no message, for the event does not reach the core.
NOWHERE = -1


class Axons(NamedTuple):
    """Outboxes consist of branches: neurons of one core, and the projections of theirs that wait equally long.

    Attributes:
        first: int64 ``[cores + 2]``: branches ``first[o] .. first[o + 1] - 1`` of outbox o; the host's is the last.
        at, positions: branch b reads the columns ``positions[at[b] : at[b + 1]]`` of the events.
        copies: int64, like `positions`: messages that an event there becomes.
        origin: int64 ``[branches]``: column of the population's first position.
        arm: int64 ``[branches + 1]``: branch b leads to the cores of the arms ``arm[b] .. arm[b + 1] - 1``.
        core: int64 ``[arms]``.
        times: int64 ``[arms]``: where in `work` the map of an arm starts.
        work: int64: maps over positions of a population: picoseconds for a message, or `NOWHERE`.
        lag: int64 ``[branches]``: messages of a source's own step t travel in step ``t + lag`` of the pipeline.
    """

    first: Ints
    at: Ints
    positions: Ints
    copies: Ints
    origin: Ints
    arm: Ints
    core: Ints
    times: Ints
    work: Ints
    lag: Ints


@dataclass(frozen=True)
class Arm:
    """The way of a projection's events to one core. `work`: its map, as in `Axons`."""

    projection: Projection
    core: int
    work: Ints


@dataclass
class _Table:
    """`Axons` in the making."""

    first: list[int] = field(default_factory=lambda: [0])
    branches: list[tuple[int, int, Array, Ints, Sequence[Arm]]] = field(default_factory=list)

    def add(self, population: Population, origin: int, inside: Array, arms: Sequence[Arm]) -> None:
        """Neurons `inside` of a core; what waits longest was sent first, and comes first."""
        for delay in sorted({arm.projection.delay for arm in arms}, reverse=True):
            alike = [arm for arm in arms if arm.projection.delay == delay]
            copies = copies_of(alike)[inside]
            self.branches.append((population.depth + delay, origin, origin + inside, copies, alike))

    def close(self) -> None:
        """The outbox is complete."""
        self.first.append(len(self.branches))

    def axons(self) -> Axons:
        lag, origin, positions, copies, arms = zip(*self.branches, strict=True) if self.branches else [()] * 5
        maps = _Maps()
        every = [arm for found in arms for arm in found]
        times = np.array([maps.start(arm.work) for arm in every], np.int64)
        return Axons(
            np.array(self.first, np.int64),
            _bounds(positions),
            _joined(positions),
            _joined(copies),
            np.array(origin, np.int64),
            _bounds(arms),
            np.array([arm.core for arm in every], np.int64),
            times,
            _joined(maps.kept),
            np.array(lag, np.int64),
        )


@dataclass
class _Maps:
    """Maps of times, each kept once."""

    kept: list[Ints] = field(default_factory=list)
    _starts: dict[int, int] = field(default_factory=dict)
    _size: int = 0

    def start(self, work: Ints) -> int:
        if id(work) not in self._starts:
            self._starts[id(work)] = self._size
            self._size += len(work)
            self.kept.append(work)
        return self._starts[id(work)]


def _bounds(pieces: Iterable[Sized]) -> Ints:
    return np.cumsum([0, *map(len, pieces)], dtype=np.int64)


def _joined(pieces: Sequence[Array]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *pieces]).astype(np.int64)


def copies_of(arms: Iterable[Arm]) -> Ints:
    """Messages that an event at each position becomes."""
    copies: Ints = np.sum([arm.work != NOWHERE for arm in arms], axis=0, dtype=np.int64)
    return copies


def arms_of(cores: Neurocores) -> dict[str, tuple[Arm, ...]]:
    """Per population that sends events, its arms in the order in which an event's messages are written."""
    senders = [population for population in cores.network.populations if population.role is not Role.READOUT]
    return {population.name: tuple(_arms(cores, population.name)) for population in senders}


def _arms(cores: Neurocores, source: str) -> Iterator[Arm]:
    for projection in cores.network.outgoing[source]:
        found = []
        for slots in alike(cores.placement, projection):
            work = _work(cores, projection, slots[0].region)
            found += [Arm(projection, slot.index, work) for slot in slots]
        yield from sorted(found, key=lambda arm: arm.core)


def _work(cores: Neurocores, projection: Projection, region: Region) -> Ints:
    met, places = met_and_places(projection, region)
    operation = picoseconds(cores.operation_cycles(projection) / cores.frequency)
    arrival = picoseconds(cores.cycles("axon_in_read", projection.target) / cores.frequency)
    operations = met.reshape((-1,) + (1,) * (places.ndim - 1)) * places
    return np.where(places > 0, arrival + operations * operation, NOWHERE).reshape(-1).astype(np.int64)


def slots_of(placement: Placement) -> list[Slot]:
    """What each core holds, by its number."""
    return sorted((slot for found in placement.slots.values() for slot in found), key=lambda slot: slot.index)


def axons_of(cores: Neurocores, arms: Mapping[str, Sequence[Arm]], offsets: Mapping[str, int]) -> Axons:
    """The axons of a placed network; `offsets` are the columns at which the events of each population start."""
    table, network = _Table(), cores.network
    for slot in slots_of(cores.placement):
        if slot.population in arms:
            inside = np.flatnonzero(slot.region.mask(network[slot.population].shape))
            table.add(network[slot.population], offsets[slot.population], inside, arms[slot.population])
        table.close()
    host = network.populations[0]
    table.add(host, offsets[host.name], np.arange(host.signal.size), arms[host.name])
    table.close()
    return table.axons()
