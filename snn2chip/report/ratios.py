"""How much another network needs of what one's own needs, with the range that the uncertain prices leave.

The range of an energy ratio. Each uncertain number of the chip files may lie anywhere in its range, *in both networks
alike*, numbers independently of one another, and the range holds the smallest and the largest ratio that this allows
(`snn2chip.report.parts.settings` says where they lie). Two networks on one chip share all its numbers; what the files
of two chips state differently errs independently. Nominal is nominal / nominal. Uncertainty of anything but prices and
times (of the model itself, of training) is not in the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snn2chip.hw_models.results import NetworkReport, Range
from snn2chip.report import prices
from snn2chip.report.parts import Settings, settings
from snn2chip.report.prices import Split, Swing, same_chip

__all__ = ["Comparison", "compare_networks", "largest_quotient", "same_chip"]


@dataclass(frozen=True)
class Comparison:
    """Another network against one's own; every ratio is other / own, so above 1 means that the other needs more.

    Attributes:
        label, chip: which network, on which chip.
        same_chip: whether both were priced by the same chip file.
        dynamic: ratio of the dynamic energies; None where one's own is zero.
        total: ratio of the totals; None where only one of the two chips states a static power.
        latency: ratio of the latencies in seconds; None where a model has no time.
        latency_range: its bounds, had the times of both networks nothing to do with one another.
        events: ratio of the events sent; None where one's own are zero.
        accuracy: other minus own, as a share; None where one is unknown.
        swings: what each uncertain number leaves open of ``dynamic``, the widest first.
    """

    label: str
    chip: str
    same_chip: bool
    dynamic: Range | None
    total: Range | None
    latency: float | None
    events: float | None
    accuracy: float | None
    swings: tuple[Swing, ...] = ()
    latency_range: Range | None = None


def compare_networks(own: NetworkReport, other: NetworkReport) -> Comparison:
    """`other` in relation to `own`."""
    dynamic = _energy_ratio(own, other, prices.dynamic)
    return Comparison(
        label=other.label,
        chip=other.chip.name,
        same_chip=same_chip(own, other),
        dynamic=dynamic,
        total=_energy_ratio(own, other, prices.total) if _totals_are_alike(own, other) else None,
        latency=_ratio(own.latency.seconds, other.latency.seconds),
        events=_ratio(own.totals.events_out, other.totals.events_out),
        accuracy=None if own.accuracy is None or other.accuracy is None else other.accuracy - own.accuracy,
        swings=() if dynamic is None else prices.ratio_swings(own, other),
        latency_range=_apart(own.latency.seconds_range, other.latency.seconds_range),
    )


def _totals_are_alike(own: NetworkReport, other: NetworkReport) -> bool:
    return (own.energy.static is None) == (other.energy.static is None)


def _ratio(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None or own == 0 else other / own


def _apart(own: Range | None, other: Range | None) -> Range | None:
    """The ratio of what errs independently."""
    if own is None or other is None or own.low == 0:
        return None
    return Range(other.low / own.high, other.nominal / own.nominal, other.high / own.low)


def _energy_ratio(own: NetworkReport, other: NetworkReport, split: Split) -> Range | None:
    mine, theirs = split(own), split(other)
    if sum(part.joules.low for part in mine.values()) <= 0:
        return None  # nothing to relate to, or a price so uncertain that the ratio has no upper end
    ends = settings(mine, theirs)
    below, above = (sum(part.joules.nominal for part in parts.values()) for parts in (mine, theirs))
    return Range(-largest_quotient(negated(ends)), above / below, largest_quotient(ends))


def negated(ends: Sequence[Settings]) -> list[Settings]:
    """The same quotients with the other sign."""
    return [tuple((first, -second) for first, second in each) for each in ends]


def largest_quotient(ends: Sequence[Settings]) -> float:
    """The largest sum of second values / sum of first values when one (first, second) of each is chosen.

    The sums of first values are above 0. Dinkelbach's method for a ratio of sums: choosing every end by the sign of
    ``second - ratio * first`` can only improve the ratio, and when it no longer does, the ratio is the optimum.
    """
    best = _quotient([each[0] for each in ends])
    while True:
        chosen = [max(each, key=lambda end: end[1] - best * end[0]) for each in ends]
        improved = _quotient(chosen)
        if improved <= best:
            return best
        best = improved


def _quotient(chosen: Sequence[tuple[float, ...]]) -> float:
    return sum(second for _, second in chosen) / sum(first for first, _ in chosen)
