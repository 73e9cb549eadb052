"""The report as plain text with tables, for a terminal of any width from 80 columns on and for a pipe."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from snn2chip.report import side_by_side, tables
from snn2chip.report.breakdown import where_it_goes
from snn2chip.report.core_table import costliest
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.headline import cautions, findings, headline
from snn2chip.report.stalls import detailed
from snn2chip.report.summaries import notes_of, one_per_chip, price_kinds
from snn2chip.report.tables import Sheet

#: From this width on there is room for the operations beside the names of the layers.
_WIDE = 100
#: Blank columns between two columns of a table.
_GAP = 2


def text(report: EnergyReport, width: int | None = None) -> str:
    """The whole report: headline, networks, layers of one's own network, notes and price sources.

    `width` is in columns; by default as wide as the terminal, and 120 columns in a pipe.
    """
    columns = width or shutil.get_terminal_size(fallback=(120, 24)).columns
    stream = io.StringIO()
    _show(report, Console(file=stream, width=columns, color_system=None, highlight=False, markup=False, emoji=False))
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def _show(report: EnergyReport, console: Console) -> None:
    console.print(headline(report))
    for sheet in _sheets(report, console.width):
        _print(console, sheet)
    _list(console, "Findings", findings(report))
    _list(console, "Before you conclude", cautions(report))
    _list(console, "Notes", notes_of(report))
    _list(console, "Numbers that the energies rest on", map(price_kinds, one_per_chip(report)))


def _sheets(report: EnergyReport, width: int) -> Iterator[Sheet]:
    yield tables.networks(report)
    yield from _fitting(side_by_side.costs(report), width)
    yield from _fitting(tables.activity(report), width)
    yield tables.energy(report)
    yield from _fitting(where_it_goes(report), width)
    others = (side_by_side.uncertainty, side_by_side.break_even, side_by_side.membrane)
    for sheet in side_by_side.filled(table(report) for table in others):
        yield from _fitting(sheet, width)
    yield from _fitting(tables.layers(report.own, named=width >= _WIDE), width)
    yield from _fitting(tables.memories(report.own), width)
    cores = costliest(report.own)
    more = (tables.memory_energy(report.own), *([cores] if cores else []), *detailed(report.own))
    for sheet in side_by_side.filled(more):
        yield from _fitting(sheet, width)


def _fitting(sheet: Sheet, width: int) -> list[Sheet]:
    """The sheet in parts, one beneath the other, of which no cell is cut or folded."""
    return sheet.parts(lambda part: _width(part) <= width)


def _width(sheet: Sheet) -> int:
    """Columns of the terminal that the sheet takes."""
    headings = [_folded(name).split("\n") for name in (*sheet.names, *sheet.numbers)]
    cells = [[*heading, *(row[column] for row in sheet.rows)] for column, heading in enumerate(headings)]
    return sum(max(map(len, column)) + _GAP for column in cells) - 1


def _print(console: Console, sheet: Sheet) -> None:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in sheet.names:
        table.add_column(name, overflow="fold", vertical="bottom")
    for name in sheet.numbers:
        # A ratio with its range is the one number that may go over two lines.
        table.add_column(_folded(name), justify="right", no_wrap="relative" not in name, vertical="bottom")
    for row in sheet.rows:
        if sheet.totals and row is sheet.rows[-1]:
            table.add_section()
        table.add_row(*row)
    _title(console, sheet.title)
    console.print(table)
    if sheet.footnote:
        console.print(sheet.footnote)


def _folded(heading: str) -> str:
    """Two-line headings keep number columns narrow."""
    return heading.replace(" ", "\n", 1)


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(title)


def _list(console: Console, title: str, sentences: Iterable[str]) -> None:
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row("-", sentence)
    if not grid.row_count:
        return
    _title(console, title)
    console.print(grid)
