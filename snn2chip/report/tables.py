"""The tables of the report as text cells, for the terminal and for the page alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from snn2chip.hw_models.results import ActionRow, LayerRow, NetworkReport, Range
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.summaries import accesses, accesses_by_memory, memories_of, multiplies_all, operations
from snn2chip.report.units import count, factor, factor_range, percent, quantity

ENERGY_COLUMNS = ("low", "nominal", "high")
Row = tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """Cells under headings: first the text columns, then the number columns.

    Attributes:
        footnote: a sentence beneath; empty where there is nothing to say.
        totals: whether the last row is the sum of those above.
    """

    title: str
    names: Row
    numbers: Row
    rows: tuple[Row, ...]
    footnote: str = ""
    totals: bool = False

    def part(self, start: int, stop: int) -> Sheet:
        """The same rows with the text columns and the number columns `start` to `stop` only."""
        texts = len(self.names)
        rows = tuple(row[:texts] + row[texts + start : texts + stop] for row in self.rows)
        return replace(self, numbers=self.numbers[start:stop], rows=rows)

    def parts(self, fits: Callable[[Sheet], bool]) -> list[Sheet]:
        """The sheet in as few even parts as fit, at worst one for each number; the footnote stays with the last."""
        columns = len(self.numbers)
        for size in (math.ceil(columns / parts) for parts in range(1, columns + 1)):
            found = [self.part(start, start + size) for start in range(0, columns, size)]
            if size == 1 or all(map(fits, found)):
                return [*(replace(part, footnote="") for part in found[:-1]), found[-1]]
        return [self]


def networks(report: EnergyReport) -> Sheet:
    """Who takes part: form, chip, time steps, levels, accuracy."""
    rows = tuple(
        (
            item.label,
            item.form,
            item.chip.name,
            str(item.steps),
            str(item.levels),
            percent(item.accuracy),
            str(item.samples),
        )
        for item in report.networks
    )
    return Sheet("Networks", ("network", "form", "chip"), ("T", "N", "accuracy", "samples"), rows)


def activity(report: EnergyReport) -> Sheet:
    """What the hardware does in one inference, and how long it takes."""
    headings = (
        "events",
        "spike values",
        "synaptic operations",
        "memory accesses",
        "cycles",
        "latency",
        "interval cycles",
        "sample interval",
    )
    rows = tuple(
        (
            item.label,
            *_counts(item.totals, item),
            count(accesses(item.totals)),
            count(item.latency.cycles),
            quantity(item.latency.seconds, "s"),
            count(item.latency.interval_cycles),
            quantity(item.latency.interval_seconds, "s"),
        )
        for item in report.networks
    )
    arrays = any(map(multiplies_all, report.networks))
    footnote = f"{_INTERVAL} {_PRODUCTS}" if arrays else _INTERVAL
    return Sheet("What one inference does", ("network",), headings, rows, footnote=footnote)


_INTERVAL = "Latency: one inference alone on the chip. Sample interval: from one inference to the next in a stream."
_PRODUCTS = "† products that the array multiplies, those of zeros included unless it skips them."


def energy(report: EnergyReport) -> Sheet:
    """Energy of one inference, static apart, and the dynamic energy relative to one's own network."""
    across = "" if all(item.same_chip for item in report.comparisons) else _ACROSS
    relations = [factor(1.0), *(_relation(report, place) for place in range(len(report.baselines)))]
    rows = tuple(
        (item.label, *_joules(item.energy.dynamic), _nominal(item.energy.static), _nominal(item.energy.total), relation)
        for item, relation in zip(report.networks, relations, strict=True)
    )
    headings = (*ENERGY_COLUMNS, "static", "total", "relative to the first")
    title = "Energy of one inference (low, nominal, high: dynamic energy)"
    return Sheet(title, ("network",), headings, rows, footnote=across)


_ACROSS = "* on another chip: the ratio compares the chips as well as the networks."


def layers(network: NetworkReport, *, named: bool = True) -> Sheet:
    """Activity, cycles and energy of each layer; `named` says whether to name what each layer computes."""
    rows = tuple(
        (
            row.name,
            *([row.operation] if named else []),
            *_counts(row, network),
            _cycles(row, network),
            *_joules(row.energy),
        )
        for row in (*network.layers, network.totals)
    )
    names = ("layer", "operation") if named else ("layer",)
    headings = ("events", "spike values", "synaptic operations", "cycles", *ENERGY_COLUMNS)
    footnote = _PRODUCTS if multiplies_all(network) else ""
    return Sheet(f"Layers of {network.label}", names, headings, rows, footnote=footnote, totals=True)


