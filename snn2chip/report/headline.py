"""Sentences made from the data. Which network comes out ahead is read from the numbers, never taken for granted."""

from __future__ import annotations

from snn2chip.hw_models.results import NetworkReport, Range
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.measured import FITTED
from snn2chip.report.ratios import Comparison, same_chip
from snn2chip.report.summaries import multiplies_all, named
from snn2chip.report.units import factor, factor_range, percent, points, quantity, quantity_range

#: From this share of the total on, static energy decides what a total says.
_LARGE = 0.25
#: Ratios nearer to 1 than this are called the same.
_SAME = 5e-4


def headline(report: EnergyReport) -> str:
    """One sentence: one's own network against the baseline that needs the least energy.

    Baselines on the same chip go first: only where there is none do the others stand in, and the sentence says so.
    """
    rival = rival_of(report)
    if rival is None:
        return _alone(report.own)
    return _against(report.own, report.baselines[report.comparisons.index(rival)], rival)


def rival_of(report: EnergyReport) -> Comparison | None:
    """The baseline that needs the least energy, on the same chip where there is one."""
    rivals = [comparison for comparison in report.comparisons if comparison.dynamic is not None]
    rivals = [comparison for comparison in rivals if comparison.same_chip] or rivals
    return min(rivals, key=_nominal, default=None)


def findings(report: EnergyReport) -> tuple[str, ...]:
    """One sentence for each baseline, and one for the static energy."""
    sentences = [_finding(report, comparison) for comparison in report.comparisons]
    return (*sentences, _static_sentence(report))


def cautions(report: EnergyReport) -> tuple[str, ...]:
    """What follows from the data and limits what may be concluded from it, and the notes of the report."""
    found = [
        _mixed_samples(report),
        _stateless(report.own),
        _not_measured(report.own),
        _other_chips(report),
        _does_not_fit(report),
        _mostly_static(report.own),
    ]
    return (*(sentence for sentence in found if sentence), *report.notes)


def _nominal(comparison: Comparison) -> float:
    return comparison.dynamic.nominal if comparison.dynamic else float("inf")


def _alone(own: NetworkReport) -> str:
    energy = quantity_range(own.energy.dynamic, "J")
    return f"{own.label} needs {energy} of dynamic energy per inference on {own.chip.name}, {_accuracy(own)}."


def _accuracy(network: NetworkReport) -> str:
    return "with no accuracy measured" if network.accuracy is None else f"at {percent(network.accuracy)} accuracy"


def _against(own: NetworkReport, other: NetworkReport, comparison: Comparison) -> str:
    ratio = comparison.dynamic
    assert ratio is not None
    chip = own.chip.name
    where = f"on {chip}" if comparison.same_chip else f"across chips, {chip} against {other.chip.name}"
    if all(abs(end - 1.0) < _SAME for end in (ratio.low, ratio.nominal, ratio.high)):
        return f"{own.label} and {other.label} need the same dynamic energy per inference {where}{_at(own, other)}."
    if ratio.low <= 1.0 <= ratio.high:
        return (
            f"{own.label} and {other.label} cannot be told apart by dynamic energy {where}: "
            f"the second needs {factor_range(ratio)} that of the first{_at(own, other)}."
        )
    if ratio.nominal > 1.0:
        return _less(own, other, where, Range(*(1.0 - 1.0 / end for end in (ratio.low, ratio.nominal, ratio.high))))
    return _less(other, own, where, Range(*(1.0 - end for end in (ratio.high, ratio.nominal, ratio.low))))


def _less(winner: NetworkReport, loser: NetworkReport, where: str, saved: Range) -> str:
    low, nominal, high = (percent(share, _digits(share)) for share in (saved.low, saved.nominal, saved.high))
    bounds = "" if low == high else f" ({low[:-2]} to {high})"
    return (
        f"{winner.label} needs {nominal}{bounds} less dynamic energy per inference "
        f"than {loser.label} {where}{_at(winner, loser)}."
    )


def _digits(share: float) -> int:
    return 0 if 0.1 <= share < 0.99 else 1


def _at(first: NetworkReport, second: NetworkReport) -> str:
    if first.accuracy is None or second.accuracy is None:
        return ", with no accuracy measured to set against it"
    own, other = percent(first.accuracy), percent(second.accuracy)
    return f", both at {own} accuracy" if own == other else f", at {own} against {other} accuracy"


