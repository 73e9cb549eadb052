"""The report as one self-contained page: styles, figures and data inside, nothing fetched from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from snn2chip.hw_models.results import NetworkReport, Range
from snn2chip.report import plots, prices, side_by_side, tables
from snn2chip.report.breakdown import where_it_goes
from snn2chip.report.core_drawing import content
from snn2chip.report.core_map import CoreMap
from snn2chip.report.core_table import costliest
from snn2chip.report.drawing import NARROW, WIDE, Format
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.environment import templates
from snn2chip.report.headline import cautions, findings, headline, rival_of
from snn2chip.report.prices import Swing
from snn2chip.report.stalls import detailed
from snn2chip.report.summaries import multiplies_all, named, notes_of, one_per_chip, operations, price_kinds
from snn2chip.report.tables import Sheet
from snn2chip.report.timeline import shown, timeline_figure
from snn2chip.report.tornado import tornado_figure, visible
from snn2chip.report.units import UNKNOWN, count, factor, percent, quantity

#: CSS pixels that a table may take (the page without its margins), and what a letter and the space between columns
#: take there. Digits and letters of the usual fonts are narrower than this on average.
_ROOM, _LETTER, _GAP = 960.0, 8.0, 19.2
#: Chips that are drawn: a network on more of them would make the page large.
_CHIPS_DRAWN = 8


@dataclass(frozen=True)
class Picture:
    """A figure for wide and for narrow pages, as data addresses; `alt` says in words what it shows."""

    title: str
    caption: str
    alt: str
    wide: str
    narrow: str


def page(report: EnergyReport) -> str:
    """The whole page as text. The same report gives the same text."""
    return templates().get_template("report.html.j2").render(_content(report))


def _content(report: EnergyReport) -> dict[str, Any]:
    own = report.own
    cores = CoreMap.of(own)
    return {
        "report": report,
        "own": own,
        "placed": cores.sentence if cores else "",
        "map": content(cores, _CHIPS_DRAWN, own.cores) if cores else None,
        "chip": own.chip.name,
        "headline": headline(report),
        "findings": findings(report),
        "cautions": cautions(report),
        "tiles": _tiles(report),
        "pictures": list(_pictures(report)),
        "network_sheets": _fitting(*_network_sheets(report)),
        "layer_sheets": _fitting(*_layer_sheets(own)),
        "notes": notes_of(report),
        "prices": [(price_kinds(network), tables.prices(network)) for network in one_per_chip(report)],
    }


def _layer_sheets(own: NetworkReport) -> list[Sheet]:
    first = (tables.layers(own), tables.memories(own), tables.memory_energy(own), tables.structure(own))
    cores = costliest(own)
    return side_by_side.filled((*first, tables.actions(own), *([cores] if cores else []), *detailed(own)))


def _network_sheets(report: EnergyReport) -> list[Sheet]:
    others = (side_by_side.uncertainty(report), side_by_side.break_even(report), side_by_side.membrane(report))
    first = (tables.networks(report), side_by_side.costs(report), tables.activity(report), tables.energy(report))
    return side_by_side.filled((*first, where_it_goes(report), *others))


def _fitting(*sheets: Sheet) -> list[Sheet]:
    """The sheets in parts that a page shows whole: what a reader has to scroll for is lost in print."""
    return [part for sheet in sheets for part in sheet.parts(lambda part: _pixels(part) <= _ROOM)]


def _pixels(sheet: Sheet) -> float:
    """Width of the sheet on the page: headings and text cells break at spaces, number cells do not."""
    columns = [
        [*name.split(), *(word for row in sheet.rows for word in _unbreakable(row[place], place < len(sheet.names)))]
        for place, name in enumerate((*sheet.names, *sheet.numbers))
    ]
    return sum(max(map(len, column)) * _LETTER + _GAP for column in columns)


def _unbreakable(cell: str, text: bool) -> list[str]:
    return cell.split() if text else [cell]


def _tiles(report: EnergyReport) -> list[tuple[str, str, str]]:
    """(what, figure, small print) of one's own network."""
    own = report.own
    dynamic, static, latency = own.energy.dynamic, own.energy.static, own.latency
    between = f"{quantity(dynamic.low, 'J')} to {quantity(dynamic.high, 'J')}"
    total = f"{quantity(own.energy.total.nominal, 'J')} with static power" if static else "no static power stated"
    ends = latency.seconds_range
    cycles = f"{quantity(ends.low, 's')} to {quantity(ends.high, 's')}; " if ends and ends.low < ends.high else ""
    cycles += f"{count(latency.cycles)} cycles, " if latency.cycles is not None else ""
    return [
        ("accuracy", percent(own.accuracy), f"{own.samples} samples"),
        ("dynamic energy", quantity(dynamic.nominal, "J"), f"{between}; {total}"),
        ("latency", _time(latency.seconds, latency.steps), cycles + _interval(own)),
        ("events", count(own.totals.events_out), f"their values sum to {count(own.totals.spikes_out)}"),
        _operations_tile(own),
    ]


def _operations_tile(own: NetworkReport) -> tuple[str, str, str]:
    figure = count(operations(own.totals, own))
    if multiplies_all(own):
        return "multiplications", figure, "those of zeros included unless the array skips them"
    weighted = count(own.totals.effective_operations)
    return "synaptic operations", figure, f"{weighted} with a weight that is not zero"


