"""What a part of a population needs of the core that holds it, in the units of the limits that chip files state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2chip.graph import Region, Shape
from snn2chip.hw_models.chip import Chip
from snn2chip.lowering import Network, Population, Projection

Ints = NDArray[np.int64]

#: The limits that a chip file may state, as ``section.key``; each is the need of one core.
LIMITS: Mapping[str, str] = {
    "neurons_per_core": "limits.neurons_per_core",
    "axons_in_per_core": "limits.axons_in_per_core",
    "axons_out_per_core": "limits.axons_out_per_core",
    "synapse_bits_per_core": "capacity.synapse",
    "state_bits_per_core": "capacity.state",
    "delay_bits_per_core": "capacity.delay",
    "memory_bits_per_core": "capacity.core",
}


def limits_of(chip: Chip) -> dict[str, int]:
    """The limits that the chip states."""
    stated = {limit: chip.limit(key) for limit, key in LIMITS.items()}
    return {limit: int(have) for limit, have in stated.items() if have is not None}


@dataclass(frozen=True)
class Needs:
    """What a region of a population needs of the core that holds it.

    Attributes:
        targets: per population, the regions of what it feeds.
        weight_bits: store weights in no more bits than these, to see what that would save; None for those they have.
    """

    network: Network
    population: Population
    chip: Chip
    targets: Mapping[str, tuple[Region, ...]]
    weight_bits: int | None = None
    _counted: dict[Any, Ints] = field(default_factory=dict)

    def of(self, limit: str, region: Region) -> int:
        return self.worst(limit, [region.channels], [region.rows])

    def worst(self, limit: str, channels: Sequence[range], rows: Sequence[range]) -> int:
        """The largest need of any region of the grid of `channels` and `rows`."""
        return int(self.grid(limit, channels, rows).max())

    def grid(self, limit: str, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        """The need of every region of the grid: int64 ``[channels, rows]``."""
        needs = {
            "neurons_per_core": self._neurons,
            "axons_in_per_core": self._axons_in,
            "axons_out_per_core": self._axons_out,
            "synapse_bits_per_core": self._synapse_bits,
            "state_bits_per_core": self._state_bits,
            "delay_bits_per_core": self._delay_bits,
            "memory_bits_per_core": self._memory_bits,
        }
        return needs[limit](channels, rows)

    def _memory_bits(self, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        return sum(
            (bits(channels, rows) for bits in (self._synapse_bits, self._state_bits, self._delay_bits)),
            start=_zeros(channels, rows),
        )

    def _neurons(self, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        neurons: Ints = np.multiply.outer(_lengths(channels), _lengths(rows)) * width_of(self.population.shape)
        return neurons

    def _state_bits(self, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        return self._neurons(channels, rows) * self.population.stored_bits

    def _synapse_bits(self, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        return sum(
            (self._weights(each, channels, rows) * self._stored(each) for each in self.population.projections),
            start=_zeros(channels, rows),
        )

    def _stored(self, projection: Projection) -> int:
        """Bits of one weight in synaptic memory."""
        return projection.weight_bits if self.weight_bits is None else min(projection.weight_bits, self.weight_bits)

    def _weights(self, projection: Projection, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        if not projection.is_weighted:
            return _zeros(channels, rows)
        if self.chip.choice("weight_sharing", "shared", "expanded") == "shared":
            stored = projection.weights * _lengths(channels) // self.population.shape[0]
            return np.repeat(stored[:, None], len(rows), axis=1)
        met = np.array([projection.channels_met(self._over(part)).sum() for part in channels], np.int64)
        found: Ints = np.multiply.outer(met, self._places(projection, rows).sum(axis=1))
        return found

    def _delay_bits(self, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        """Places for events that wait for alignment: of every source neuron that reaches the region, one for every step
        that it waits, each with a bit for the event and the bits of its value."""
        return sum(
            (
                projection.delay
                * (1 + self.network[projection.source].payload_bits)
                * self._sources(projection, channels, rows)
                for projection in self.population.projections
                if projection.delay
            ),
            start=_zeros(channels, rows),
        )

    def _axons_in(self, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        """Source neurons that reach the region: an entry each."""
        return sum(
            (self._sources(projection, channels, rows) for projection in self.population.projections),
            start=_zeros(channels, rows),
        )

    def _sources(self, projection: Projection, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        if projection.is_identity:
            return self._neurons(channels, rows)
        if projection.is_dense:
            met = np.full(len(channels), projection.shape[0], np.int64)
        else:
            met = np.array([np.count_nonzero(projection.channels_met(self._over(part))) for part in channels], np.int64)
        found: Ints = np.multiply.outer(met, np.count_nonzero(self._places(projection, rows), axis=1))
        return found

    def _over(self, channels: range) -> Region:
        return Region(channels, range(rows_of(self.population.shape)))

    def _places(self, projection: Projection, rows: Sequence[range]) -> Ints:
        """Target places in each of `rows` that each place of a source channel reaches: int64 ``[rows, places]``.

        The channels that two channels meet and the places that two places reach do not depend on one another.
        """
        if list(rows) == [range(rows_of(self.population.shape))]:
            return self._reached(projection, rows[0])[None]
        key = projection, "rows"
        if key not in self._counted:
            single = [self._reached(projection, range(row, row + 1)) for row in range(rows_of(self.population.shape))]
            self._counted[key] = np.pad(np.cumsum(single, axis=0), ((1, 0), (0, 0)))
        sums = self._counted[key]
        return sums[[part.stop for part in rows]] - sums[[part.start for part in rows]]

    def _reached(self, projection: Projection, rows: range) -> Ints:
        """Target places in `rows` that each place of a source channel reaches: int64 ``[places]``."""
        key = projection, rows
        if key not in self._counted:
            region = Region(range(self.population.shape[0]), rows)
            met = projection.channels_met(region)
            first = projection.fan_out(region).reshape(projection.shape[0], -1)[0]
            self._counted[key] = first // met[0]
        return self._counted[key]

    def _axons_out(self, channels: Sequence[range], rows: Sequence[range]) -> Ints:
        """Pairs of a neuron of a region and a core that it reaches: an entry each."""
        sums = self._copies_before
        by_channels = sums[[part.stop for part in channels]] - sums[[part.start for part in channels]]
        return by_channels[:, [row.stop for row in rows]] - by_channels[:, [row.start for row in rows]]

    @cached_property
    def _copies_before(self) -> Ints:
        """Entry [c, r]: the copies of the first c channels in the first r rows."""
        shape = self.population.shape
        per_row = self._copies.reshape(shape[0], rows_of(shape), -1).sum(axis=2)
        return np.pad(per_row.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))

    @cached_property
    def _copies(self) -> Ints:
        """How many cores each neuron reaches: int64 of the population's shape."""
        outgoing = self.network.outgoing[self.population.name]
        return sum(
            (cores_reached(projection, self.targets[projection.target]) for projection in outgoing),
            start=np.zeros(self.population.shape, np.int64),
        )


