"""What changed between two reports, network by network and layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.ratios import Comparison, compare_networks
from snn2chip.report.summaries import accesses, named
from snn2chip.report.units import UNKNOWN, apart, change, factor, factor_range, percent, points

Pair = tuple[NetworkReport, NetworkReport]


def compare(a: EnergyReport, b: EnergyReport) -> str:
    """What is different in `b`, as text.

    The first networks of the two reports are held against each other whatever they are called; the others by label, and
    layers by name. Ratios of energies carry their range: an uncertain number that both rest on moves in both. Of a
    network of which no figure is different, the parts of the report that differ are named.
    """
    pairs, only_a, only_b = _paired(a, b)
    lines = [line for pair in pairs for line in _network(*pair)]
    lines += _comparisons(a, b, pairs)
    lines += [f"only in the first report: {_named(network)}" for network in only_a]
    lines += [f"only in the second report: {_named(network)}" for network in only_b]
    return "\n".join(lines or ["The reports say the same."])


def _named(network: NetworkReport) -> str:
    return named(network.label, network.chip.name)


def _paired(a: EnergyReport, b: EnergyReport) -> tuple[list[Pair], list[NetworkReport], list[NetworkReport]]:
    pairs, only_a, rest = [(a.own, b.own)], [], list(b.baselines)
    for network in a.baselines:
        twin = next((other for other in rest if other.label == network.label), None)
        if twin is None:
            only_a.append(network)
            continue
        rest.remove(twin)
        pairs.append((network, twin))
    return pairs, only_a, rest


def _network(a: NetworkReport, b: NetworkReport) -> list[str]:
    changes = (*_identity(a, b), *_totals(a, b), *_ratios(a, b), *_layers(a.layers, b.layers))
    changes = changes or tuple(_elsewhere(a, b))
    return [a.label, *(f"  {line}" for line in changes)] if changes else []


def _elsewhere(a: NetworkReport, b: NetworkReport) -> Iterator[str]:
    """Where two reports differ that have the figures above in common."""
    parts = [field.name for field in fields(NetworkReport) if getattr(a, field.name) != getattr(b, field.name)]
    if parts:
        yield f"the same figures, but not the same {', '.join(parts)}: see the JSON of both"


def _ratios(a: NetworkReport, b: NetworkReport) -> Iterator[str]:
    """How much the second needs of what the first needs, where that is not the same."""
    found = compare_networks(a, b)
    parts = (("dynamic energy", found.dynamic), ("total energy", found.total if a.energy.static else None))
    for what, ratio in parts:
        if ratio is not None and factor_range(ratio) != factor(1.0):  # the figures above tell smaller changes apart
            yield f"{what}, second / first: {factor_range(ratio)}"


def _comparisons(a: EnergyReport, b: EnergyReport, pairs: Sequence[Pair]) -> Iterator[str]:
    """Ratios to one's own network that are not the same in both reports."""
    before, after = ({id(net): found for net, found in _compared(report)} for report in (a, b))
    for first, second in pairs[1:]:
        old, new = (factor_range(found.dynamic) for found in (before[id(first)], after[id(second)]))
        if old != new:
            yield f"dynamic energy of {first.label} / {a.own.label}: {old} -> {new}"


def _compared(report: EnergyReport) -> Iterator[tuple[NetworkReport, Comparison]]:
    return zip(report.baselines, report.comparisons, strict=True)


def _identity(a: NetworkReport, b: NetworkReport) -> Iterator[str]:
    """What the networks are."""
    said = [
        ("label", a.label, b.label),
        ("graph", a.graph_digest[:12], b.graph_digest[:12]),
        ("chip", f"{a.chip.name} {a.chip.digest[:12]}", f"{b.chip.name} {b.chip.digest[:12]}"),
        ("form", a.form, b.form),
        ("T", str(a.steps), str(b.steps)),
        ("N", str(a.levels), str(b.levels)),
        ("samples", str(a.samples), str(b.samples)),
        ("timing", *map(_timing, (a, b))),
        ("placement", *map(_placement, (a, b))),
    ]
    yield from (f"{name}: {before} -> {after}" for name, before, after in said if before != after)
    if a.accuracy != b.accuracy:
        difference = None if a.accuracy is None or b.accuracy is None else b.accuracy - a.accuracy
        yield f"accuracy: {percent(a.accuracy, 2)} -> {percent(b.accuracy, 2)} ({points(difference)})"


def _timing(network: NetworkReport) -> str:
    return "summary" if network.detailed is None else "detailed"


def _placement(network: NetworkReport) -> str:
    if network.placement is None:
        return "none, for the model has no cores"
    return str(network.placement.get("arrangement", UNKNOWN))


def _totals(a: NetworkReport, b: NetworkReport) -> Iterator[str]:
    static_a, static_b = (item.energy.static.nominal if item.energy.static else None for item in (a, b))
    yield from _changed(
        [
            ("dynamic energy", a.energy.dynamic.nominal, b.energy.dynamic.nominal, "J"),
            ("static energy", static_a, static_b, "J"),
            ("latency", a.latency.seconds, b.latency.seconds, "s"),
            ("cycles", a.latency.cycles, b.latency.cycles, ""),
            ("interval", a.latency.interval_seconds, b.latency.interval_seconds, "s"),
            *_activity(a.totals, b.totals),
            *_traffic(a.totals, b.totals),
        ]
    )
    if a.energy.dynamic != b.energy.dynamic and a.energy.dynamic.nominal == b.energy.dynamic.nominal:
        ends = ((a.energy.dynamic.low, b.energy.dynamic.low), (a.energy.dynamic.high, b.energy.dynamic.high))
        low, high = (apart(before, after, "J") for before, after in ends)
        yield f"range of the dynamic energy: {low[0]}..{high[0]} -> {low[1]}..{high[1]}"


Line = tuple[str, "float | None", "float | None", str]


def _activity(a: LayerRow, b: LayerRow) -> list[Line]:
    return [
        ("events", a.events_out, b.events_out, ""),
        ("spike values", a.spikes_out, b.spikes_out, ""),
        ("synaptic operations", a.synaptic_operations, b.synaptic_operations, ""),
    ]


def _traffic(a: LayerRow, b: LayerRow) -> list[Line]:
    return [
        ("cores", a.cores, b.cores, ""),
        ("messages", a.messages, b.messages, ""),
        ("hops", a.hops, b.hops, ""),
        ("neuron updates", a.neuron_updates, b.neuron_updates, ""),
        ("payload bits", a.payload_bits, b.payload_bits, ""),
        ("memory accesses", accesses(a), accesses(b), ""),
    ]


def _layers(a: Sequence[LayerRow], b: Sequence[LayerRow]) -> Iterator[str]:
    others = {row.name: row for row in b}
    names = {row.name for row in a}
    for row in a:
        if row.name not in others:
            yield f"layer {row.name}: only in the first report"
            continue
        yield from _layer(row, others[row.name])
    yield from (f"layer {row.name}: only in the second report" for row in b if row.name not in names)


def _layer(a: LayerRow, b: LayerRow) -> list[str]:
    energy: Line = ("energy", a.energy.nominal, b.energy.nominal, "J")
    changes = ", ".join(_changed([energy, ("cycles", a.cycles, b.cycles, ""), *_activity(a, b)]))
    return [f"layer {a.name}: {changes}"] if changes else []


def _changed(lines: Sequence[Line]) -> Iterator[str]:
    for name, before, after, unit in lines:
        if before != after:
            relative = UNKNOWN if before is None or after is None else change(before, after)
            yield f"{name}: {' -> '.join(apart(before, after, unit))} ({relative})"
