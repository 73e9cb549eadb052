"""What the busiest cores did when, in the first inference that detailed timing followed, as a figure."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from snn2chip.hw_models.detailed.results import DetailedTiming, TimelineRow
from snn2chip.report.drawing import COLOURS, FAINT, Format, legend, row_label, rows_figure, style, svg
from snn2chip.report.units import count, percent

#: Rows, and bars of all rows together: more could not be told apart, and would make the page large.
_MOST_CORES, _MOST_BARS = 16, 2000
#: What a core does in a step, in this order, with the colour of each.
_PHASES = {"taking in": COLOURS[0], "starved": "#bbbbbb", "updating": COLOURS[1], "sending": COLOURS[2]}


def timeline_figure(timing: DetailedTiming, form: Format) -> str:
    """A row for each core shown, with its work in every step; level lines part the steps."""
    cores, steps = shown(timing)
    layers = {row.core: row.layer for row in timing.cores}
    starts = step_starts(timing)
    with style(form):
        figure, axes = rows_figure(form, len(cores))
        axes.vlines(starts[: steps + 1], -0.5, len(cores), color=FAINT, linewidth=0.8)
        for place, core in enumerate(cores):
            rows = [row for row in timing.timeline if row.core == core and row.step < steps]
            busy = sum(sum(_phases(row)) - row.starved for row in rows) / (starts[steps] or 1.0)
            row_label(axes, place, form.fit(f"core {core}, {layers[core]}"), f"{percent(busy, 0)} busy")
            _draw(axes, place, rows, starts, labelled=place == 0)
        axes.set_xlim(0, starts[steps])
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        axes.set_xlabel("cycles from the start of the inference")
        legend(figure, axes, form)
        return svg(figure)


def shown(timing: DetailedTiming) -> tuple[list[int], int]:
    """The cores that worked longest, in the order of the network, and how many steps of them are drawn."""
    busiest = sorted(timing.cores, key=lambda row: (-(row.taking_in + row.updating + row.sending), row.core))
    cores = sorted(row.core for row in busiest[:_MOST_CORES])
    every = len(_PHASES) * max(1, len(cores))
    return cores, min(len(timing.step_cycles), max(1, _MOST_BARS // every))


def step_starts(timing: DetailedTiming) -> list[float]:
    """When each step begins: with the slowest core and the barrier the one before it is over."""
    steps = len(timing.step_cycles)
    slowest = [0.0] * steps
    for row in timing.timeline:
        slowest[row.step] = max(slowest[row.step], sum(_phases(row)))
    starts = [0.0]
    for work in slowest:
        starts.append(starts[-1] + work + timing.barrier_cycles / steps)
    return starts


def _phases(row: TimelineRow) -> tuple[float, float, float, float]:
    return row.taking_in, row.starved, row.updating, row.sending


def _draw(axes: Axes, place: int, rows: Sequence[TimelineRow], starts: Sequence[float], labelled: bool) -> None:
    for phase, (name, colour) in enumerate(_PHASES.items()):
        # A bar without a length is invisible: one of them carries the name of what no row does.
        bars = [row for row in rows if _phases(row)[phase] > 0] or rows[:1]
        before = [starts[row.step] + sum(_phases(row)[:phase]) for row in bars]
        lengths = [_phases(row)[phase] for row in bars]
        axes.barh([place + 0.3] * len(bars), lengths, 0.34, left=before, color=colour, label=name if labelled else None)