def structure(network: NetworkReport) -> Sheet:
    """What is behind the counts of each layer: size, activity, operations in other ways of counting, traffic."""
    headings = (
        "neurons",
        "cores",
        "stage",
        "weights",
        "events in",
        "activity",
        "neuron updates",
        "effective operations",
        "unary operations",
        "payload bits",
        "messages",
        "hops",
    )
    rows = tuple(
        (
            row.name,
            count(row.neurons),
            count(row.cores),
            count(row.depth),
            count(row.weights),
            count(row.events_in),
            f"{row.activity:.3f}",
            count(row.neuron_updates),
            count(row.effective_operations),
            count(row.unary_operations),
            count(row.payload_bits),
            count(row.messages),
            count(row.hops),
        )
        for row in network.layers
    )
    return Sheet(f"Layers of {network.label}: size and traffic", ("layer",), headings, rows, footnote=_STRUCTURE)


_STRUCTURE = (
    "Activity: events per neuron and step. Effective operations: without those that meet a zero weight. "
    "Unary operations: synaptic operations weighted with the value that the event carries."
)


def memories(network: NetworkReport) -> Sheet:
    """Reads / writes of each memory by each layer."""
    found = memories_of(network)
    rows = tuple((row.name, *accesses_by_memory(row, found)) for row in (*network.layers, network.totals))
    headings = tuple(f"{name} {bits}" for name, bits in found.items())
    title = f"Memory accesses of {network.label}: reads / writes in words"
    return Sheet(title, ("layer",), headings, rows, totals=True)


def memory_energy(network: NetworkReport) -> Sheet:
    """Accesses to each memory and their energy; no rows where the chip file prices none of them by itself."""
    priced = any(row.energy is not None for row in network.totals.memories)
    rows = tuple(
        (
            row.memory,
            f"{row.word_bits} bit",
            count(row.reads),
            count(row.writes),
            *(("-",) * len(ENERGY_COLUMNS) if row.energy is None else _joules(row.energy)),
        )
        for row in sorted(network.totals.memories, key=lambda row: (row.memory, row.word_bits))
    )
    title = f"Memories of {network.label}"
    footnote = "Reads and writes in words. -: the accesses are priced within other actions, or not at all."
    headings = ("reads", "writes", *ENERGY_COLUMNS)
    return Sheet(title, ("memory", "word"), headings, rows if priced else (), footnote=footnote)


def actions(network: NetworkReport) -> Sheet:
    """How often each action is performed, and what it costs, the dearest first."""
    dearest = sorted(network.totals.actions, key=lambda row: (-row.energy.nominal, row.action))
    rows = tuple((row.action, _price_remark(row), count(row.count), *_prices(row)) for row in dearest)
    return Sheet(f"Actions of {network.label}", ("action", "price"), ("count", *ENERGY_COLUMNS), rows)


def prices(network: NetworkReport) -> Sheet:
    """Every number of the chip file, with its kind and source."""
    rows = tuple((number.name, number.value, number.kind, number.source) for number in network.chip.numbers)
    return Sheet(f"Numbers of {network.chip.name}", ("number", "value", "kind", "source"), (), rows)


def _counts(row: LayerRow, network: NetworkReport) -> Row:
    mark = "†" if multiplies_all(network) else ""
    return count(row.events_out), count(row.spikes_out), f"{count(operations(row, network))}{mark}"


def _cycles(row: LayerRow, network: NetworkReport) -> str:
    """Layers work at the same time: the cycles of the network are those of its latency and no sum over layers."""
    return count(network.latency.cycles if row is network.totals else row.cycles)


def _joules(value: Range) -> Row:
    return quantity(value.low, "J"), quantity(value.nominal, "J"), quantity(value.high, "J")


def _nominal(value: Range | None) -> str:
    return quantity(value.nominal if value else None, "J")


def _relation(report: EnergyReport, place: int) -> str:
    comparison = report.comparisons[place]
    return factor_range(comparison.dynamic) + ("" if comparison.same_chip else "*")


def _price_remark(row: ActionRow) -> str:
    if row.included_in:
        return f"included in {row.included_in}"
    return f"absent: {row.absent}" if row.absent else "priced"


def _prices(row: ActionRow) -> Iterable[str]:
    return ["-"] * len(ENERGY_COLUMNS) if row.included_in or row.absent else _joules(row.energy)
