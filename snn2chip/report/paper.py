"""What a paper takes from a report: a CSV with plain numbers, LaTeX tables with a methods paragraph, and BibTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snn2chip.hw_models.results import NetworkReport, Range
from snn2chip.report import side_by_side, tables
from snn2chip.report.citations import OWN, as_key, bibtex, cited, said_in_words
from snn2chip.report.energy_report import EnergyReport, energy_delay
from snn2chip.report.headline import cautions
from snn2chip.report.latex import escaped, foreign, prose, table
from snn2chip.report.summaries import accesses, kinds, notes_of, one_per_chip

#: Columns of the CSV; times in seconds, energies in joules, unknown values empty.
COLUMNS = (
    *("network", "origin", "history", "form", "chip", "T", "N", "samples", "accuracy"),
    *("latency_low_s", "latency_s", "latency_high_s", "interval_low_s", "interval_s", "interval_high_s"),
    *("dynamic_low_J", "dynamic_J", "dynamic_high_J"),
    *("static_low_J", "static_J", "static_high_J", "total_low_J", "total_J", "total_high_J"),
    *("energy_delay_low_Js", "energy_delay_Js", "energy_delay_high_Js"),
    *("events", "spike_values", "synaptic_operations", "memory_accesses", "footprint_bits"),
    *("ratio_low", "ratio", "ratio_high", "same_chip", "graph_sha256", "chip_sha256"),
)
#: A spreadsheet takes text that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t")


def csv_text(report: EnergyReport) -> str:
    """A row per network under `COLUMNS`; `ratio` is its dynamic energy / that of the first. Numbers are not rounded.

    A name that a spreadsheet would take for a formula has an apostrophe before it.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(_plain, _row(report, place)) for place in range(len(report.networks)))
    return stream.getvalue()


