"""Placement: populations onto cores, within the limits that the chip file states.

A population is cut along its channels, and along its rows where that takes fewer cores. Cores are filled in the order
of the network, row by row over the tiles of the mesh, and over further chips where one is not enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Region, Shape
from snn2chip.hw_models.chip import Chip
from snn2chip.lowering import Network, Population, Projection, Role, UnaryLowering, to_populations, to_unary


@dataclass(frozen=True)
class Slot:
    """A part of a population on a core of its own.

    Attributes:
        index: number of the core, over all chips.
        chip: number of the chip.
        x, y: the core's tile, in tiles from the first chip's corner (chips stand side by side along x).
    """

    population: str
    region: Region
    index: int
    chip: int
    x: int
    y: int


@dataclass(frozen=True)
class Broken:
    """A limit that a layer exceeds however finely it is cut."""

    layer: str
    limit: str
    need: int
    have: int


@dataclass(frozen=True)
class Placement:
    """Where every population sits.

    Attributes:
        slots: per population, the cores that hold it (none for the input, which enters at tile 0, 0).
        broken: limits that could not be kept; the layers were placed as if the chip did not have these limits.
    """

    network: Network
    chip: Chip
    slots: Mapping[str, tuple[Slot, ...]]
    broken: tuple[Broken, ...]

    @cached_property
    def regions(self) -> Mapping[str, tuple[Region, ...]]:
        return {name: tuple(slot.region for slot in slots) for name, slots in self.slots.items()}

    @property
    def cores(self) -> int:
        return sum(len(slots) for slots in self.slots.values())

    @property
    def chips(self) -> int:
        return math.ceil(self.cores / self.chip.count("structure.cores"))

    @property
    def tiles(self) -> int:
        return math.ceil(self.cores / self.chip.count("structure.cores_per_tile"))

    @property
    def fits(self) -> bool:
        return not self.broken and self.chips == 1

    @property
    def beyond(self) -> Broken | None:
        """The cores of one chip, as a limit, with the first layer that exceeds them; None where one chip is enough."""
        have = self.chip.count("structure.cores")
        if self.chips == 1:
            return None
        first = next(name for name, slots in self.slots.items() if slots and slots[-1].index >= have)
        return Broken(first, "cores", self.cores, have)

    def document(self) -> dict[str, Any]:
        """What ``fit.json`` and reports say, JSON-ready."""
        broken = [*self.broken, self.beyond] if self.beyond else self.broken
        return {
            "fits": self.fits,
            "cores": self.cores,
            "cores_per_chip": self.chip.count("structure.cores"),
            "chips": self.chips,
            "broken": [asdict(found) for found in broken],
            "layers": [self._layer(name) for name in self.slots if self.slots[name]],
        }

    def _layer(self, name: str) -> dict[str, Any]:
        slots, population = self.slots[name], self.network[name]
        needs = Needs(self.network, population, self.chip, self.regions)
        limits = limits_of(self.chip)
        channels, rows = (
            [*dict.fromkeys(getattr(slot.region, axis) for slot in slots)] for axis in ("channels", "rows")
        )
        used = {limit: needs.worst(limit, channels, rows) for limit in limits}
        return {
            "layer": name,
            "neurons": population.neurons,
            "cores": len(slots),
            "channels_per_core": max(len(slot.region.channels) for slot in slots),
            "rows_per_core": max(len(slot.region.rows) for slot in slots),
            "largest": used,
            "utilisation": {limit: used[limit] / have for limit, have in limits.items()},
        }


#: The limits that a chip file may state, as ``section.key``; each is the need of one core.
LIMITS: Mapping[str, str] = {
    "neurons_per_core": "limits.neurons_per_core",
    "axons_in_per_core": "limits.axons_in_per_core",
    "axons_out_per_core": "limits.axons_out_per_core",
    "synapse_bits_per_core": "capacity.synapse",
    "state_bits_per_core": "capacity.state",
    "memory_bits_per_core": "capacity.core",
}


def limits_of(chip: Chip) -> dict[str, int]:
    """The limits that the chip states."""
    stated = {limit: chip.limit(key) for limit, key in LIMITS.items()}
    return {limit: int(have) for limit, have in stated.items() if have is not None}


@dataclass(frozen=True)
class Needs:
    """What a region of a population needs of the core that holds it. `targets` are the regions of what it feeds."""

    network: Network
    population: Population
    chip: Chip
    targets: Mapping[str, tuple[Region, ...]]
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
        if limit != "neurons_per_core" and not self._shares_weights:
            return max(self._bits(limit, Region(part, row)) for part in channels for row in rows)
        largest = Region(max(channels, key=len), max(rows, key=len))
        return self.neurons(largest) if limit == "neurons_per_core" else self._bits(limit, largest)

    def _bits(self, limit: str, region: Region) -> int:
        synapses = 0 if limit == "state_bits_per_core" else self.synapse_bits(region)
        return synapses + (0 if limit == "synapse_bits_per_core" else self.state_bits(region))

    @cached_property
    def _shares_weights(self) -> bool:
        return self.chip.choice("weight_sharing", "shared", "expanded") == "shared"

    def neurons(self, region: Region) -> int:
        return len(region.channels) * len(region.rows) * _width(self.population.shape)

    def state_bits(self, region: Region) -> int:
        return self.neurons(region) * self.population.stored_bits

    def synapse_bits(self, region: Region) -> int:
        incoming = self.population.projections
        return sum(self._weights(projection, region) * projection.weight_bits for projection in incoming)

    def _weights(self, projection: Projection, region: Region) -> int:
        if not self._shares_weights:
            return int(projection.fan_out(region).sum())
        return projection.weights * len(region.channels) // self.population.shape[0]

    def _axons_in(self, region: Region) -> int:
        """Source neurons that reach the region: an entry each."""
        return sum(self._sources(projection, region) for projection in self.population.projections)

    def _sources(self, projection: Projection, region: Region) -> int:
        key = (projection, *pattern_key(projection, region))
        if key not in self._counted:
            self._counted[key] = int(np.count_nonzero(projection.fan_out(region)))
        return self._counted[key]

    def _axons_out(self, channels: Sequence[range], rows: Sequence[range]) -> int:
        """Pairs of a neuron of a region and a core that it reaches: an entry each."""
        shape = self.population.shape
        per_row = self._copies.reshape(shape[0], shape[1] if len(shape) == 3 else 1, -1).sum(axis=2)
        return max(
            int(per_row[part.start : part.stop, row.start : row.stop].sum()) for part in channels for row in rows
        )

    @cached_property
    def _copies(self) -> Array:
        """How many cores each neuron reaches: int64 of the population's shape."""
        copies = np.zeros(self.population.shape, dtype=np.int64)
        for projection in self.network.outgoing[self.population.name]:
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


