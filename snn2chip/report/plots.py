"""The figures of the page as SVG text: the same report gives the same bytes.

Every figure can be drawn for a wide page and for a narrow one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from snn2chip.hw_models.results import LayerRow, NetworkReport, Range
from snn2chip.report.drawing import (
    COLOURS,
    FAINT,
    INK,
    MARKERS,
    Format,
    confidence,
    joule_axis,
    joules,
    legend,
    row_label,
    rows_figure,
    style,
    svg,
)
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.summaries import named
from snn2chip.report.units import count, percent, quantity

#: Energies further apart than this are drawn on a logarithmic axis.
_DECADES_NEED_LOG = 30.0
#: Actions beyond these are drawn as one: more colours could not be told apart.
_ACTIONS_SHOWN = 7
#: Height of a line without a mark beneath it, in rows.
_HEADING = 0.7
#: Height of the line of one baseline beneath the bar of a layer, in rows: no mark may hide another.
_LANE = 0.22


def energy_figure(report: EnergyReport, form: Format) -> str:
    """Dynamic energy of every network with its range, grouped by chip, and the total where static power is known."""
    groups = _by_chip(report.networks)
    with style(form):
        figure, axes = rows_figure(form, len(report.networks) + _HEADING * len(groups))
        row = 0.0
        for chip, members in groups.items():
            row_label(axes, row, form.fit(f"on {chip}"), weight="bold")
            for place, network in members:
                _energy_row(axes, row + _HEADING, place, network, form)
                row += 1.0
            row += _HEADING
        energies = [network.energy for network in report.networks]
        _energy_axis(axes, [energy.dynamic for energy in energies], [energy.total.nominal for energy in energies])
        legend(figure, axes, form)
        return svg(figure)


def layer_energy_figure(network: NetworkReport, form: Format) -> str:
    """Nominal dynamic energy of each layer, stacked by action."""
    shown = _largest_actions(network)
    with style(form):
        figure, axes = rows_figure(form, len(network.layers))
        for place, (action, members) in enumerate(shown.items()):
            _stack(axes, network.layers, shown, place, action, members)
        for row, layer in enumerate(network.layers):
            row_label(axes, row, form.fit(layer.name), quantity(layer.energy.nominal, "J"))
        joule_axis(axes)
        axes.set_xlim(left=0)
        legend(figure, axes, form)
        return svg(figure)


def events_figure(report: EnergyReport, form: Format) -> str:
    """Events that each layer of one's own network sends, with those of the layers of the same name elsewhere."""
    own, others = report.own, _distinct_baselines(report)
    pitch = 1.0 + _LANE * len(others)
    rows = {layer.name: row * pitch for row, layer in enumerate(own.layers)}
    with style(form):
        figure, axes = rows_figure(form, pitch * len(rows))
        _own_events(axes, rows, own)
        for lane, (place, network) in enumerate(others, start=1):
            below = {name: row + 0.28 + lane * _LANE for name, row in rows.items()}
            _event_marks(axes, below, place, network)
        for layer in own.layers:
            row_label(axes, rows[layer.name], form.fit(layer.name), count(layer.events_out))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        axes.set_xlabel("events per inference")
        axes.set_xlim(left=0)
        legend(figure, axes, form)
        return svg(figure)


def accuracy_figure(report: EnergyReport, form: Format) -> str | None:
    """Accuracy against dynamic energy, both with their ranges; None where no network has an accuracy."""
    known = [(place, network) for place, network in enumerate(report.networks) if network.accuracy is not None]
    if not known:
        return None
    with style(form):
        figure = Figure(figsize=(form.inches, 0.35 * form.inches + 2.2), layout="constrained")
        axes = figure.add_subplot()
        for place, network in known:
            _accuracy_point(axes, place, network)
        _energy_axis(axes, [network.energy.dynamic for _, network in known])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
        axes.set_ylabel("accuracy")
        axes.grid(color=FAINT, linewidth=0.6)
        legend(figure, axes, form)
        return svg(figure)


def _by_chip(networks: Iterable[NetworkReport]) -> dict[str, list[tuple[int, NetworkReport]]]:
    groups: dict[str, list[tuple[int, NetworkReport]]] = {}
    for place, network in enumerate(networks):
        groups.setdefault(network.chip.name, []).append((place, network))
    return groups


def _energy_row(axes: Axes, row: float, place: int, network: NetworkReport, form: Format) -> None:
    energy = network.energy
    colour, weight = (COLOURS[0], "bold") if place == 0 else (INK, "normal")
    row_label(axes, row, form.fit(network.label), quantity(energy.dynamic.nominal, "J"), weight)
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


def _energy_axis(axes: Axes, energies: Sequence[Range], others: Sequence[float] = ()) -> None:
    """An axis as long as the energies, and what else is drawn beside them, need it."""
    joule_axis(axes)
    lows = [energy.low for energy in energies]
    highs = [*(energy.high for energy in energies), *others]
    if min(lows) > 0 and max(highs) / min(lows) > _DECADES_NEED_LOG:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(joules))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        axes.set_xlim(min(lows) / 1.3, max(highs) * 1.3)
    else:
        axes.set_xlim(0, max(highs) * 1.05 or 1.0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)


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
        color=COLOURS[place],
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
    axes.barh(places, events, 0.3, color=COLOURS[0], label=f"{own.label}: events")
    named = f"{own.label}: spike values"
    axes.plot(spikes, places, "|", color=INK, markersize=11, markeredgewidth=2, label=named)


def _event_marks(axes: Axes, rows: dict[str, float], place: int, network: NetworkReport) -> None:
    """A thin line from zero to a mark for each layer of that name, at the heights `rows`."""
    shared = [layer for layer in network.layers if layer.name in rows]
    if not shared:
        return
    colour, heights = COLOURS[place % len(COLOURS)], [rows[layer.name] for layer in shared]
    events = [layer.events_out for layer in shared]
    axes.hlines(heights, 0.0, events, color=colour, linewidth=1.2)
    axes.plot(
        events,
        heights,
        MARKERS[place % len(MARKERS)],
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
    colour = COLOURS[place % len(COLOURS)]
    axes.plot([dynamic.low, dynamic.high], [accuracy, accuracy], color=colour, linewidth=1.2, alpha=0.7)
    axes.plot([dynamic.nominal] * 2, confidence(accuracy, network.samples), color=colour, linewidth=1.2, alpha=0.7)
    axes.plot(
        dynamic.nominal,
        accuracy,
        MARKERS[place % len(MARKERS)],
        color=colour,
        markeredgecolor="white",
        markersize=10,
        linestyle="none",
        label=named(network.label, network.chip.name),
        zorder=3,
    )
