"""Tables that hold networks against one another: the whole cost, what is uncertain of it, and where they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from snn2chip.hw_models.results import Range
from snn2chip.report import prices
from snn2chip.report.energy_report import EnergyReport, energy_delay
from snn2chip.report.prices import Swing
from snn2chip.report.tables import Row, Sheet
from snn2chip.report.units import UNKNOWN, count, factor, memory, percent, quantity, quantity_range

#: Numbers shown for one's own network: those beyond are small beside them.
_SHOWN = 3


def costs(report: EnergyReport) -> Sheet:
    """Accuracy, time, energy, activity and memory of every network in one row."""
    rows = tuple(
        (
            network.label,
            report.about[place].origin if report.about else UNKNOWN,
            percent(network.accuracy),
            quantity(network.latency.seconds, "s"),
            quantity(network.energy.total.nominal, "J"),
            quantity(None if (product := energy_delay(network)) is None else product.nominal, "J s"),
            count(network.totals.events_out),
            count(network.totals.spikes_out),
            memory(report.about[place].footprint.total if report.about else None),
        )
        for place, network in enumerate(report.networks)
    )
    headings = ("accuracy", "latency", "energy", "energy-delay", "events", "spike values", "memory")
    return Sheet("Costs of one inference", ("network", "origin"), headings, rows, footnote=_COSTS)


_COSTS = (
    "Energy with static power where the chip states one. Memory: weights, biases, thresholds and the state between "
    "steps, as trained. Trained: from a checkpoint of its own. Derived: another network's, executed otherwise. "
    "Unknown: its artifact does not say how it was trained."
)


def uncertainty(report: EnergyReport) -> Sheet:
    """The numbers that dominate the uncertainty of one's own energy, and the one that does so of each ratio."""
    rows = [(report.own.label, *_row(swing, _joules)) for swing in prices.swings(report.own)[:_SHOWN]]
    for other, comparison in zip(report.baselines, report.comparisons, strict=True):
        rows += [(other.label, *_row(swing, _joules)) for swing in prices.swings(other)[:1]]
        rows += [(f"{other.label}, ratio", *_row(swing, factor)) for swing in comparison.swings[:1]]
    headings = ("low end", "high end")
    return Sheet("What is most uncertain", ("figure", "number"), headings, tuple(rows), footnote=_UNCERTAIN)


_UNCERTAIN = (
    "The number of the chip file that moves a dynamic energy, or its ratio to the first, most: at its two ends, all "
    "others nominal. One that both networks of a ratio rest on moves on both sides."
)


def _row(swing: Swing, shown: Callable[[float], str]) -> Row:
    return swing.number.removeprefix("prices."), shown(swing.low), shown(swing.high)


def _joules(value: float) -> str:
    return quantity(value, "J")


def break_even(report: EnergyReport) -> Sheet:
    """The activity at which one's own network would cost what the quantized ANN does."""
    rows = tuple(
        (
            item.label,
            f"{report.own.totals.activity:.3f}",
            _activity(item.activity.nominal),
            _activities(item.activity),
        )
        for item in report.break_even
    )
    headings = ("activity", "break-even", "with all ranges")
    title = f"Activity at which {report.own.label} would cost what a quantized ANN costs"
    return Sheet(title, ("quantized ANN",), headings, rows, footnote=_BREAK_EVEN)


_BREAK_EVEN = (
    "Events per neuron and step; below the break-even one's own network needs less. The events of its layers are "
    "scaled alike, the input and the updates of neurons stay. none: what stays costs more already."
)


def _activities(ends: Range) -> str:
    low, high = _activity(ends.low), _activity(ends.high)
    return low if low == high else f"{low} to {high}"


def _activity(value: float) -> str:
    return "none" if value <= 0 else f"{value:.3f}"


def membrane(report: EnergyReport) -> Sheet:
    """What the traffic of potentials costs where T = 1 needs none."""
    rows = tuple(
        (
            item.label,
            *(quantity_range(value, "J") for value in (item.with_traffic, item.without_traffic)),
            _share(item.with_traffic, item.without_traffic),
        )
        for item in report.membrane
    )
    headings = ("with", "without", "saved")
    return Sheet("Potentials through memory at T = 1", ("network",), headings, rows, footnote=_MEMBRANE)


_MEMBRANE = (
    "At T = 1 no state survives the step. With: every synaptic operation reads and writes a potential in memory, as in "
    "the other tables. Without: potentials stay in registers that cost nothing here, the best case."
)


def _share(whole: Range, rest: Range) -> str:
    return percent(1.0 - rest.nominal / whole.nominal, 0) if whole.nominal else UNKNOWN


def filled(sheets: Iterable[Sheet]) -> list[Sheet]:
    """The sheets that have rows."""
    return [sheet for sheet in sheets if sheet.rows]
