"""What the figures share: sizes, colours, axes, and the same bytes for the same data.

Row labels stand above their marks and values at the right edge, so that no line can cross a word. Colours are those of
Okabe and Ito (2008), which colour-blind people can tell apart; shapes differ as well.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from snn2chip.report.units import quantity

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, FAINT = "#222222", "#d9d9d9"
_ROW_INCHES = 0.46


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


def confidence(accuracy: float, samples: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share that was observed in so many samples (Wilson, JASA 22, 1927)."""
    z = 1.959964
    centre = (accuracy + z * z / (2 * samples)) / (1 + z * z / samples)
    spread = z * math.sqrt(accuracy * (1 - accuracy) / samples + (z / (2 * samples)) ** 2) / (1 + z * z / samples)
    return centre - spread, centre + spread


def style(form: Format) -> Any:
    """The settings to draw within."""
    return matplotlib.rc_context(
        {
            "svg.hashsalt": "snn2chip",
            "svg.fonttype": "path",
            "font.family": "DejaVu Sans",
            "font.size": form.points,
            "text.parse_math": False,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.edgecolor": "#888888",
            "axes.axisbelow": True,
        }
    )


def rows_figure(form: Format, rows: float) -> tuple[Figure, Axes]:
    """A figure with room for so many rows of a label above a mark."""
    figure = Figure(figsize=(form.inches, _ROW_INCHES * rows + 1.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_ylim(rows - 0.3, -0.5)
    axes.yaxis.set_visible(False)
    axes.spines[["left", "top", "right"]].set_visible(False)
    return figure, axes


def row_label(axes: Axes, row: float, left: str, right: str = "", weight: str = "normal") -> None:
    """The words of one row: a name at the left, a value at the right."""
    backing = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}  # no grid line may cross the words
    for x, text, side in ((0.0, left, "left"), (1.0, right, "right")):
        axes.text(
            x, row - 0.12, text, transform=axes.get_yaxis_transform(), ha=side, va="center", weight=weight, bbox=backing
        )


def joule_axis(axes: Axes) -> None:
    """Energies along the level axis."""
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(joules))
    axes.set_xlabel("energy per inference")


def joules(value: float, _: Any) -> str:
    """Axis ticks are round: ``1.50 µJ`` reads better as ``1.5 µJ``."""
    number, _, unit = quantity(value, "J").partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def legend(figure: Figure, axes: Axes, form: Format) -> None:
    """The legend beneath the axes, bars first."""
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


def svg(figure: Figure) -> str:
    """The figure as text: no date, no random names."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()
