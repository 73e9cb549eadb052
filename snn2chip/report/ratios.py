"""How much another network needs of what one's own needs, with the range that the uncertain prices leave.

The range of an energy ratio. Two networks on one chip (the same chip file) are priced with the *same*
unknown numbers. So each action is set to the low or to the high end of its price in both networks alike, actions
independently of one another, and the range holds the smallest and the largest ratio of all such settings. On different
chips nothing ties the errors together, and the ends are low / high and high / low. Nominal is nominal / nominal.
Uncertainty of anything but prices (of the model itself, of training) is not in the range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from snn2chip.hw_models.results import NOTHING, NetworkReport, Range


@dataclass(frozen=True)
class Comparison:
    """Another network against one's own; every ratio is other / own, so above 1 means that the other needs more.

    Attributes:
        label, chip: which network, on which chip.
        same_chip: whether both were priced by the same chip file.
        dynamic: ratio of the dynamic energies; None where one's own is zero.
        total: ratio of the totals; None where only one of the two chips states a static power.
        latency: ratio of the latencies in seconds; None where a model has no time.
        events: ratio of the events sent; None where one's own are zero.
        accuracy: other minus own, as a share; None where one is unknown.
    """

    label: str
    chip: str
    same_chip: bool
    dynamic: Range | None
    total: Range | None
    latency: float | None
    events: float | None
    accuracy: float | None


def compare_networks(own: NetworkReport, other: NetworkReport) -> Comparison:
    """`other` in relation to `own`."""
    return Comparison(
        label=other.label,
        chip=other.chip.name,
        same_chip=same_chip(own, other),
        dynamic=_energy_ratio(own, other, _dynamic),
        total=_energy_ratio(own, other, _total) if _totals_are_alike(own, other) else None,
        latency=_ratio(own.latency.seconds, other.latency.seconds),
        events=_ratio(own.totals.events_out, other.totals.events_out),
        accuracy=None if own.accuracy is None or other.accuracy is None else other.accuracy - own.accuracy,
    )


def same_chip(a: NetworkReport, b: NetworkReport) -> bool:
    """Whether both were priced by the same numbers: the digest covers the scenario too."""
    return a.chip.digest == b.chip.digest


Parts = dict[str, Range]


def _dynamic(network: NetworkReport) -> Parts:
    return {row.action: row.energy for row in network.totals.actions}


def _total(network: NetworkReport) -> Parts:
    return {**_dynamic(network), " static": network.energy.static or NOTHING}


def _totals_are_alike(own: NetworkReport, other: NetworkReport) -> bool:
    return (own.energy.static is None) == (other.energy.static is None)


def _ratio(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None or own == 0 else other / own


def _energy_ratio(own: NetworkReport, other: NetworkReport, parts: Callable[[NetworkReport], Parts]) -> Range | None:
    mine, theirs = parts(own), parts(other)
    if sum(part.low for part in mine.values()) <= 0:
        return None  # nothing to relate to, or a price so uncertain that the ratio has no upper end
    if same_chip(own, other):
        return _range_of_shared_prices(mine, theirs)
    return _range_of_separate_prices(mine.values(), theirs.values())


def _range_of_separate_prices(mine: Iterable[Range], theirs: Iterable[Range]) -> Range:
    own, other = sum_of(mine), sum_of(theirs)
    return Range(other.low / own.high, other.nominal / own.nominal, other.high / own.low)


def sum_of(ranges: Iterable[Range]) -> Range:
    """Sum, bound by bound."""
    return sum(ranges, start=NOTHING)


def _range_of_shared_prices(mine: Parts, theirs: Parts) -> Range:
    pairs = [(mine.get(name, NOTHING), theirs.get(name, NOTHING)) for name in sorted({*mine, *theirs})]
    nominal = sum(other.nominal for _, other in pairs) / sum(own.nominal for own, _ in pairs)
    return Range(-_largest(pairs, -1.0), nominal, _largest(pairs, 1.0))


def _largest(pairs: list[tuple[Range, Range]], sign: float) -> float:
    """The largest `sign` x (other / own) when each pair sits at its low or at its high end.

    Dinkelbach's method for a ratio of sums: choosing every end by the sign of ``other - ratio * own`` can only improve
    the ratio, and when it no longer does, the ratio is the optimum.
    """
    ends = [((own.low, sign * other.low), (own.high, sign * other.high)) for own, other in pairs]
    best = _quotient([low for low, _ in ends])
    while True:
        chosen = [max(pair, key=lambda end: end[1] - best * end[0]) for pair in ends]
        improved = _quotient(chosen)
        if improved <= best:
            return best
        best = improved


def _quotient(chosen: list[tuple[float, float]]) -> float:
    return sum(other for _, other in chosen) / sum(own for own, _ in chosen)
