"""Energies by the uncertain number of the chip file that they rest on, and what each number leaves open.

A number that two chip files state alike (name, value, kind and source) is one number: its error is the same on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from snn2chip.hw_models.results import NOTHING, ChipSummary, NetworkReport, Range

#: The number that prices the static energy, and the one that sets which share of an access a word pays for.
STATIC, ACCESS = "power.static", "words.access"


@dataclass(frozen=True)
class Number:
    """One number: where two networks rest on it, they do so together. `place` says whose it is."""

    name: str
    place: str


@dataclass(frozen=True)
class Swing:
    """What becomes of a figure when one number sits at its low and at its high end, and all others are nominal.

    Attributes:
        number: its name in the chip file, such as ``prices.message``.
        chip: the chip whose file states it; both names where only the ends of one number of each chip move.
        low, high: the figure at the low and at the high end of the number (``low`` may be the larger of the two).
    """

    number: str
    chip: str
    low: float
    high: float

    @property
    def span(self) -> float:
        return abs(self.high - self.low)


Parts = dict[Number, Range]
Split = Callable[[NetworkReport], Parts]


def dynamic(network: NetworkReport) -> Parts:
    """The dynamic energy, by the number that its uncertainty comes from."""
    found: Parts = {}
    for row in network.totals.actions:
        if row.included_in is None and row.absent is None:
            number = number_behind(network.chip, row.action)
            found[number] = found.get(number, NOTHING) + row.energy
    return found


def total(network: NetworkReport) -> Parts:
    """The dynamic and the static energy."""
    parts = dynamic(network)
    if network.energy.static is not None:
        parts[_number(network.chip, STATIC)] = network.energy.static
    return parts


def number_behind(chip: ChipSummary, action: str) -> Number:
    """The uncertain number in the energy of `action`.

    On chips whose memories are priced by size, what is uncertain of an access is how many bits it moves, and that is
    one number for all memories; every price of arithmetic stands for itself.
    """
    shared = chip.model != "neurocore" and action.endswith(("_read", "_write"))
    return _number(chip, ACCESS if shared else f"prices.{action}")


def _number(chip: ChipSummary, name: str) -> Number:
    stated = next(
        (f"{item.value} {item.kind} {item.source}" for item in chip.numbers if item.name == name), chip.digest
    )
    return Number(name, stated)


def same_chip(a: NetworkReport, b: NetworkReport) -> bool:
    """Whether both were priced by the same numbers: the digest covers the scenario too."""
    return a.chip.digest == b.chip.digest


def swings(network: NetworkReport, split: Split = dynamic) -> tuple[Swing, ...]:
    """What each number leaves open of the network's energy in joules, the widest first; exact ones are left out."""
    parts = split(network)
    nominal = sum(part.nominal for part in parts.values())
    found = (
        Swing(number.name, network.chip.name, *(nominal - part.nominal + end for end in _at_ends(number, part)))
        for number, part in parts.items()
    )
    return _widest_first(found)


def ratio_swings(own: NetworkReport, other: NetworkReport, split: Split = dynamic) -> tuple[Swing, ...]:
    """What each number leaves open of the ratio other / own, the widest first; one that both rest on moves on both."""
    mine, theirs = split(own), split(other)
    below, above = (sum(part.nominal for part in parts.values()) for parts in (mine, theirs))
    found = []
    for number in dict.fromkeys([*mine, *theirs]):
        a, b = mine.get(number, NOTHING), theirs.get(number, NOTHING)
        places = zip(_at_ends(number, a), _at_ends(number, b), strict=True)
        ends = [_ends(below, above, a.nominal, b.nominal, x, y) for x, y in places]
        if None in ends:
            continue  # nothing is left to relate to: the ratio has no such end
        chips = [item.chip.name for item, parts in ((own, mine), (other, theirs)) if number in parts]
        found.append(Swing(number.name, " and ".join(dict.fromkeys(chips)), ends[0] or 0.0, ends[1] or 0.0))
    return _widest_first(found)


def _at_ends(number: Number, part: Range) -> tuple[float, float]:
    """The part with its number at its low and at its high end: the more bits an access moves, the less a word pays."""
    return (part.high, part.low) if number.name == ACCESS else (part.low, part.high)


def _ends(below: float, above: float, a: float, b: float, x: float, y: float) -> float | None:
    """The ratio once the parts `a` of `below` and `b` of `above` have become `x` and `y`."""
    base = below - a + x
    return None if base <= 0 else (above - b + y) / base


def _widest_first(found: Iterable[Swing]) -> tuple[Swing, ...]:
    # Sums in another order differ in their last digits: what is that small is no uncertainty.
    open_ones = (item for item in found if item.span > 1e-12 * max(abs(item.low), abs(item.high)))
    return tuple(sorted(open_ones, key=lambda item: (-item.span, item.number, item.chip)))
