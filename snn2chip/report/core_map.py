"""The cores of a placement as ``fit.json`` lists them (see ``docs/report-schema.md``), checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from snn2chip.errors import UserError
from snn2chip.hw_models.results import NetworkReport

#: Limits as headings.
NAMES: Mapping[str, str] = {
    "neurons_per_core": "neurons",
    "axons_in_per_core": "axons in",
    "axons_out_per_core": "axons out",
    "synapse_bits_per_core": "synapses",
    "state_bits_per_core": "state",
    "delay_bits_per_core": "delays",
    "memory_bits_per_core": "memory",
}
#: More cores on a chip are no chip but an attempt to exhaust what draws it.
_MOST_SEATS = 2**20


@dataclass(frozen=True)
class Core:
    """One core in use.

    Attributes:
        number: in the order of the network, from 0.
        x, y: its tile, counted from the corner of its own chip.
        shares: by limit, the need of the core over what it has.
    """

    number: int
    layer: str
    chip: int
    x: int
    y: int
    needs: Mapping[str, int]
    shares: Mapping[str, float]

    @property
    def fullest(self) -> float:
        """The largest share; 0 on a chip that states no limits."""
        return max(self.shares.values(), default=0.0)


@dataclass(frozen=True)
class CoreMap:
    """The cores in use, and the mesh that they lie on.

    Attributes:
        have: by limit, what one core has.
        seats: per tile of a chip, row by row, how many cores it has.
        columns: tiles beside one another.
    """

    chip: str
    arrangement: str
    form: str
    cores: tuple[Core, ...]
    chips: int
    cores_per_chip: int
    have: Mapping[str, int]
    seats: tuple[int, ...]
    columns: int
    reason: str | None

    @classmethod
    def read(cls, fit: Mapping[str, Any], source: object) -> CoreMap:
        """From the document of ``fit.json``.

        Raises: UserError naming `source` where the network sits on no cores, where an older version wrote it, or where
            it does not describe cores on a mesh.
        """
        if fit.get("fits") is None or fit.get("form") is None:
            raise UserError(f"{source}: there are no cores to show: {fit.get('reason', 'the network is on none')}")
        if "map" not in fit:
            raise UserError(f"{source}: it says nothing on single cores, as older versions wrote it: export it again")
        try:
            _check(fit)
        except (KeyError, TypeError, _DamagedError) as error:
            raise UserError(f"{source}: its map of cores is damaged ({error}): export it again") from None
        found, all_seats = fit["map"], fit["cores_per_chip"]
        per_tile = found["cores_per_tile"]
        return cls(
            chip=fit["chip"],
            arrangement=fit["arrangement"],
            form=fit["form"],
            cores=tuple(_cores(found)),
            chips=fit["chips"],
            cores_per_chip=all_seats,
            have={limit: found["have"][limit] for limit in _limits(found)},
            seats=tuple(min(per_tile, all_seats - first) for first in range(0, all_seats, per_tile)),
            columns=found["tile_columns"],
            reason=fit.get("reason"),
        )

    @classmethod
    def of(cls, network: NetworkReport) -> CoreMap | None:
        """Of a report; None where the model has no cores, or the report holds no map of them.

        Raises: UserError naming the network where its map cannot be.
        """
        placed = network.placement
        if placed is None or "map" not in placed:
            return None
        return cls.read({**placed, "chip": network.chip.name, "form": network.form}, f"network {network.label!r}")

    @cached_property
    def layers(self) -> Mapping[str, tuple[Core, ...]]:
        """The cores by layer, in the order of the network."""
        found: dict[str, list[Core]] = {}
        for core in self.cores:
            found.setdefault(core.layer, []).append(core)
        return {name: tuple(cores) for name, cores in found.items()}

    @cached_property
    def by_tile(self) -> Mapping[tuple[int, int], tuple[Core, ...]]:
        """The cores in use by (chip, number of the tile on it)."""
        found: dict[tuple[int, int], list[Core]] = {}
        for core in self.cores:
            found.setdefault((core.chip, core.y * self.columns + core.x), []).append(core)
        return {place: tuple(cores) for place, cores in found.items()}

    @property
    def sentence(self) -> str:
        """How many cores of how many are in use."""
        there = self.chips * self.cores_per_chip
        chips = "1 chip" if self.chips == 1 else f"{self.chips} chips"
        unary = ", as binary neurons (the chip carries no values)" if self.form == "unary" else ""
        return f"{len(self.cores)} of {there} cores on {chips} {self.chip!r}, {self.arrangement} placement{unary}"


def _limits(found: Mapping[str, Any]) -> list[str]:
    """In the order of `NAMES`, whatever the order in the file."""
    return [limit for limit in NAMES if limit in found["have"]]


def _cores(found: Mapping[str, Any]) -> Iterator[Core]:
    have, columns = found["have"], found["tile_columns"]
    for number, layer in enumerate(found["layer"]):
        needs = {limit: found["need"][limit][number] for limit in _limits(found)}
        chip = found["chip"][number]
        yield Core(
            number=number,
            layer=layer,
            chip=chip,
            x=found["x"][number] - chip * columns,
            y=found["y"][number],
            needs=needs,
            shares={limit: need / have[limit] for limit, need in needs.items()},
        )


class _DamagedError(Exception):
    """What the map says cannot be."""


def _check(fit: Mapping[str, Any]) -> None:
    """An artifact may come from anywhere: no text may steer a terminal, and no number ask for endless work."""
    found = fit["map"]
    texts = [fit["chip"], fit["arrangement"], fit["form"], fit.get("reason", ""), *found["layer"]]
    _require(all(isinstance(text, str) and text.isprintable() for text in texts), "a text that cannot be printed")
    count, seats = len(found["layer"]), fit["cores_per_chip"]
    for number in (seats, found["cores_per_tile"], found["tile_columns"], *found["have"].values()):
        _require(_is_count(number) and number >= 1, "a number that is no whole number above 0")
    _require(seats <= _MOST_SEATS and count >= 1 and fit["chips"] == -(-count // seats), "as many chips as cores fill")
    _require(set(found["have"]) == set(found["need"]) <= set(NAMES), "limits that are unknown or without a need")
    columns = [found[axis] for axis in ("chip", "x", "y")]
    for column in (*columns, *found["need"].values()):
        _require(len(column) == count and all(map(_is_count, column)), "columns of unequal length, or no whole numbers")
    taken = Counter(zip(*columns, strict=True))
    _require(all(_holds(fit, place, held) for place, held in taken.items()), "cores that lie beside the mesh")


def _holds(fit: Mapping[str, Any], place: tuple[int, int, int], held: int) -> bool:
    """Whether the tile at (chip, x, y) is there and has so many cores."""
    (chip, x, y), across, per_tile = place, int(fit["map"]["tile_columns"]), int(fit["map"]["cores_per_tile"])
    first = (y * across + x - chip * across) * per_tile
    there = min(per_tile, int(fit["cores_per_chip"]) - first)
    return chip < int(fit["chips"]) and x // across == chip and held <= there


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _DamagedError(otherwise)