def _plain(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    line = re.sub(r"[\r\n]+", " ", cell)
    return f"'{line}" if line.lstrip(" ").startswith(_FORMULA) else line


def _row(report: EnergyReport, place: int) -> tuple[object, ...]:
    item = report.networks[place]
    about = report.about[place] if report.about else None
    comparison = report.comparisons[place - 1] if place else None
    ratio = Range(1.0, 1.0, 1.0) if comparison is None else comparison.dynamic
    return (
        *(item.label, about.origin if about else None, about.history if about else None, item.form, item.chip.name),
        *(item.steps, item.levels, item.samples, item.accuracy),
        *(*_ends(item.latency.seconds_range), *_ends(item.latency.interval_range)),
        *(*_ends(item.energy.dynamic), *_ends(item.energy.static), *_ends(item.energy.total)),
        *(*_ends(energy_delay(item)), item.totals.events_out, item.totals.spikes_out),
        *(item.totals.synaptic_operations, accesses(item.totals), about.footprint.total if about else None),
        *(*_ends(ratio), comparison is None or comparison.same_chip, item.graph_digest, item.chip.digest),
    )


def _ends(value: Range | None) -> tuple[float | None, ...]:
    return (value.low, value.nominal, value.high) if value else (None, None, None)


def latex_text(report: EnergyReport, bibliography: str) -> str:
    """Tables and a methods paragraph to \\input into a paper; `bibliography` is the name of the BibTeX file.

    Labels of tables begin with that name, so that several reports can stand in one paper.
    """
    sheets = (
        ("networks", tables.networks(report)),
        ("costs", side_by_side.costs(report)),
        ("energy", tables.energy(report)),
        ("uncertainty", side_by_side.uncertainty(report)),
        ("break-even", side_by_side.break_even(report)),
        ("membrane", side_by_side.membrane(report)),
    )
    parts = [
        *(table(sheet, f"tab:{as_key(Path(bibliography).stem)}-{name}") for name, sheet in sheets if sheet.rows),
        "\\paragraph{Energy model.}",
        *methods(report),
    ]
    body = "\n".join(parts)
    return "\n".join([*_head(report, bibliography, body), body, *_remarks(report)]) + "\n"


def _head(report: EnergyReport, bibliography: str, body: str) -> Iterator[str]:
    fonts = "" if body.isascii() else ", \\usepackage[T1]{fontenc}"
    needs = f"\\usepackage{{booktabs,graphicx}}{fonts}"
    yield f"% Written by snn2chip {report.tool_version}: {needs}, and cite from {bibliography}."
    if letters := foreign(body):
        yield f"% For XeLaTeX or LuaLaTeX with a font that has these letters, which pdfLaTeX does not know: {letters}"


def _remarks(report: EnergyReport) -> Iterator[str]:
    """As comments, for the author to choose from."""
    yield "% Notes of the report, of which the paragraph may need some:"
    yield from (f"% {' '.join(note.split())}" for note in notes_of(report))


def bibtex_text(report: EnergyReport) -> str:
    """An entry for snn2chip and for every source of the chips that is a publication."""
    return bibtex(report)


def methods(report: EnergyReport) -> Iterator[str]:
    """The paragraph, a sentence a line, as LaTeX."""
    yield (
        f"All networks were compiled to integers and executed on {_samples(report)} with snn2chip "
        f"{escaped(report.tool_version)}~\\cite{{{OWN}}}; all figures are means per inference. "
        "An event is a value other than zero that the input or a layer sends in one time step."
    )
    yield from _rewritten(report)
    for network in one_per_chip(report):
        yield from _chip(report, network)
    yield from _trained(report)
    yield (
        "Ranges are those of the numbers in the chip files: all low to all high for an energy; for a ratio, every "
        "uncertain number may lie anywhere in its range, in both networks alike. They hold neither errors of the model "
        "nor the spread between training runs."
    )
    yield from (prose(sentence) for sentence in cautions(report))


def _samples(report: EnergyReport) -> str:
    counts = sorted({network.samples for network in report.networks})
    return f"{' or '.join(map(str, counts))} {'sample' if counts == [1] else 'samples'}"


def _rewritten(report: EnergyReport) -> Iterator[str]:
    chips = dict.fromkeys(network.chip.name for network in report.networks if network.form == "unary")
    if chips:
        yield prose(
            f"Spikes carry no values on {' and '.join(chips)}: each neuron of N levels was rewritten there into N "
            "binary neurons, the logits staying the same, and events and energies are those of the rewritten network."
        )


#: How each model arrives at costs.
_MODELS = {
    "neurocore": "counts what every core does, visited neurons and messages included, and multiplies with prices",
    "formula": "prices arithmetic and, by its size, each access to one memory per tensor, without routing or control",
    "array": "prices the products, accesses and cycles of a weight-stationary array that runs layer by layer",
}


def _chip(report: EnergyReport, network: NetworkReport) -> Iterator[str]:
    chip = network.chip
    keys, words = cited(report, chip), said_in_words(report, chip)
    named = ([f"\\cite{{{','.join(keys)}}}"] if keys else []) + (
        [f"in words {'; '.join(map(_quoted, words))}"] if words else []
    )
    yield (
        f"The model of {escaped(f'{chip.name} ({chip.title})')} {_MODELS[chip.model]}; its file (sha256 "
        f"{chip.digest[:12]}) holds the numbers, by kind: {escaped(kinds(network))}"
        + (f", and names as sources~{' and, '.join(named)}" if named else "")
        + "."
    )
    if chip.scenario:
        yield prose(f"Its scenario: {re.sub(r'[.]$', '', chip.scenario)}.")
    yield from _timing(report, network)
    if network.energy.static is not None:
        yield prose(
            f"Static energy on {chip.name} is the static power of whole chips over the latency of one inference."
        )


def _quoted(text: str) -> str:
    return f"``{escaped(text)}''"


def _timing(report: EnergyReport, network: NetworkReport) -> Iterator[str]:
    """How the networks on a chip with cores are placed and timed."""
    there = [item for item in report.networks if item.chip.digest == network.chip.digest and item.placement]
    if not there:
        return
    name = network.chip.name
    yield prose(f"Cores in use on {name}: {', '.join(f'{item.label}: {_cores(item.placement)}' for item in there)}.")
    if any(item.detailed for item in there):
        yield prose(f"Times on {name} follow every message through links, buffers and cores.")
        return
    yield prose(
        f"Times on {name} are a lower bound: in each step the work of the busiest core, without the way of messages "
        "through the mesh."
    )


def _cores(placement: Mapping[str, Any] | None) -> str:
    found = placement or {}
    several = f" on {found['chips']} chips" if found.get("chips", 1) > 1 else ""
    beyond = {entry["limit"] for entry in found.get("broken", ())} - {"cores"}
    return f"{found['cores']}{several}{', if their limits were wider' if beyond else ''}"


def _trained(report: EnergyReport) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for network, about in zip(report.networks, report.about, strict=False):
        said = f"{about.origin} ({about.history})" if about.history else about.origin
        groups.setdefault(said, []).append(network.label)
    for said, labels in groups.items():
        training = "of unknown training" if said == "unknown" else said
        yield prose(f"{training[0].upper()}{training[1:]}: {', '.join(labels)}.")
