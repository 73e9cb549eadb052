"""What a paper takes from a report: a CSV with plain numbers, LaTeX tables with a methods paragraph, and BibTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from snn2chip.hw_models.results import NetworkReport, Range
from snn2chip.report import side_by_side, tables
from snn2chip.report.citations import bibtex, cited, said_in_words
from snn2chip.report.energy_report import EnergyReport, energy_delay
from snn2chip.report.headline import cautions
from snn2chip.report.latex import escaped, table
from snn2chip.report.summaries import accesses, one_per_chip, price_kinds

#: Columns of the CSV; times in seconds, energies in joules, unknown values empty.
COLUMNS = (
    *("network", "origin", "history", "form", "chip", "T", "N", "samples", "accuracy"),
    *("latency_s", "interval_s", "dynamic_low_J", "dynamic_J", "dynamic_high_J", "static_J"),
    *("total_low_J", "total_J", "total_high_J", "energy_delay_Js"),
    *("events", "spike_values", "synaptic_operations", "memory_accesses", "footprint_bits"),
    *("ratio_low", "ratio", "ratio_high", "same_chip", "graph_sha256", "chip_sha256"),
)


def csv_text(report: EnergyReport) -> str:
    """A row per network under `COLUMNS`; `ratio` is its dynamic energy / that of the first. Numbers are not rounded."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(report, place) for place in range(len(report.networks)))
    return stream.getvalue()


def _row(report: EnergyReport, place: int) -> tuple[object, ...]:
    item = report.networks[place]
    about = report.about[place] if report.about else None
    comparison = report.comparisons[place - 1] if place else None
    ratio = Range(1.0, 1.0, 1.0) if comparison is None else comparison.dynamic
    energy, product = item.energy, energy_delay(item)
    return (
        *(item.label, about.origin if about else None, about.history if about else None, item.form, item.chip.name),
        *(item.steps, item.levels, item.samples, item.accuracy, item.latency.seconds, item.latency.interval_seconds),
        *(*_ends(energy.dynamic), energy.static.nominal if energy.static else None, *_ends(energy.total)),
        *(product.nominal if product else None, item.totals.events_out, item.totals.spikes_out),
        *(item.totals.synaptic_operations, accesses(item.totals), about.footprint.total if about else None),
        *(*_ends(ratio), comparison is None or comparison.same_chip, item.graph_digest, item.chip.digest),
    )


def _ends(value: Range | None) -> tuple[float | None, ...]:
    return (value.low, value.nominal, value.high) if value else (None, None, None)


def latex_text(report: EnergyReport, bibliography: str) -> str:
    """Tables and a methods paragraph to \\input into a paper; `bibliography` is the name of the BibTeX file."""
    sheets = (
        ("networks", tables.networks(report)),
        ("costs", side_by_side.costs(report)),
        ("energy", tables.energy(report)),
        ("uncertainty", side_by_side.uncertainty(report)),
        ("break-even", side_by_side.break_even(report)),
        ("membrane", side_by_side.membrane(report)),
    )
    parts = [
        f"% Written by snn2chip {report.tool_version}: \\usepackage{{booktabs}}, and cite from {bibliography}.",
        *(table(sheet, f"tab:snn2chip-{name}") for name, sheet in sheets if sheet.rows),
        "\\paragraph{Energy model.}",
        *methods(report),
    ]
    return "\n".join(parts) + "\n"


def bibtex_text(report: EnergyReport) -> str:
    """An entry for snn2chip and for every source of the chips that is a publication."""
    return bibtex(report)


def methods(report: EnergyReport) -> Iterator[str]:
    """The paragraph, a sentence a line, as LaTeX."""
    yield (
        f"All networks were compiled to integers and executed on {_samples(report)} with snn2chip "
        f"{escaped(report.tool_version)}~\\cite{{snn2chip}}, which counts every non-zero value that a layer sends (an "
        "event) and every synapse that it reaches, zero weights included."
    )
    for network in one_per_chip(report):
        yield from _chip(report, network)
    yield from _trained(report)
    yield (
        "Ranges are those of the prices: all low to all high for an energy; for a ratio, every uncertain number is set "
        "to its low end, nominal or high in both networks alike. They hold neither errors of the model nor the spread "
        "between training runs."
    )
    yield from (escaped(sentence) for sentence in cautions(report))


def _samples(report: EnergyReport) -> str:
    counts = sorted({network.samples for network in report.networks})
    return f"{' or '.join(map(str, counts))} samples"


def _chip(report: EnergyReport, network: NetworkReport) -> Iterator[str]:
    chip = network.chip
    keys, words = cited(report, chip), said_in_words(report, chip)
    yield (
        f"The chip model {escaped(price_kinds(network)[:-1])}"
        + (f"~\\cite{{{','.join(keys)}}}" if keys else "")
        + (f"; further numbers rest on: {'; '.join(map(escaped, words))}" if words else "")
        + "."
    )
    if chip.scenario:
        yield f"Its scenario: {escaped(re.sub(r'[.]$', '', chip.scenario))}."
    if network.energy.static is not None:
        yield f"Static energy on {escaped(chip.name)} is static power over the latency of an inference alone."


def _trained(report: EnergyReport) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for network, about in zip(report.networks, report.about, strict=False):
        said = f"{about.origin} ({about.history})" if about.history else about.origin
        groups.setdefault(said, []).append(network.label)
    for said, labels in groups.items():
        training = "of unknown training" if said == "unknown" else said
        yield escaped(f"{training[0].upper()}{training[1:]}: {', '.join(labels)}.")
