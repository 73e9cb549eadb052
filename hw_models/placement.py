"""Placement: populations onto cores, within the limits that the chip file states.

A population is cut along its channels, and along its rows where that takes fewer cores. Cores are filled in the order
of the network, row by row over the tiles of the mesh, and over further chips where one is not enough: the default
arrangement, which `snn2chip.hw_models.arrangement` improves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Region
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.cutting import Broken, cut
from snn2chip.hw_models.needs import Needs, limits_of
from snn2chip.lowering import Network, Role, UnaryLowering, to_populations, to_unary


@dataclass(frozen=True)
class Slot:
    """A part of a population on a core of its own.

    Attributes:
        index: number of the core among those in use, in the order of the network.
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
class Placement:
    """Where every population sits.

    Attributes:
        slots: per population, the cores that hold it (none for the input, which enters at tile 0, 0).
        broken: limits that could not be kept; the layers were placed as if the chip did not have these limits.
        arrangement: ``default`` (row by row) or ``optimised`` (see `snn2chip.hw_models.arrangement`).
        compared: a sentence on the placements that this one was chosen from (see `snn2chip.hw_models.fastest`).
    """

    network: Network
    chip: Chip
    slots: Mapping[str, tuple[Slot, ...]]
    broken: tuple[Broken, ...]
    arrangement: str = "default"
    compared: str = ""

    @cached_property
    def regions(self) -> Mapping[str, tuple[Region, ...]]:
        return {name: tuple(slot.region for slot in slots) for name, slots in self.slots.items()}

    @cached_property
    def cores(self) -> int:
        return sum(len(slots) for slots in self.slots.values())

    @property
    def chips(self) -> int:
        return math.ceil(self.cores / self.cores_per_chip)

    @property
    def cores_per_chip(self) -> int:
        return self.chip.count("structure.cores")

    @cached_property
    def tiles(self) -> int:
        """Tiles with a core in use."""
        return len({(slot.x, slot.y) for slots in self.slots.values() for slot in slots})

    @property
    def fits(self) -> bool:
        return not self.broken and self.chips == 1

    @property
    def beyond(self) -> Broken | None:
        """The cores of one chip, as a limit, with the first layer that exceeds them; None where one chip is enough."""
        have = self.cores_per_chip
        if self.chips == 1:
            return None
        first = next(name for name, slots in self.slots.items() if slots and slots[-1].index >= have)
        return Broken(first, "cores", self.cores, have)

    @property
    def exceeded(self) -> tuple[Broken, ...]:
        """All limits that are not kept, the cores of one chip among them."""
        return (*self.broken, self.beyond) if self.beyond else self.broken

    def document(self) -> dict[str, Any]:
        """What reports say, JSON-ready; ``fit.json`` says more (see `snn2chip.hw_models.fitting`)."""
        return {
            "fits": self.fits,
            "arrangement": self.arrangement,
            "cores": self.cores,
            "cores_per_chip": self.cores_per_chip,
            "chips": self.chips,
            "broken": [asdict(found) for found in self.exceeded],
            "layers": [self._layer(name) for name in self.slots if self.slots[name]],
            "map": self._map(),
        }

    def _map(self) -> dict[str, Any]:
        """Columns with one entry per core in use, in the order of their numbers."""
        slots = [slot for found in self.slots.values() for slot in found]
        limits = limits_of(self.chip)
        needs = [self._needs(name) for name, found in self.slots.items() if found]
        return {
            "layer": [slot.population for slot in slots],
            "chip": [slot.chip for slot in slots],
            "x": [slot.x for slot in slots],
            "y": [slot.y for slot in slots],
            "need": {limit: [need for layer in needs for need in layer[limit].ravel().tolist()] for limit in limits},
            "have": limits,
            "cores_per_tile": self.chip.count("structure.cores_per_tile"),
            "tile_columns": self.chip.count("structure.tile_columns"),
        }

    def _needs(self, name: str) -> Mapping[str, NDArray[np.int64]]:
        """What the cores of a population need of each limit: ``[channels, rows]``, in the order of the slots."""
        needs = Needs(self.network, self.network[name], self.chip, self.regions)
        channels, rows = (
            [*dict.fromkeys(getattr(slot.region, axis) for slot in self.slots[name])] for axis in ("channels", "rows")
        )
        return {limit: needs.grid(limit, channels, rows) for limit in limits_of(self.chip)}

    def _layer(self, name: str) -> dict[str, Any]:
        slots, limits = self.slots[name], limits_of(self.chip)
        used = {limit: int(needs.max()) for limit, needs in self._needs(name).items()}
        return {
            "layer": name,
            "neurons": self.network[name].neurons,
            "cores": len(slots),
            "channels_per_core": max(len(slot.region.channels) for slot in slots),
            "rows_per_core": max(len(slot.region.rows) for slot in slots),
            "largest": used,
            "utilisation": {limit: used[limit] / have for limit, have in limits.items()},
        }


def place(network: Network, chip: Chip, weight_bits: int | None = None) -> Placement:
    """Cut every population into parts that a core can hold, and give each part a core.

    `weight_bits`: as if no weight had more bits than these; None for the network as it is.
    """
    regions: dict[str, tuple[Region, ...]] = {}
    broken: list[Broken] = []
    for population in reversed(network.populations):  # what feeds a layer needs to know how that layer was cut
        if population.role is Role.INPUT:
            regions[population.name] = ()
            continue
        found, exceeded = cut(Needs(network, population, chip, regions, weight_bits), limits_of(chip))
        regions[population.name] = found
        broken.extend(exceeded)
    free = seats(chip)
    slots = {
        population.name: tuple(Slot(population.name, region, *next(free)) for region in regions[population.name])
        for population in network.populations
    }
    return Placement(network, chip, slots, tuple(broken))


def seats(chip: Chip) -> Iterator[tuple[int, int, int, int]]:
    """(index, chip, x, y) of one core after the other."""
    cores, per_tile = chip.count("structure.cores"), chip.count("structure.cores_per_tile")
    columns = chip.count("structure.tile_columns")
    index = 0
    while True:
        which, local = divmod(index, cores)
        y, x = divmod(local // per_tile, columns)
        yield index, which, which * columns + x, y
        index += 1


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
