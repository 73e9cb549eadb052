"""Numbers of chip files: a value or a range, its unit, where it comes from and what kind of knowledge it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from snn2chip.errors import UserError
from snn2chip.hw_models.results import Range

#: How a number is known. Nothing here is silicon unless it says ``measured``; ``published`` is for facts of structure
#: that the maker states (how many cores), never for an energy or a time.
KINDS = ("measured", "published", "published-simulated", "derived", "assumed")

#: Units by dimension, with their factor to SI.
UNITS: Mapping[str, Mapping[str, float]] = {
    "energy": {"fJ": 1e-15, "pJ": 1e-12, "nJ": 1e-9, "uJ": 1e-6, "mJ": 1e-3, "J": 1.0},
    "time": {"ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0},
    "power": {"nW": 1e-9, "uW": 1e-6, "mW": 1e-3, "W": 1.0},
    "frequency": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    "information": {"bit": 1.0, "byte": 8.0, "KiB": 8.0 * 1024, "MiB": 8.0 * 1024**2},
    "count": {"1": 1.0},
}


class Malformed(UserError):
    """What is wrong with one number; whoever knows file and key adds them."""


@dataclass(frozen=True)
class Quantity:
    """Low, nominal and high in SI units, with text and unit as written, kind and source; no text shows the unit 1."""

    range: Range
    text: str
    kind: str
    source: str
    unit: str

    @property
    def value(self) -> float:
        """The nominal value."""
        return self.range.nominal

    @property
    def is_open(self) -> bool:
        """Whether it is a range."""
        return self.range.low < self.range.high

    def at(self, end: str) -> Quantity:
        """The same number, nominally at its ``low`` or ``high`` end."""
        value: float = getattr(self.range, end)
        return replace(self, range=Range(value, value, value))


@dataclass(frozen=True)
class Table:
    """A number that depends on another (energy of an access on the size of the memory): linear between points, constant
    beyond them. `x` in the SI factor of its unit (bits for information), `y` in SI units."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    text: str
    kind: str
    source: str

    def at(self, x: float) -> float:
        """The value at `x`."""
        return float(np.interp(x, self.x, self.y))


def parse_quantity(entry: Mapping[str, Any], dimension: str, sources: Mapping[str, str]) -> Quantity:
    """``{value | low, nominal, high, unit, kind, source}`` as a Quantity. Raises Malformed."""
    _known_keys(entry, {"value", "low", "nominal", "high", "unit", "kind", "source", "note"})
    factor, (kind, source) = _factor(entry, "unit", dimension), _origin(entry, sources)
    if "value" in entry:
        _known_keys(entry, {"value", "unit", "kind", "source", "note"})
        low = nominal = high = _number(entry, "value")
        text = f"{entry['value']} {entry['unit']}"
    else:
        low, nominal, high = (_number(entry, bound) for bound in ("low", "nominal", "high"))
        text = f"{entry['nominal']} ({entry['low']} to {entry['high']}) {entry['unit']}"
    if not 0 <= low <= nominal <= high:
        raise Malformed(f"low, nominal and high must ascend from 0, not {low}, {nominal}, {high}")
    text = text.removesuffix(" 1")  # the unit of what is counted
    return Quantity(Range(low * factor, nominal * factor, high * factor), text, kind, source, str(entry["unit"]))


def parse_table(entry: Mapping[str, Any], dimension: str, sources: Mapping[str, str]) -> Table:
    """``{points = [[x, y], ..], x_unit, unit, kind, source}`` as a Table. Raises Malformed."""
    _known_keys(entry, {"points", "x_unit", "unit", "kind", "source", "note"})
    factor, (kind, source) = _factor(entry, "unit", dimension), _origin(entry, sources)
    x_factor = _factor(entry, "x_unit", "information" if entry.get("x_unit") != "1" else "count")
    points = entry["points"]
    if not isinstance(points, list) or not points or not all(map(_is_point, points)):
        raise Malformed("points must be pairs [x, y] of numbers that are at least 0 and finite")
    x, y = (tuple(float(value) for value in axis) for axis in zip(*points, strict=True))
    if any(second <= first for first, second in pairwise(x)):
        raise Malformed("the x of its points must ascend")
    text = (
        ", ".join(f"{a:g}: {b:g}" for a, b in zip(x, y, strict=True)) + f" {entry['unit']}" + _by(str(entry["x_unit"]))
    )
    return Table(tuple(v * x_factor for v in x), tuple(v * factor for v in y), text, kind, source)


def _by(x_unit: str) -> str:
    """What the points of a table depend on; of a bare number the note says what it counts."""
    return "" if x_unit == "1" else f" by {x_unit}"


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(map(_is_amount, point))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and 0 <= value < float("inf")


def _known_keys(entry: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(entry) - known):
        raise Malformed(f"it has the unknown key {unknown[0]!r} (known: {', '.join(sorted(known))})")


def _number(entry: Mapping[str, Any], key: str) -> float:
    value = entry.get(key)
    if value is None or not _is_number(value):
        raise Malformed(f"{key} must be a number, not {value!r} (give value, or low, nominal and high)")
    if not _is_amount(value):
        raise Malformed(f"{key} is {value}, but it must be at least 0 and finite")
    return float(value)


def _factor(entry: Mapping[str, Any], key: str, dimension: str) -> float:
    unit = str(entry.get(key))
    if unit not in UNITS[dimension]:
        raise Malformed(f"{key} is {unit!r}, but {dimension} is given in one of {', '.join(UNITS[dimension])}")
    return UNITS[dimension][unit]


def _origin(entry: Mapping[str, Any], sources: Mapping[str, str]) -> tuple[str, str]:
    kind, source = str(entry.get("kind")), str(entry.get("source"))
    if kind not in KINDS:
        raise Malformed(f"kind is {kind!r}, but it must be one of {', '.join(KINDS)}")
    if source not in sources:
        raise Malformed(f"source is {source!r}, but it must be a key of [sources] ({', '.join(sorted(sources))})")
    note = f" ({entry['note']})" if "note" in entry else ""
    return kind, sources[source] + note
