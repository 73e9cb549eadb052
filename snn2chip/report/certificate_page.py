"""The certificate as one self-contained page: nothing fetched from anywhere, the same bytes on every machine."""

from __future__ import annotations

from typing import Any

from snn2chip.certify import REFUSED, Certificate, Divergence, FormResult, LayerResult, ProbeCoverage, Verification
from snn2chip.report.environment import templates

_SAID = {
    "EXACT": "Every form that can express this network gave the same integers as the interpreter.",
    "DIFFERENT": "At least one form gave other integers than the interpreter: do not use it.",
    "NOT RUN": "All that was run is exact, but at least one form could not be run here.",
}

#: Inputs of a neuron that are shown; certificate.json lists more.
_SHOWN = 16


def page(verification: Verification) -> str:
    """The whole page as text."""
    environment = templates()
    environment.filters["grouped"] = _grouped
    return environment.get_template("certificate.html.j2").render(_content(verification))


def _grouped(count: int) -> str:
    """Digits in threes."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _content(verification: Verification) -> dict[str, Any]:
    certificate = verification.certificate
    total = sum(part.compared for part in certificate.inputs)
    return {
        "name": verification.name,
        "certificate": certificate,
        "disagreements": verification.disagreements,
        "kept": verification.kept,
        "said": _SAID[certificate.verdict],
        "tiles": _tiles(certificate, total),
        "forms": [(result, _detail(result, total)) for result in certificate.results],
        "divergences": _divergences(certificate),
        "shown": _SHOWN,
        "layers": _layers(certificate),
        "refused": any(result.status == REFUSED for result in certificate.results),
        "coverage": [(layer, _seen(layer), _lacking(layer)) for layer in certificate.coverage.layers],
        "place": _place,
    }


def _tiles(certificate: Certificate, total: int) -> list[tuple[str, str, str]]:
    """(what, figure, small print)"""
    run = [result for result in certificate.results if result.rows]
    exact = [result for result in run if result.status == "EXACT"]
    compared = sum(result.compared for result in run)
    covered = certificate.coverage
    real = "real samples among them" if certificate.on_real_inputs else "NO REAL INPUTS"
    accuracy = certificate.accuracy
    tiles = [
        ("programs", f"{len(exact)} of {len(run)}", "exact, of those that were run"),
        ("integers compared", _grouped(compared), "each equal or counted below"),
        ("inputs", _grouped(total), f"{real}; T = {certificate.steps}"),
        ("exercised", f"{covered.seen} of {covered.reachable}", "situations that can occur in the layers"),
    ]
    return tiles + (
        [] if accuracy is None else [("accuracy", f"{100 * accuracy:.2f} %", "of the integers, on the samples")]
    )


def _detail(result: FormResult, total: int) -> str:
    if result.divergence is not None:
        return str(result.divergence)
    if result.reason:
        return result.reason
    given = sum(result.inputs.values())
    if given == total:
        return f"{_grouped(given)} inputs"
    return f"{_grouped(given)} of {_grouped(total)} inputs: it is slow for a network of this size"


def _divergences(certificate: Certificate) -> list[tuple[str, Divergence]]:
    """Every distinct first difference, with the programs that have it."""
    found: dict[str, tuple[list[str], Divergence]] = {}
    for result in certificate.results:
        if result.divergence is not None:
            programs, _ = found.setdefault(str(result.divergence), ([], result.divergence))
            programs.append(f"{result.form} ({result.executor})")
    return [(", ".join(programs), divergence) for programs, divergence in found.values()]


def _layers(certificate: Certificate) -> list[tuple[str, int, int, str, str, str]]:
    """(layer, steps, integers compared in all, programs that are exact, that differ, that do not expose it)"""
    found: dict[str, list[tuple[str, LayerResult]]] = {}
    for result in certificate.results:
        for row in result.rows:
            found.setdefault(row.layer, []).append((result.executor, row))
    return [
        (
            layer,
            max(row.steps for _, row in rows),
            sum(row.compared for _, row in rows),
            f"{sum(row.status == 'EXACT' for _, row in rows)} of {len(rows)}",
            "; ".join(f"{name}: {_differing(row)}" for name, row in rows if row.status == "DIFFERENT"),
            ", ".join(name for name, row in rows if row.status == "NOT SEEN"),
        )
        for layer, rows in found.items()
    ]


def _differing(row: LayerResult) -> str:
    return f"{_grouped(row.differing)} of {_grouped(row.compared)}, from step {row.first_step} on"


def _seen(layer: ProbeCoverage) -> str:
    return "; ".join(f"{name}: {_grouped(count)}" for name, count in layer.seen.items()) or "nothing"


def _lacking(layer: ProbeCoverage) -> tuple[str, str]:
    """(what was not seen, what cannot occur)"""
    listed = ", ".join(map(str, layer.silent_channels))
    more = ", ..." if layer.silent > len(layer.silent_channels) else ""
    silent = [f"a spike in channels {listed}{more}"] if layer.silent else []
    excluded = [f"a spike in {layer.unreachable_channels} channels"] if layer.unreachable_channels else []
    return "; ".join([*layer.unseen, *silent]), "; ".join([*layer.unreachable, *excluded])


def _place(found: Divergence) -> str:
    axes = ("channel", "y", "x") if len(found.index) == 3 else ("neuron",)
    return ", ".join(f"{axis} {value}" for axis, value in zip(axes, found.index, strict=True))
