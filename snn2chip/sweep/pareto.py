"""Which points of a design space are not beaten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snn2chip.errors import UserError


@dataclass(frozen=True)
class Objective:
    """One thing that is wanted: more of it, or less."""

    name: str
    unit: str
    more: bool
    meaning: str


#: What points are compared by.
OBJECTIVES: Mapping[str, Objective] = {
    found.name: found
    for found in (
        Objective("accuracy", "", True, "share of the samples"),
        Objective("energy", "J", False, "dynamic energy per inference"),
        Objective("total", "J", False, "energy with static power, where the chip file states one"),
        Objective("latency", "s", False, "time of one inference alone"),
        Objective("interval", "s", False, "time between inferences in a stream"),
    )
}
DEFAULT = ("accuracy", "energy", "latency")


def parse(names: Sequence[str]) -> tuple[Objective, ...]:
    """Objectives by name. Raises: UserError for an unknown one, one given twice, or fewer than two."""
    if unknown := [name for name in names if name not in OBJECTIVES]:
        raise UserError(f"--objectives {unknown[0]}: this is unknown: choose from {', '.join(OBJECTIVES)}")
    if len(set(names)) != len(names) or len(names) < 2:
        raise UserError(f"--objectives {','.join(names)}: name at least two, each once")
    return tuple(OBJECTIVES[name] for name in names)


def front(values: Sequence[Mapping[str, float | None]], objectives: Sequence[Objective]) -> list[bool]:
    """For each point whether no other is as good in every objective and better in one.

    Points that do not know one of the objectives are never on the front and beat nobody; equal points stay together.
    """
    signed = [_signed(point, objectives) for point in values]
    best: list[tuple[float, ...]] = []
    for point in sorted({found for found in signed if found is not None}):  # what beats a point comes before it
        if not any(_beats(other, point) for other in best):
            best.append(point)
    return [point in best for point in signed]


def _signed(point: Mapping[str, float | None], objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The point with less being better throughout; None where something is unknown."""
    found = []
    for objective in objectives:
        value = point[objective.name]
        if value is None:
            return None
        found.append(-value if objective.more else value)
    return tuple(found)


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
