"""Energies by the uncertain number of the chip file that they rest on, and where a ratio of them can be extreme.

A number that two chip files state alike (name, value, kind and source) is one number: its error is the same on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from itertools import product

from snn2chip.hw_models.results import NOTHING, ChipSummary, MemoryRow, Range

#: The number that prices the static energy, and the one that sets which share of an access a word pays for.
STATIC, ACCESS = "power.static", "words.access"


@dataclass(frozen=True)
class Number:
    """One number: where two networks rest on it, they do so together. `place` says whose it is, `range` its ends."""

    name: str
    place: str
    range: Range | None


@dataclass(frozen=True)
class Part:
    """Joules that rest on one number.

    Attributes:
        joules: the smallest, nominal and largest that the number leaves open.
        words: for `ACCESS`, by bits of a word: joules of its accesses, had each word to pay for a whole one.
        power, seconds: for `STATIC`, the watts and the latency that `joules` is the product of.
    """

    joules: Range
    words: Mapping[int, float] = field(default_factory=dict)
    power: Range = NOTHING
    seconds: Range = NOTHING

    def at_width(self, bits: float) -> float:
        """Joules of accesses that move so many bits each."""
        return sum(whole * min(1.0, word / bits) for word, whole in self.words.items())


Parts = Mapping[Number, Part]
#: One number at each of its settings: what it adds to every one of the energies that are held against one another.
Settings = tuple[tuple[float, ...], ...]
_NONE = Part(NOTHING)


def number(chip: ChipSummary, name: str) -> Number:
    """The number `name` of a chip."""
    for item in chip.numbers:
        if item.name == name:
            return Number(name, f"{item.value} {item.kind} {item.source}", item.range)
    return Number(name, chip.digest, None)


def number_behind(chip: ChipSummary, action: str) -> Number:
    """The uncertain number in the energy of `action`.

    On chips whose memories are priced by size, what is uncertain of an access is how many bits it moves, and that is
    one number for all memories; every price of arithmetic stands for itself.
    """
    shared = chip.model != "neurocore" and action.endswith(("_read", "_write"))
    return number(chip, ACCESS if shared else f"prices.{action}")


def by_number(
    chip: ChipSummary, actions: Iterable[tuple[str, Range]], memories: Iterable[tuple[MemoryRow, Range]]
) -> dict[Number, Part]:
    """The energies of `actions`, by number; `memories` holds once more what accesses cost, by word width."""
    joules: dict[Number, Range] = {}
    for action, spent in actions:
        behind = number_behind(chip, action)
        joules[behind] = joules.get(behind, NOTHING) + spent
    words = _words(chip, memories)
    return {behind: Part(spent, words if behind.name == ACCESS else {}) for behind, spent in joules.items()}


def _words(chip: ChipSummary, memories: Iterable[tuple[MemoryRow, Range]]) -> dict[int, float]:
    found: dict[int, float] = {}
    if (width := number(chip, ACCESS).range) is None:
        return found
    for memory, spent in memories:
        bits = memory.word_bits
        found[bits] = found.get(bits, 0.0) + spent.nominal / min(1.0, bits / width.nominal)
    return found


def settings(*energies: Parts) -> list[Settings]:
    """For every number that any of `energies` rests on: what it adds to each of them at its settings.

    A ratio of two sums of such energies, also of their differences, has its extremes among all choices of one setting
    per number. In a price, each energy is linear, so that a ratio rises or falls between the ends of its range and its
    extremes lie there. The static energy is a power times a latency; latencies follow from many times through the
    slowest core of each step, so that each network's is taken to lie anywhere in its own range: the extremes found are
    then bounds, and exact ones where times have no range.
    """
    numbers = dict.fromkeys(behind for parts in energies for behind in parts)
    return [tuple(_of(behind, [parts.get(behind, _NONE) for parts in energies])) for behind in numbers]


def _of(behind: Number, parts: Sequence[Part]) -> Iterator[tuple[float, ...]]:
    yield from zip(*(astuple(part.joules) for part in parts), strict=True)
    if behind.name == STATIC:
        powers = zip(*(astuple(part.power) for part in parts), strict=True)
        for power, times in product(powers, product(*(astuple(part.seconds) for part in parts))):
            yield tuple(watts * seconds for watts, seconds in zip(power, times, strict=True))
    for width in _bends(behind, parts):
        yield tuple(part.at_width(width) for part in parts)


def _bends(behind: Number, parts: Sequence[Part]) -> list[int]:
    """Widths of an access at which the share of some word begins to fall.

    A word of b bits pays for min(1, b / width) of an access. Between two such widths all energies are linear in
    1 / width, and their ratio rises or falls.
    """
    if behind.name != ACCESS or behind.range is None:
        return []
    words = {bits for part in parts for bits in part.words}
    return sorted(bits for bits in words if behind.range.low < bits < behind.range.high)
