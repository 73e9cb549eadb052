"""What a part of a population needs of the core that holds it, in the units of the limits that chip files state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from snn2chip.graph import Array, Region, Shape
from snn2chip.hw_models.chip import Chip
from snn2chip.lowering import Network, Population, Projection

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
    _counted: dict[Any, int] = field(default_factory=dict)

    def of(self, limit: str, region: Region) -> int:
        return self.worst(limit, [region.channels], [region.rows])

    def worst(self, limit: str, channels: Sequence[range], rows: Sequence[range]) -> int:
        """The largest need of any region of the grid of `channels` and `rows`."""
        if limit == "axons_out_per_core":
            return self._axons_out(channels, rows)
        if limit == "axons_in_per_core":
            dense = all(projection.is_dense for projection in self.population.projections)
            return max(
                self._axons_in(Region(part, row)) for part in (channels[:1] if dense else channels) for row in rows
            )
        if not self._largest_needs_most(limit):
            return max(self._bits(limit, Region(part, row)) for part in channels for row in rows)
        largest = Region(max(channels, key=len), max(rows, key=len))
        return self.neurons(largest) if limit == "neurons_per_core" else self._bits(limit, largest)

    def _largest_needs_most(self, limit: str) -> bool:
        """Whether size alone says what a region needs, wherever it lies."""
        waits = any(projection.delay for projection in self.population.projections)
        if limit in ("delay_bits_per_core", "memory_bits_per_core") and waits:
            return False
        return limit in ("neurons_per_core", "state_bits_per_core") or self._shares_weights

    def _bits(self, limit: str, region: Region) -> int:
        memories = {
            "synapse_bits_per_core": self.synapse_bits,
            "state_bits_per_core": self.state_bits,
            "delay_bits_per_core": self.delay_bits,
        }
        return memories[limit](region) if limit in memories else sum(bits(region) for bits in memories.values())

    @cached_property
    def _shares_weights(self) -> bool:
        return self.chip.choice("weight_sharing", "shared", "expanded") == "shared"

    def neurons(self, region: Region) -> int:
        return len(region.channels) * len(region.rows) * _width(self.population.shape)

    def state_bits(self, region: Region) -> int:
        return self.neurons(region) * self.population.stored_bits

    def synapse_bits(self, region: Region) -> int:
        incoming = self.population.projections
        return sum(self._weights(projection, region) * self._stored(projection) for projection in incoming)

    def _stored(self, projection: Projection) -> int:
        """Bits of one weight in synaptic memory."""
        return projection.weight_bits if self.weight_bits is None else min(projection.weight_bits, self.weight_bits)

    def delay_bits(self, region: Region) -> int:
        """Places for events that wait for alignment: of every source neuron that reaches the region, one for every step
        that it waits, each with a bit for the event and the bits of its value."""
        return sum(
            projection.delay * (1 + self.network[projection.source].payload_bits) * self._sources(projection, region)
            for projection in self.population.projections
            if projection.delay
        )

    def _weights(self, projection: Projection, region: Region) -> int:
        if not self._shares_weights:
            return int(projection.fan_out(region).sum())
        return projection.weights * len(region.channels) // self.population.shape[0]

    def _axons_in(self, region: Region) -> int:
        """Source neurons that reach the region: an entry each."""
        return sum(self._sources(projection, region) for projection in self.population.projections)

    def _sources(self, projection: Projection, region: Region) -> int:
        if projection.is_identity:
            return self.neurons(region)
        key = (projection, *pattern_key(projection, region))
        if key not in self._counted:
            self._counted[key] = int(np.count_nonzero(projection.fan_out(region)))
        return self._counted[key]

    def _axons_out(self, channels: Sequence[range], rows: Sequence[range]) -> int:
        """Pairs of a neuron of a region and a core that it reaches: an entry each."""
        sums = self._copies_before
        by_channels = sums[[part.stop for part in channels]] - sums[[part.start for part in channels]]
        found = by_channels[:, [row.stop for row in rows]] - by_channels[:, [row.start for row in rows]]
        return int(found.max())

    @cached_property
    def _copies_before(self) -> Array:
        """Entry [c, r]: the copies of the first c channels in the first r rows."""
        shape = self.population.shape
        per_row = self._copies.reshape(shape[0], shape[1] if len(shape) == 3 else 1, -1).sum(axis=2)
        return np.pad(per_row.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))

    @cached_property
    def _copies(self) -> Array:
        """How many cores each neuron reaches: int64 of the population's shape."""
        copies = np.zeros(self.population.shape, dtype=np.int64)
        for projection in self.network.outgoing[self.population.name]:
            if projection.is_identity:
                copies += 1  # the cores of the target share its neurons out between them
                continue
            for regions in by_pattern(projection, self.targets[projection.target]):
                copies += len(regions) * (projection.fan_out(regions[0]) > 0)
        return copies


def pattern_key(projection: Projection, region: Region) -> tuple[range | None, range]:
    """Regions with the same key are reached by the same source positions."""
    return None if projection.is_dense else region.channels, region.rows


def by_pattern(projection: Projection, regions: Iterable[Region]) -> list[list[Region]]:
    """The regions, grouped by which source positions reach them."""
    groups: dict[tuple[range | None, range], list[Region]] = {}
    for region in regions:
        groups.setdefault(pattern_key(projection, region), []).append(region)
    return list(groups.values())


def _width(shape: Shape) -> int:
    return shape[2] if len(shape) == 3 else 1