def place(network: Network, chip: Chip) -> Placement:
    """Cut every population into parts that a core can hold, and give each part a core."""
    regions: dict[str, tuple[Region, ...]] = {}
    broken: list[Broken] = []
    for population in reversed(network.populations):  # what feeds a layer needs to know how that layer was cut
        if population.role is Role.INPUT:
            regions[population.name] = ()
            continue
        found, exceeded = _cut(Needs(network, population, chip, regions), limits_of(chip))
        regions[population.name] = found
        broken.extend(exceeded)
    seats = _seats(chip)
    slots = {
        population.name: tuple(Slot(population.name, region, *next(seats)) for region in regions[population.name])
        for population in network.populations
    }
    return Placement(network, chip, slots, tuple(broken))


def _seats(chip: Chip) -> Iterator[tuple[int, int, int, int]]:
    """(index, chip, x, y) of one core after the other."""
    cores, per_tile = chip.count("structure.cores"), chip.count("structure.cores_per_tile")
    columns = chip.count("structure.tile_columns")
    index = 0
    while True:
        which, local = divmod(index, cores)
        y, x = divmod(local // per_tile, columns)
        yield index, which, which * columns + x, y
        index += 1


@dataclass(frozen=True)
class _Cutting:
    """The search for the fewest cores that hold a population."""

    shape: Shape
    needs: Needs

    @property
    def rows(self) -> int:
        return self.shape[1] if len(self.shape) == 3 else 1

    def search(self, limits: Mapping[str, int]) -> tuple[Region, ...] | None:
        """The cut with the fewest parts, of equal ones the one with the fewest row cuts; None without any."""
        if whole := self._allowed(1, 1, limits):
            return whole
        best = self._allowed(self.shape[0], self.rows, limits)
        fewest = -(-self.needs.population.neurons // limits.get("neurons_per_core", self.needs.population.neurons))
        for rows in range(1, self.rows + 1):
            if best is None or len(best) <= max(rows, fewest):
                break
            best = self._fewest_channels(rows, range(-(-fewest // rows), (len(best) - 1) // rows + 1), limits) or best
        return best

    def _fewest_channels(self, rows: int, parts: range, limits: Mapping[str, int]) -> tuple[Region, ...] | None:
        """The coarsest cut into `parts` along the channels and `rows` parts along the rows, by bisection."""
        low, high = parts.start, min(parts.stop - 1, self.shape[0])
        found = self._allowed(high, rows, limits) if low <= high else None
        while found and low < high:
            middle = (low + high) // 2
            if allowed := self._allowed(middle, rows, limits):
                high, found = middle, allowed
            else:
                low = middle + 1
        return found

    def _allowed(self, channels: int, rows: int, limits: Mapping[str, int]) -> tuple[Region, ...] | None:
        grid = _parts(self.shape[0], channels), _parts(self.rows, rows)
        for limit, have in limits.items():  # cheap needs come first
            if self.needs.worst(limit, *grid) > have:
                return None
        return self.cut(channels, rows)

    def cut(self, channels: int, rows: int) -> tuple[Region, ...]:
        grid = _parts(self.shape[0], channels), _parts(self.rows, rows)
        return tuple(Region(by_channel, by_row) for by_channel in grid[0] for by_row in grid[1])

    def broken(self, limits: Mapping[str, int]) -> tuple[Broken, ...]:
        """The limits that even one channel of one row exceeds."""
        finest = _parts(self.shape[0], self.shape[0]), _parts(self.rows, self.rows)
        needed = {limit: self.needs.worst(limit, *finest) for limit in limits}
        name = self.needs.population.name
        return tuple(Broken(name, limit, needed[limit], have) for limit, have in limits.items() if needed[limit] > have)


def _cut(needs: Needs, limits: Mapping[str, int]) -> tuple[tuple[Region, ...], tuple[Broken, ...]]:
    """The regions of a population, and the limits that had to be left out of account to find them."""
    cutting = _Cutting(needs.population.shape, needs)
    if regions := cutting.search(limits):
        return regions, ()
    broken = cutting.broken(limits)
    kept = {limit: have for limit, have in limits.items() if limit not in {found.limit for found in broken}}
    return cutting.search(kept) or cutting.cut(cutting.shape[0], cutting.rows), broken


def _parts(size: int, parts: int) -> list[range]:
    """0..size cut into nearly equal ranges."""
    bounds = [size * index // parts for index in range(parts + 1)]
    return [range(first, last) for first, last in pairwise(bounds)]


def lowered_for(graph: Graph, chip: Chip) -> UnaryLowering | None:
    """The unary lowering that the chip needs to carry the network's spikes; None where it carries them as they are.

    Raises GraphError where a value exceeds the payload, or where binary neurons cannot stand for the network.
    """
    bits = chip.limit("capacity.payload")
    widest = max(to_populations(graph).populations, key=lambda population: population.payload_bits)
    if bits is None or widest.payload_bits <= bits:
        return None
    if bits > 0:
        raise GraphError(
            f"layer {widest.name!r} sends values up to {widest.signal.interval.max}, "
            f"but {chip.title} carries {int(bits)} bits with a spike"
        )
    return to_unary(graph)


def fit(graph: Graph, chip: Chip) -> dict[str, Any]:
    """Whether `graph` fits on one chip, and how it is spread over the cores: JSON-ready, for ``fit.json``.

    Keys: ``chip``, ``chip_digest``, ``form`` (``graded`` or ``unary``), ``fits``; then what `Placement.document` says,
    or ``reason`` where the network cannot be put into a form that the chip carries. ``fits`` is None for a model
    without cores.
    """
    head = {"chip": chip.name, "chip_digest": chip.digest}
    if chip.model != "neurocore":
        return {**head, "form": "graded", "fits": None, "reason": f"the {chip.model} model knows no cores"}
    try:
        lowering = lowered_for(graph, chip)
        network = to_populations(lowering.graph if lowering else graph)
    except GraphError as error:
        return {**head, "form": None, "fits": False, "reason": str(error)}
    return {**head, "form": "unary" if lowering else "graded", **place(network, chip).document()}
