"""What each uncertain number of a chip file leaves open of an energy and of a ratio: the bars of a tornado."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from snn2chip.hw_models.results import NOTHING, NetworkReport
from snn2chip.report.parts import ACCESS, STATIC, Number, Part, Parts, by_number, number

#: What stands for all times of a chip file at once, at their low and at their high ends.
TIMES = "times"


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


Split = Callable[[NetworkReport], Parts]


def dynamic(network: NetworkReport) -> Parts:
    """The dynamic energy, by the number that its uncertainty comes from."""
    own = [row for row in network.totals.actions if row.included_in is None and row.absent is None]
    memories = ((row, row.energy) for row in network.totals.memories if row.energy is not None)
    return by_number(network.chip, ((row.action, row.energy) for row in own), memories)


def total(network: NetworkReport) -> Parts:
    """The dynamic and the static energy."""
    energy, parts = network.energy, dict(dynamic(network))
    if energy.static is not None:
        power, seconds = energy.static_power or NOTHING, network.latency.seconds_range or NOTHING
        parts[number(network.chip, STATIC)] = Part(energy.static, power=power, seconds=seconds)
    return parts


def same_chip(a: NetworkReport, b: NetworkReport) -> bool:
    """Whether both were priced by the same numbers: the digest covers the scenario too."""
    return a.chip.digest == b.chip.digest


def swings(network: NetworkReport, split: Split = dynamic) -> tuple[Swing, ...]:
    """What each number leaves open of the network's energy in joules, the widest first; exact ones are left out."""
    parts = split(network)
    nominal = sum(part.joules.nominal for part in parts.values())
    ends = [(behind.name, part, _at_ends(behind, part)) for behind, part in parts.items()]
    ends += [(TIMES, part, _at_times(part)) for behind, part in parts.items() if behind.name == STATIC]
    found = (
        Swing(name, network.chip.name, *(nominal - part.joules.nominal + end for end in both))
        for name, part, both in ends
    )
    return _widest_first(found)


def ratio_swings(own: NetworkReport, other: NetworkReport, split: Split = dynamic) -> tuple[Swing, ...]:
    """What each number leaves open of the ratio other / own, the widest first; one that both rest on moves on both."""
    mine, theirs = split(own), split(other)
    below, above = (sum(part.joules.nominal for part in parts.values()) for parts in (mine, theirs))
    found = []
    for behind in dict.fromkeys([*mine, *theirs]):
        a, b = (parts.get(behind, Part(NOTHING)) for parts in (mine, theirs))
        places = zip(_at_ends(behind, a), _at_ends(behind, b), strict=True)
        ends = [_ends(below, above, a.joules.nominal, b.joules.nominal, x, y) for x, y in places]
        if None in ends:
            continue  # nothing is left to relate to: the ratio has no such end
        chips = [item.chip.name for item, parts in ((own, mine), (other, theirs)) if behind in parts]
        found.append(Swing(behind.name, " and ".join(dict.fromkeys(chips)), ends[0] or 0.0, ends[1] or 0.0))
    return _widest_first(found)


def _at_ends(behind: Number, part: Part) -> tuple[float, float]:
    """The part with its number at its low and at its high end: the more bits an access moves, the less a word pays."""
    joules = part.power.times(part.seconds.nominal) if behind.name == STATIC else part.joules
    return (joules.high, joules.low) if behind.name == ACCESS else (joules.low, joules.high)


def _at_times(part: Part) -> tuple[float, float]:
    """The static energy with all times at their low and at their high ends."""
    joules = part.seconds.times(part.power.nominal)
    return joules.low, joules.high


def _ends(below: float, above: float, a: float, b: float, x: float, y: float) -> float | None:
    """The ratio once the parts `a` of `below` and `b` of `above` have become `x` and `y`."""
    base = below - a + x
    return None if base <= 0 else (above - b + y) / base


def _widest_first(found: Iterable[Swing]) -> tuple[Swing, ...]:
    # Sums in another order differ in their last digits: what is that small is no uncertainty.
    open_ones = (item for item in found if item.span > 1e-12 * max(abs(item.low), abs(item.high)))
    return tuple(sorted(open_ones, key=lambda item: (-item.span, item.number, item.chip)))
