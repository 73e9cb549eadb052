"""The figures of the page as SVG text: the same report gives the same bytes.

Row labels stand above their marks and values at the right edge, so that no line can cross a word. Every figure can be
drawn for a wide page and for a narrow one. Colours are those of Okabe and Ito (2008), which colour-blind people can
tell apart; shapes differ as well.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.summaries import named
from snn2chip.report.units import count, percent, quantity

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_INK, _FAINT = "#222222", "#d9d9d9"
#: Energies further apart than this are drawn on a logarithmic axis.
_DECADES_NEED_LOG = 30.0
#: Actions beyond these are drawn as one: more colours could not be told apart.
_ACTIONS_SHOWN = 7
_ROW_INCHES = 0.46
#: Height of a line without a mark beneath it, in rows.
_HEADING = 0.7
#: Height of the line of one baseline beneath the bar of a layer, in rows: no mark may hide another.
_LANE = 0.22


@dataclass(frozen=True)
class Format:
    """How wide a figure is and how large its letters are."""

    inches: float
    points: float

    @property
    def letters(self) -> int:
        """How many letters fit beside one another."""
        return int(72 * self.inches / (0.58 * self.points))

    def fit(self, name: str) -> str:
        """The name, shortened where it leaves no room for a value beside it."""
        room = self.letters - 14
        return name if len(name) <= room else f"{name[: room - 1]}…"

    def legend_columns(self, labels: Sequence[str]) -> int:
        """How many columns of these labels fit, with their marks."""
        return max(1, min(len(labels), self.letters // (max(map(len, labels), default=0) + 6)))


WIDE = Format(9.2, 11.0)
NARROW = Format(3.9, 9.0)


def energy_figure(report: EnergyReport, form: Format) -> str:
    """Dynamic energy of every network with its range, grouped by chip, and the total where static power is known."""
    groups = _by_chip(report.networks)
    with _style(form):
        figure, axes = _rows_figure(form, len(report.networks) + _HEADING * len(groups))
        row = 0.0
        for chip, members in groups.items():
            _label(axes, row, form.fit(f"on {chip}"), weight="bold")
            for place, network in members:
                _energy_row(axes, row + _HEADING, place, network, form)
                row += 1.0
            row += _HEADING
        _energy_axis(axes, report.networks)
        _legend(figure, axes, form)
        return _svg(figure)


def layer_energy_figure(network: NetworkReport, form: Format) -> str:
    """Nominal dynamic energy of each layer, stacked by action."""
    shown = _largest_actions(network)
    with _style(form):
        figure, axes = _rows_figure(form, len(network.layers))
        for place, (action, members) in enumerate(shown.items()):
            _stack(axes, network.layers, shown, place, action, members)
        for row, layer in enumerate(network.layers):
            _label(axes, row, form.fit(layer.name), quantity(layer.energy.nominal, "J"))
        _joule_axis(axes)
        axes.set_xlim(left=0)
        _legend(figure, axes, form)
        return _svg(figure)


def events_figure(report: EnergyReport, form: Format) -> str:
    """Events that each layer of one's own network sends, with those of the layers of the same name elsewhere."""
    own, others = report.own, _distinct_baselines(report)
    pitch = 1.0 + _LANE * len(others)
    rows = {layer.name: row * pitch for row, layer in enumerate(own.layers)}
    with _style(form):
        figure, axes = _rows_figure(form, pitch * len(rows))
        _own_events(axes, rows, own)
        for lane, (place, network) in enumerate(others, start=1):
            below = {name: row + 0.28 + lane * _LANE for name, row in rows.items()}
            _event_marks(axes, below, place, network)
        for layer in own.layers:
            _label(axes, rows[layer.name], form.fit(layer.name), count(layer.events_out))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        axes.set_xlabel("events per inference")
        axes.set_xlim(left=0)
        _legend(figure, axes, form)
        return _svg(figure)