def cores_reached(projection: Projection, regions: Sequence[Region]) -> Ints:
    """How many of the target's cores, with these `regions`, each source neuron reaches: int64 of the source's shape."""
    reached = np.zeros(projection.shape, np.int64)
    if projection.is_identity:
        return reached + 1  # the cores of the target share its neurons out between them
    for places in by_pattern(projection, regions):
        reached += len(places) * (projection.fan_out(regions[places[0]]) > 0)
    return reached


def pattern_key(projection: Projection, region: Region) -> tuple[range | None, range]:
    """Regions with the same key are reached by the same source positions."""
    return None if projection.is_dense else region.channels, region.rows


def by_pattern(projection: Projection, regions: Sequence[Region]) -> list[list[int]]:
    """Places in `regions`, grouped by which source positions reach them."""
    groups: dict[tuple[range | None, range], list[int]] = {}
    for place, region in enumerate(regions):
        groups.setdefault(pattern_key(projection, region), []).append(place)
    return list(groups.values())


def width_of(shape: Shape) -> int:
    """Neurons of one row of one channel."""
    return shape[2] if len(shape) == 3 else 1


def rows_of(shape: Shape) -> int:
    """Rows that a channel can be cut along."""
    return shape[1] if len(shape) == 3 else 1


def _lengths(ranges: Sequence[range]) -> Ints:
    return np.array([len(part) for part in ranges], np.int64)


def _zeros(channels: Sequence[range], rows: Sequence[range]) -> Ints:
    return np.zeros((len(channels), len(rows)), np.int64)