def _finding(report: EnergyReport, comparison: Comparison) -> str:
    other = comparison.label if comparison.same_chip else named(comparison.label, comparison.chip)
    parts = [
        comparison.dynamic is not None and f"{factor_range(comparison.dynamic)} the dynamic energy",
        comparison.latency is not None and f"{factor(comparison.latency)} the latency",
        comparison.events is not None and f"{factor(comparison.events)} the events",
        comparison.accuracy is not None and f"accuracy {points(comparison.accuracy)}",
    ]
    return f"{other}, against {report.own.label}: {', '.join(part for part in parts if part)}."


def _static_sentence(report: EnergyReport) -> str:
    own = report.own
    if own.energy.static is None:
        return f"{own.chip.name} states no static power: all energies here are dynamic energies only."
    share = own.energy.static.nominal / own.energy.total.nominal
    totals = [f"{factor_range(item.total)} for {item.label}" for item in report.comparisons if item.total is not None]
    return (
        f"Static power over the latency adds {quantity(own.energy.static.nominal, 'J')} to {own.label}, "
        f"{percent(share, 0)} of its total." + (f" Ratios of the totals: {', '.join(totals)}." if totals else "")
    )


def _mixed_samples(report: EnergyReport) -> str:
    counts = sorted({network.samples for network in report.networks})
    return f"The networks saw different numbers of samples: {counts}." if len(counts) > 1 else ""


def _stateless(own: NetworkReport) -> str:
    if own.steps != 1 or own.levels == 1:
        return ""
    known = (
        "With one time step a multi-level neuron keeps no state: the network computes what a network with "
        f"activations of the values 0..{own.levels} computes"
    )
    if multiplies_all(own):
        return f"{known}, and {own.chip.name} executes it as one."
    return f"{known}, and what sets it apart from a quantized ANN is how the hardware executes it, event by event."


def _not_measured(own: NetworkReport) -> str:
    name, numbers = own.chip.name, own.chip.numbers
    if fitted := [_plain(number.name) for number in numbers if number.source.startswith(FITTED)]:
        return f"{', '.join(fitted)} of {name} came from a fit to measured joules; no other price was measured on it."
    if any(number.kind == "measured" for number in numbers if number.name.startswith("prices.")):
        return ""
    return f"No energy price of {name} was measured on silicon: see the sources of the numbers."


def _plain(number: str) -> str:
    return number.removeprefix("prices.")


def _other_chips(report: EnergyReport) -> str:
    others = sorted({item.chip.name for item in report.baselines if not same_chip(report.own, item)})
    if not others:
        return ""
    return (
        f"Ratios to networks on {' and '.join(others)} compare technologies and models as well as networks: "
        "their ranges assume that numbers which the two chip files state differently err independently."
    )


def _does_not_fit(report: EnergyReport) -> str:
    """Networks that need several chips, and those that no number of chips could hold."""
    unfit = [item for item in report.networks if item.placement and item.placement.get("fits") is False]
    hopeless = [item for item in unfit if _limits(item) - {"cores"}]
    several = ", ".join(item.label for item in unfit if item not in hopeless)
    groups: dict[str, list[str]] = {}
    for item in hopeless:
        groups.setdefault(" and ".join(sorted(_limits(item))), []).append(item.label)
    said = [_breaking(labels, limits) for limits, labels in groups.items()]
    return " ".join([*([f"Not on one chip: {several}."] if several else []), *said])


def _breaking(labels: list[str], limits: str) -> str:
    one = len(labels) == 1
    return (
        f"{', '.join(labels)} {'breaks' if one else 'break'} {limits}: the figures are for a chip that could hold "
        f"{'it' if one else 'them'} (see the notes)."
    )


def _limits(network: NetworkReport) -> set[str]:
    """The limits that its placement breaks."""
    return {str(entry.get("limit")) for entry in (network.placement or {}).get("broken", ())}


def _mostly_static(own: NetworkReport) -> str:
    """Static energy depends on the use of the chip: it is charged over the latency, in a stream over the interval."""
    energy, latency = own.energy, own.latency
    if energy.static is None or energy.static_power is None or energy.static.nominal < _LARGE * energy.total.nominal:
        return ""
    said = (
        f"{percent(energy.static.nominal / energy.total.nominal, 0)} of the total of {own.label} is static energy, "
        f"charged for one inference alone on the chip ({quantity(latency.seconds, 's')})"
    )
    if latency.interval_seconds is None or latency.interval_seconds == latency.seconds:
        return f"{said}."
    stream = energy.static_power.nominal * latency.interval_seconds
    return (
        f"{said}: in a stream, with an inference every {quantity(latency.interval_seconds, 's')}, "
        f"the same power adds {quantity(stream, 'J')} instead of {quantity(energy.static.nominal, 'J')}."
    )