def _interval(own: NetworkReport) -> str:
    """What follows the latency in small print: how often inferences come out of a stream."""
    latency = own.latency
    if latency.seconds is None:
        every = "step" if latency.interval_steps == 1 else f"{latency.interval_steps} steps"
        return f"in a stream one inference every {every}; the model knows no time"
    every = _time(latency.interval_seconds, latency.interval_steps)
    return f"{_steps(latency.steps)}; in a stream one inference every {every}"


def _time(seconds: float | None, steps: int) -> str:
    return _steps(steps) if seconds is None else quantity(seconds, "s")


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


def _pictures(report: EnergyReport) -> Iterator[Picture]:
    own = report.own
    yield _picture(
        "Energy of one inference",
        "Dot: nominal price. Line: all prices low to all prices high. Networks on one chip share its prices: read "
        "their ratios from the table, and not from how these lines overlap.",
        "Dynamic energy: " + _listing((item.label, _nominal(item.energy.dynamic)) for item in report.networks),
        lambda form: plots.energy_figure(report, form),
    )
    accuracy = _accuracy_picture(report)
    if accuracy:
        yield accuracy
    yield from _tornados(report)
    yield _picture(
        f"Where {own.label} spends its energy",
        "Nominal dynamic energy of each layer, stacked by action.",
        "Dynamic energy by layer: " + _listing((row.name, _nominal(row.energy)) for row in own.layers),
        lambda form: plots.layer_energy_figure(own, form),
    )
    yield _picture(
        "Events by layer",
        "An event is one non-zero value that a layer sends; an event of value 3 counts 3 in the spike values. "
        "Each baseline has a line of its own beneath the bar. "
        "Baselines appear at the layers whose names they share.",
        f"Events by layer of {own.label}: " + _listing((row.name, count(row.events_out)) for row in own.layers),
        lambda form: plots.events_figure(report, form),
    )
    yield from _timeline(own)


def _timeline(own: NetworkReport) -> Iterator[Picture]:
    timing = own.detailed
    if timing is None:
        return
    cores, steps = shown(timing)
    drawn = f"The first {steps} of {len(timing.step_cycles)} steps. " if steps < len(timing.step_cycles) else ""
    busiest = f"The {len(cores)} busiest of {len(timing.cores)} cores. " if len(cores) < len(timing.cores) else ""
    rows = [
        (f"core {row.core}", f"starved for {count(row.starved)} cycles") for row in timing.cores if row.core in cores
    ]
    yield _picture(
        f"What the cores of {own.label} did when",
        f"{busiest}{drawn}The first sample, alone on the chip. Upright lines part the steps: one ends for all when the "
        "slowest core is done, and with the barrier. Starved: no message had come yet.",
        "Cores over time: " + _listing(iter(rows)),
        lambda form: timeline_figure(timing, form),
    )


def _tornados(report: EnergyReport) -> Iterator[Picture]:
    own, rival = report.own, rival_of(report)
    if swings := prices.swings(own):
        title = f"What makes the energy of {own.label} uncertain"
        yield _tornado(title, swings, own.energy.dynamic.nominal, _joules, "dynamic energy per inference")
    if rival is None or rival.dynamic is None or not rival.swings:
        return
    axis = f"dynamic energy of {rival.label} / {own.label}"
    title = f"What makes the ratio {named(rival.label, rival.chip)} / {own.label} uncertain"
    yield _tornado(title, rival.swings, rival.dynamic.nominal, factor, axis)


def _tornado(
    title: str, swings: tuple[Swing, ...], nominal: float, shown: Callable[[float], str], axis: str
) -> Picture:
    drawn = visible(swings)
    left = len(swings) - len(drawn)
    more = f" Numbers that move it too little to be seen: {left}." if left > 0 else ""
    return _picture(
        title,
        "Each uncertain number of the chip file alone at its low and at its high end, all others nominal. A number "
        f"that both networks of a ratio rest on moves on both sides.{more}",
        f"{title}: " + _listing((item.number, f"{shown(item.low)} to {shown(item.high)}") for item in drawn),
        lambda form: tornado_figure(swings, nominal, shown, axis, form),
    )


def _joules(value: float) -> str:
    return quantity(value, "J")


def _accuracy_picture(report: EnergyReport) -> Picture | None:
    if all(network.accuracy is None for network in report.networks):
        return None
    return _picture(
        "Accuracy against energy",
        "Upright lines: 95 % interval of the accuracy for this number of samples. Level lines: low to high energy.",
        "Accuracy and dynamic energy: "
        + _listing(
            (item.label, f"{percent(item.accuracy)} at {_nominal(item.energy.dynamic)}")
            for item in report.networks
            if item.accuracy is not None
        ),
        lambda form: plots.accuracy_figure(report, form) or UNKNOWN,
    )


def _picture(title: str, caption: str, alt: str, draw: Callable[[Format], str]) -> Picture:
    return Picture(title, caption, alt, _address(draw(WIDE)), _address(draw(NARROW)))


def _nominal(energy: Range) -> str:
    return quantity(energy.nominal, "J")


def _listing(pairs: Iterator[tuple[str, str]]) -> str:
    return "; ".join(f"{name} {value}" for name, value in pairs) + "."


def _address(svg: str) -> str:
    """An address that holds the picture: as an image of its own it can be saved from the page and put on a slide."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")
