"""The tornado: which uncertain number moves a figure most. The same report gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.ticker import FuncFormatter, MaxNLocator

from snn2chip.report.drawing import COLOURS, FAINT, INK, Format, legend, row_label, rows_figure, style, svg
from snn2chip.report.prices import Swing

#: At most so many numbers are drawn, and none that moves the figure by less than this share of what the first moves.
_SHOWN, _VISIBLE = 8, 0.01


def visible(swings: Sequence[Swing]) -> Sequence[Swing]:
    """Those that a bar can show; `swings` begin with the widest."""
    return [item for item in swings[:_SHOWN] if item.span >= _VISIBLE * swings[0].span]


def tornado_figure(
    swings: Sequence[Swing], nominal: float, shown: Callable[[float], str], axis: str, form: Format
) -> str:
    """A bar for each number from the figure at its low end to that at its high end, the widest first.

    Args:
        swings: the widest first; only those that are `visible` are drawn.
        nominal: the figure with all numbers nominal.
        shown: how the figure is written.
        axis: what it is.
    """
    drawn = visible(swings)
    with style(form):
        figure, axes = rows_figure(form, len(drawn))
        for row, swing in enumerate(drawn):
            ends = f"{shown(min(swing.low, swing.high))} to {shown(max(swing.low, swing.high))}"
            row_label(axes, row, _fitted(swing.number, form, len(ends)), ends)
            for value, colour, label in ((swing.low, COLOURS[0], "low"), (swing.high, COLOURS[1], "high")):
                named = f"the number at its {label} end" if row == 0 else None
                axes.barh(row + 0.3, value - nominal, 0.34, left=nominal, color=colour, label=named)
        for row in range(len(drawn)):  # beside the bars only, for on a phone the words above them reach across it
            axes.vlines(nominal, row + 0.06, row + 0.54, color=INK, linewidth=1.0)
        axes.xaxis.set_major_locator(MaxNLocator(4 if form.inches < 5 else 6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
        axes.margins(x=0.08)
        axes.set_xlabel(axis)
        legend(figure, axes, form)
        return svg(figure)


def _fitted(number: str, form: Format, taken: int) -> str:
    """The number's name without its section, as far as there is room beside its ends."""
    name = number.partition(".")[2].replace("_", " ") if number.startswith("prices.") else number
    room = max(6, form.letters - taken - 2)
    return name if len(name) <= room else f"{name[: room - 1]}…"
