"""The picture of a sweep: what each point costs against its accuracy, and the front. Same results, same bytes."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from snn2chip.report.drawing import COLOURS, FAINT, INK, MARKERS, WIDE, confidence, style, svg
from snn2chip.report.units import percent, quantity
from snn2chip.sweep.pareto import Objective
from snn2chip.sweep.points import Point
from snn2chip.sweep.results import Results, Row

#: Costs further apart than this are drawn on a logarithmic axis.
_DECADES_NEED_LOG = 30.0
_PANEL_INCHES = 3.6
#: Marks nearer than this, in points of the page, have one label.
_LABEL_POINTS = 11.0
_LEGEND_INCHES = 0.22


def figure(results: Results) -> str:
    """SVG text: a panel for each cost, or one of two costs where accuracy is no objective.

    Points on the front are numbered as in the table and carry their ranges: low to high energy, and the 95 % interval
    of the accuracy over the samples. Nothing that lacks one of the objectives is drawn.
    """
    names = [objective.name for objective in results.objectives]
    rows = [row for row in results.rows if all(row.values[name] is not None for name in names)]
    panels = _panels(results.objectives)
    chips = list(dict.fromkeys(_chip(row.point) for row in rows))
    networks = list(dict.fromkeys(row.point.network for row in rows))
    with style(WIDE):
        shown = legend(chips, networks)
        height = _PANEL_INCHES * len(panels) + _LEGEND_INCHES * len(shown)
        drawn = Figure(figsize=(WIDE.inches, height), layout="constrained")
        all_axes = drawn.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (across, up) in zip(all_axes, panels, strict=True):
            for row in sorted(rows, key=lambda row: row.number is not None):
                colour = COLOURS[chips.index(_chip(row.point)) % len(COLOURS)]
                _mark(axes, row, across, up, colour, MARKERS[networks.index(row.point.network) % len(MARKERS)])
            _axes(axes, rows, across, up)
            _numbers(axes, results.front, across, up)
        drawn.legend(
            handles=shown,
            loc="outside lower left",
            frameon=False,
            ncols=2,
            fontsize=0.85 * WIDE.points,
        )
        return svg(drawn)


def _panels(objectives: Sequence[Objective]) -> list[tuple[Objective, Objective]]:
    accuracy = [objective for objective in objectives if objective.more]
    costs = [objective for objective in objectives if not objective.more]
    return [(cost, accuracy[0]) for cost in costs] if accuracy else [(cost, costs[0]) for cost in costs[1:]]


def _chip(point: Point) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in point.settings.items())
    return f"{point.chip} ({settings})" if settings else point.chip


def _mark(axes: Axes, row: Row, across: Objective, up: Objective, colour: str, marker: str) -> None:
    x, y = row.values[across.name], row.values[up.name]
    assert x is not None
    assert y is not None
    if row.number is None:
        axes.plot(x, y, marker, color=colour, alpha=0.35, markersize=7, markeredgecolor="none")
        return
    if across.name == "energy" and row.energy is not None:
        axes.plot([row.energy.low, row.energy.high], [y, y], color=colour, linewidth=1.0, alpha=0.5)
    if up.name == "accuracy":
        axes.plot([x, x], confidence(y, row.samples), color=colour, linewidth=1.0, alpha=0.5)
    axes.plot(x, y, marker, color=colour, markersize=10, markeredgecolor=INK, markeredgewidth=1.4, zorder=3)


def _axes(axes: Axes, rows: Sequence[Row], across: Objective, up: Objective) -> None:
    axes.set_xlabel(f"{across.name}: {across.meaning}")
    axes.set_ylabel(up.name)
    axes.grid(color=FAINT, linewidth=0.6)
    found = [value for row in rows if (value := row.values[across.name]) is not None]
    if found and min(found) > 0 and max(found) / min(found) > _DECADES_NEED_LOG:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _text(value, across)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _text(value, up)))


def _numbers(axes: Axes, front: Sequence[Row], across: Objective, up: Objective) -> None:
    """The numbers of the front; points whose marks hide one another share a label."""
    axes.get_xlim()  # settles the limits, which the places on the page follow from
    on_page: dict[tuple[float, float], tuple[float, float]] = {}
    labels: dict[tuple[float, float], list[str]] = {}
    for row in front:
        place = (row.values[across.name] or 0.0, row.values[up.name] or 0.0)
        x, y = axes.transData.transform([place])[0]
        near = (at for at, (a, b) in on_page.items() if max(abs(x - a), abs(y - b)) < _LABEL_POINTS)
        shared = next(near, place)
        on_page.setdefault(shared, (x, y))
        labels.setdefault(shared, []).append(str(row.number))
    for at, numbers in labels.items():
        backing = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}
        axes.annotate(", ".join(numbers), at, (8, 7), textcoords="offset points", zorder=4, bbox=backing)


def _text(value: float, objective: Objective) -> str:
    return quantity(value, objective.unit) if objective.unit else percent(value)


def legend(chips: Sequence[str], networks: Sequence[str]) -> list[Line2D]:
    """Colours are chips, shapes are networks; those beyond the first few share them, and have no line of their own."""
    lines = [
        Line2D([], [], color=colour, linewidth=5, label=label)
        for colour, label in zip(COLOURS, _shortened(chips, len(COLOURS)), strict=False)
    ]
    shapes = [
        Line2D([], [], color=INK, marker=marker, linestyle="none", label=label)
        for marker, label in zip(MARKERS, _shortened(networks, len(MARKERS)), strict=False)
    ]
    return lines + shapes


def _shortened(names: Sequence[str], most: int) -> list[str]:
    """The first names, the last of them with how many more there are: sweep.csv has all."""
    shown = [WIDE.fit(name) for name in names[:most]]
    if len(names) > most:
        shown[-1] += f" and {len(names) - most} more, colours and shapes repeat"
    return shown
