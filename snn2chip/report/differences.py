"""What changed between two reports, network by network and layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.units import UNKNOWN, change, count, percent, points, quantity

Pair = tuple[NetworkReport, NetworkReport]


def compare(a: EnergyReport, b: EnergyReport) -> str:
    """What is different in `b`, as text.

    The first networks of the two reports are held against each other whatever they are called; the others by label, and
    layers by name. What is not mentioned is the same.
    """
    pairs, only_a, only_b = _paired(a, b)
    lines = [line for pair in pairs for line in _network(*pair)]
    lines += [f"only in the first report: {network.label} on {network.chip.name}" for network in only_a]
    lines += [f"only in the second report: {network.label} on {network.chip.name}" for network in only_b]
    return "\n".join(lines or ["The reports say the same."])


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
    changes = [f"  {line}" for line in (*_identity(a, b), *_totals(a, b), *_layers(a.layers, b.layers))]
    return [a.label, *changes] if changes else []


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
    ]
    yield from (f"{name}: {before} -> {after}" for name, before, after in said if before != after)
    if a.accuracy != b.accuracy:
        difference = None if a.accuracy is None or b.accuracy is None else b.accuracy - a.accuracy
        yield f"accuracy: {percent(a.accuracy, 2)} -> {percent(b.accuracy, 2)} ({points(difference)})"


def _totals(a: NetworkReport, b: NetworkReport) -> Iterator[str]:
    static_a, static_b = (item.energy.static.nominal if item.energy.static else None for item in (a, b))
    yield from _changed(
        [
            ("dynamic energy", a.energy.dynamic.nominal, b.energy.dynamic.nominal, "J"),
            ("static energy", static_a, static_b, "J"),
            ("latency", a.latency.seconds, b.latency.seconds, "s"),
            ("cycles", a.latency.cycles, b.latency.cycles, ""),
            *_activity(a.totals, b.totals),
        ]
    )
    if a.energy.dynamic != b.energy.dynamic and a.energy.dynamic.nominal == b.energy.dynamic.nominal:
        yield f"range of the dynamic energy: {_bounds(a)} -> {_bounds(b)}"


def _bounds(network: NetworkReport) -> str:
    return f"{quantity(network.energy.dynamic.low, 'J')}..{quantity(network.energy.dynamic.high, 'J')}"


Line = tuple[str, "float | None", "float | None", str]


def _activity(a: LayerRow, b: LayerRow) -> list[Line]:
    return [
        ("events", a.events_out, b.events_out, ""),
        ("spike values", a.spikes_out, b.spikes_out, ""),
        ("synaptic operations", a.synaptic_operations, b.synaptic_operations, ""),
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
            yield f"{name}: {_shown(before, unit)} -> {_shown(after, unit)} ({relative})"


def _shown(value: float | None, unit: str) -> str:
    return quantity(value, unit) if unit else count(value)
