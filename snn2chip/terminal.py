"""What the commands print: tables of plain text, and progress on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snn2chip.api import Exported
    from snn2chip.certify import Certificate


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A function that shows what goes on, as a spinner on standard error; silent where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda line: status.update(line)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces apart."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def certificate_table(certificate: Certificate) -> str:
    """Verdict, forms and inputs; a difference is named down to the neuron."""
    rows = []
    for result in certificate.results:
        detail = result.reason if result.divergence is None else str(result.divergence)
        if result.status == "EXACT":
            detail = f"{result.compared} integers in {len(result.layers)} layers, 0 differ"
        rows.append((result.form, result.executor, result.status, detail))
    inputs = ", ".join(f"{part.count} {part.name}" for part in certificate.inputs)
    lines = [f"certificate: {certificate.verdict} on {inputs}"]
    if not certificate.on_real_inputs:
        lines.append(
            "NO REAL INPUTS: only extreme and random inputs were compared (give some with --calibration X.npz)"
        )
    return "\n".join([*lines, table(("form", "program", "status", "detail"), rows)])


def export_summary(exported: Exported) -> str:
    """What export wrote, certified and placed."""
    fit = exported.fit
    placed = "fits" if fit.get("fits") else f"does NOT fit: {fit.get('reason', 'see fit.json')}"
    return f"{exported.folder}\n{certificate_table(exported.certificate)}\nplacement: {placed}"


def chip_table() -> str:
    """Names, models and titles of the chips that come with snn2chip."""
    from snn2chip.hw_models.chip import available_chips, load_chip

    chips = [load_chip(name) for name in available_chips()]
    return table(("chip", "model", "title"), [(found.name, found.model, found.title) for found in chips])