def accuracy_figure(report: EnergyReport, form: Format) -> str | None:
    """Accuracy against dynamic energy, both with their ranges; None where no network has an accuracy."""
    known = [(place, network) for place, network in enumerate(report.networks) if network.accuracy is not None]
    if not known:
        return None
    with _style(form):
        figure = Figure(figsize=(form.inches, 0.35 * form.inches + 2.2), layout="constrained")
        axes = figure.add_subplot()
        for place, network in known:
            _accuracy_point(axes, place, network)
        _energy_axis(axes, [network for _, network in known])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
        axes.set_ylabel("accuracy")
        axes.grid(color=_FAINT, linewidth=0.6)
        _legend(figure, axes, form)
        return _svg(figure)


def confidence(accuracy: float, samples: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share that was observed in so many samples (Wilson, JASA 22, 1927)."""
    z = 1.959964
    centre = (accuracy + z * z / (2 * samples)) / (1 + z * z / samples)
    spread = z * math.sqrt(accuracy * (1 - accuracy) / samples + (z / (2 * samples)) ** 2) / (1 + z * z / samples)
    return centre - spread, centre + spread


def _style(form: Format) -> Any:
    return matplotlib.rc_context(
        {
            "svg.hashsalt": "snn2chip",
            "svg.fonttype": "path",
            "font.family": "DejaVu Sans",
            "font.size": form.points,
            "text.parse_math": False,
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "axes.edgecolor": "#888888",
            "axes.axisbelow": True,
        }
    )


def _rows_figure(form: Format, rows: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(form.inches, _ROW_INCHES * rows + 1.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_ylim(rows - 0.3, -0.5)
    axes.yaxis.set_visible(False)
    axes.spines[["left", "top", "right"]].set_visible(False)
    return figure, axes


def _label(axes: Axes, row: float, left: str, right: str = "", weight: str = "normal") -> None:
    backing = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}  # no grid line may cross the words
    for x, text, side in ((0.0, left, "left"), (1.0, right, "right")):
        axes.text(
            x, row - 0.12, text, transform=axes.get_yaxis_transform(), ha=side, va="center", weight=weight, bbox=backing
        )


def _by_chip(networks: Iterable[NetworkReport]) -> dict[str, list[tuple[int, NetworkReport]]]:
    groups: dict[str, list[tuple[int, NetworkReport]]] = {}
    for place, network in enumerate(networks):
        groups.setdefault(network.chip.name, []).append((place, network))
    return groups


def _energy_row(axes: Axes, row: float, place: int, network: NetworkReport, form: Format) -> None:
    energy = network.energy
    colour, weight = (_COLOURS[0], "bold") if place == 0 else (_INK, "normal")
    _label(axes, row, form.fit(network.label), quantity(energy.dynamic.nominal, "J"), weight)
    y = row + 0.3
    first = "dynamic energy: nominal, low to high" if place == 0 else None
    axes.plot([energy.dynamic.low, energy.dynamic.high], [y, y], color=colour, linewidth=2.5, solid_capstyle="butt")
    axes.plot(energy.dynamic.nominal, y, "o", color=colour, markersize=8, label=first)
    if energy.static is None:
        return
    named = "with static power" not in axes.get_legend_handles_labels()[1]
    axes.plot(
        energy.total.nominal,
        y,
        "D",
        color=colour,
        markerfacecolor="white",
        markersize=7,
        label="with static power" if named else None,
    )


def _energy_axis(axes: Axes, networks: Sequence[NetworkReport]) -> None:
    _joule_axis(axes)
    lows = [network.energy.dynamic.low for network in networks]
    highs = [network.energy.dynamic.high for network in networks]
    highs += [network.energy.total.nominal for network in networks]
    if min(lows) > 0 and max(highs) / min(lows) > _DECADES_NEED_LOG:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_joules))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        axes.set_xlim(min(lows) / 1.3, max(highs) * 1.3)
    else:
        axes.set_xlim(0, max(highs) * 1.05 or 1.0)
    axes.grid(axis="x", color=_FAINT, linewidth=0.6)


def _joule_axis(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(_joules))
    axes.set_xlabel("energy per inference")


def _joules(value: float, _: Any) -> str:
    """Axis ticks are round: ``1.50 µJ`` reads better as ``1.5 µJ``."""
    number, _, unit = quantity(value, "J").partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def _largest_actions(network: NetworkReport) -> dict[str, tuple[str, ...]]:
    """Names for the legend and the actions behind them: the largest alone, the small together, the free left out."""
    costly = sorted(
        (row for row in network.totals.actions if row.energy.nominal > 0),
        key=lambda row: (-row.energy.nominal, row.action),
    )
    names = [row.action for row in costly]
    shown: dict[str, tuple[str, ...]] = {name: (name,) for name in names[:_ACTIONS_SHOWN]}
    rest = tuple(names[_ACTIONS_SHOWN:])
    return {**shown, f"{len(rest)} smaller ones": rest} if rest else shown


def _action_energy(layer: LayerRow, actions: Iterable[str]) -> float:
    wanted = set(actions)
    return sum(row.energy.nominal for row in layer.actions if row.action in wanted)


def _stack(
    axes: Axes,
    layers: Sequence[LayerRow],
    shown: dict[str, tuple[str, ...]],
    place: int,
    action: str,
    members: tuple[str, ...],
) -> None:
    before = [name for names in list(shown.values())[:place] for name in names]
    axes.barh(
        [row + 0.3 for row in range(len(layers))],
        [_action_energy(layer, members) for layer in layers],
        0.34,
        left=[_action_energy(layer, before) for layer in layers],
        color=_COLOURS[place],
        edgecolor="white",
        linewidth=0.6,
        label=action.replace("_", " "),
    )


def _distinct_baselines(report: EnergyReport) -> list[tuple[int, NetworkReport]]:
    """Baselines with their places; one network on two chips sends the same events and is drawn once."""
    found: dict[tuple[str, str], tuple[int, NetworkReport]] = {}
    for place, network in enumerate(report.baselines, start=1):
        found.setdefault((network.graph_digest, network.form), (place, network))
    return list(found.values())


def _own_events(axes: Axes, rows: dict[str, float], own: NetworkReport) -> None:
    places = [row + 0.25 for row in rows.values()]
    events, spikes = [layer.events_out for layer in own.layers], [layer.spikes_out for layer in own.layers]
    axes.barh(places, events, 0.3, color=_COLOURS[0], label=f"{own.label}: events")
    named = f"{own.label}: spike values"
    axes.plot(spikes, places, "|", color=_INK, markersize=11, markeredgewidth=2, label=named)


def _event_marks(axes: Axes, rows: dict[str, float], place: int, network: NetworkReport) -> None:
    """A thin line from zero to a mark for each layer of that name, at the heights `rows`."""
    shared = [layer for layer in network.layers if layer.name in rows]
    if not shared:
        return
    colour, heights = _COLOURS[place % len(_COLOURS)], [rows[layer.name] for layer in shared]
    events = [layer.events_out for layer in shared]
    axes.hlines(heights, 0.0, events, color=colour, linewidth=1.2)
    axes.plot(
        events,
        heights,
        _MARKERS[place % len(_MARKERS)],
        color=colour,
        markeredgecolor="white",
        markeredgewidth=0.5,
        markersize=6.5,
        clip_on=False,
        label=f"{network.label}: events",
    )


def _accuracy_point(axes: Axes, place: int, network: NetworkReport) -> None:
    dynamic, accuracy = network.energy.dynamic, network.accuracy
    assert accuracy is not None
    colour = _COLOURS[place % len(_COLOURS)]
    axes.plot([dynamic.low, dynamic.high], [accuracy, accuracy], color=colour, linewidth=1.2, alpha=0.7)
    axes.plot([dynamic.nominal] * 2, confidence(accuracy, network.samples), color=colour, linewidth=1.2, alpha=0.7)
    axes.plot(
        dynamic.nominal,
        accuracy,
        _MARKERS[place % len(_MARKERS)],
        color=colour,
        markeredgecolor="white",
        markersize=10,
        linestyle="none",
        label=named(network.label, network.chip.name),
        zorder=3,
    )


def _legend(figure: Figure, axes: Axes, form: Format) -> None:
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: not isinstance(handles[place], BarContainer))
    labels = [form.fit(labels[place]) for place in order]
    figure.legend(
        [handles[place] for place in order],
        labels,
        loc="outside lower left",
        frameon=False,
        ncols=form.legend_columns(labels),
        fontsize=0.92 * form.points,
        handletextpad=0.5,
    )


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()
