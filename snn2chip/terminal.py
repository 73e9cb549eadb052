"""What the commands print: tables of plain text, and progress on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snn2chip.api import Exported
    from snn2chip.certify import Cause, Certificate, Difference, FormResult, InputSet, Verification
    from snn2chip.graph import Array, Graph
    from snn2chip.hw_models.chip import Chip


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
    """Verdict, inputs, forms and coverage; a difference is named down to the neuron and what it saw."""
    inputs = ", ".join(_set(part) for part in certificate.inputs if part.count)
    lines = [f"certificate: {certificate.verdict} on {inputs}"]
    if not certificate.on_real_inputs:
        lines.append(
            "NO REAL INPUTS: only extreme and random inputs were compared (give some with --calibration X.npz)"
        )
    total = sum(part.compared for part in certificate.inputs)
    rows = [(found.form, found.executor, found.status, _detail(found, total)) for found in certificate.results]
    lines.append(table(("form", "program", "status", "detail"), rows))
    divergent = next((found.divergence for found in certificate.results if found.divergence), None)
    lines += [] if divergent is None or divergent.cause is None else _cause(divergent.layer, divergent.cause)
    return "\n".join([*lines, *_coverage(certificate)])


def _set(part: InputSet) -> str:
    few = "" if part.compared == part.count else f"{part.compared} of "
    return f"{few}{part.count} {part.name}"


def _detail(result: FormResult, total: int) -> str:
    if result.divergence is not None:
        return str(result.divergence)
    if result.status != "EXACT":
        return result.reason
    given = sum(result.inputs.values())
    few = "" if given == total else f", on {given} of {total} inputs"
    return f"{result.compared} integers in {len(result.layers)} layers, 0 differ{few}"


def _cause(layer: str, cause: Cause) -> list[str]:
    """What the first neuron that differs saw."""
    numbers = ", ".join(f"{name} {value}" for name, value in cause.parameters.items())
    before = "" if cause.potential is None else f"potential before {cause.potential}, "
    lines = [
        f"  what it saw, by the interpreter: {before}current {cause.current} (bias {cause.bias})"
        + (f"; {cause.operation} with {numbers}" if numbers else "")
    ]
    shown = [f"{part.layer}{list(part.index)} sent {part.value} x weight {part.weight}" for part in cause.inputs[:5]]
    rest = len(cause.inputs) - len(shown) + cause.more
    return [*lines, *(f"    {line}" for line in shown), f"    and {rest} more; {cause.silent} inputs were zero"]


def _coverage(certificate: Certificate) -> list[str]:
    found = certificate.coverage
    lines = [f"exercised: {found.seen} of {found.reachable} situations that can occur in its layers"]
    lacking = [layer for layer in found.layers if layer.unseen or layer.silent]
    for layer in lacking[:5]:
        silent = [f"{layer.silent} of {layer.channels} channels silent"] if layer.silent else []
        lines.append(f"  not seen in {layer.layer}: {', '.join([*layer.unseen, *silent])}")
    if len(lacking) > 5:
        lines.append(f"  ... and in {len(lacking) - 5} more layers (see certificate.json)")
    return lines


def verification(found: Verification) -> str:
    """The certificate, and what the one that came with the artifact says otherwise."""
    lines = [certificate_table(found.certificate)]
    if not found.disagreements:
        return "\n".join([*lines, "the certificate that came with the artifact says the same, to the byte"])
    lines += [
        "the certificate that came with the artifact says otherwise:",
        *(f"  {line}" for line in found.disagreements),
    ]
    lines.append("it was kept: what is missing here was run there" if found.kept else "it was replaced by this one")
    return "\n".join(lines)


def difference(found: Difference) -> str:
    """What became of comparing two artifacts."""
    first, second = found.folders
    beside = [f"beside the network: {line}" for line in found.beside]
    if found.same:
        return "\n".join([f"the same integer network: {first} and {second} have the digest {found.first}", *beside])
    lines = [
        "different networks:",
        f"  the first   {first}, digest {found.first}",
        f"  the second  {second}, digest {found.second}",
        f"first difference: {found.what}",
        *beside,
    ]
    if found.inputs:
        inputs = ", ".join(f"{count} {name}" for name, count in found.inputs.items())
        compared = f"{found.layers} layers of one name and shape" if found.layers else "no layer: none is of one shape"
        lines.append(f"both were run on {inputs}; compared: the summed logits, and {compared}")
    if found.note:
        lines.append(f"outputs not compared: {found.note}")
    if found.outputs_differ is not None:
        lines.append(_outputs(found))
    if found.divergence is not None:
        value = found.divergence.between("{} in the first, {} in the second")
        lines.append(f"first value that differs: {value}")
    elif found.layers:
        lines.append("no value differs on these inputs in these layers")
    return "\n".join(
        [*lines, "only the integer networks were compared; 'snn2chip verify DIR' holds an artifact's forms to its own"]
    )


def _outputs(found: Difference) -> str:
    total, searched = sum((found.inputs or {}).values()), found.searched
    if found.outputs_differ:
        return f"logits differ on {found.outputs_differ} of these {total} inputs, the class on {found.classes_differ}"
    if found.differing is not None and len(found.differing):
        return f"logits are equal on these inputs; a search found inputs where they differ, after {searched} tries"
    return f"logits are equal on these inputs, and on {searched} more that were searched for a difference"


def export_summary(exported: Exported) -> str:
    """What export wrote, how well the integers do, what was certified, and whether it fits."""
    fit = exported.fit
    placed = "fits" if fit.get("fits") else f"does NOT fit: {fit.get('reason', 'see fit.json')}"
    coarse = [f"approximated: {line}" for line in exported.compiled.coarse]
    certified = certificate_table(exported.certificate)
    samples = exported.compiled.samples
    inputs = input_lines(exported.compiled.graph, None if samples is None else samples.x)
    said = [*inputs, *coarse, *_accuracy(exported)]
    return "\n".join([str(exported.folder), *said, certified, f"placement: {placed}"])


def input_lines(graph: Graph, inputs: Array | None) -> list[str]:
    """What counts mean, which an import cannot check, and whether `inputs` (uint8, or None) use their range."""
    largest, unit = int(graph.signals[graph.input.name].interval.max), graph.input.unit
    if unit is None or float(unit[0]) == 1:
        line = f"input: counts 0..{largest} are the real numbers that the network takes (--input-scale 1)"
    else:
        line = f"input: counts 0..{largest} stand for the real numbers 0..{largest * float(unit[0]):.4g}"
    if inputs is None or not inputs.size:
        return [line]
    seen = int(inputs.max())
    lines = [f"{line}; the largest count in the samples is {seen}"]
    if 4 * seen < largest:
        lines.append(
            f"SMALL INPUTS: no sample has a count above {seen} of {largest}: were they scaled before they became "
            "uint8, or is --input-largest too large?"
        )
    return lines


def _accuracy(exported: Exported) -> list[str]:
    samples = exported.compiled.samples
    if exported.accuracy is None or samples is None:
        return []
    lines = [f"accuracy of the integers: {100 * exported.accuracy:.2f} % of {len(samples)} samples"]
    if exported.near_chance:
        lines.append(
            "NEAR CHANCE: was the network trained, is --input-scale the real input per count that it was trained on, "
            "and are the classes y numbered as its outputs?"
        )
    return lines


def chip_table() -> str:
    """Names, models and titles of the chips that come with snn2chip."""
    from snn2chip.hw_models.chip import available_chips, load_chip

    chips = [load_chip(name) for name in available_chips()]
    return table(("chip", "model", "title"), [(found.name, found.model, found.title) for found in chips])


def chip_text(chip: Chip) -> str:
    """A chip, number by number: what it is, how it is known and where it comes from."""
    summary = chip.summary
    lines = [f"{summary.name}: {summary.title} (model {summary.model})", f"file {chip.path}"]
    lines += [f"scenario: {summary.scenario}"] if summary.scenario else []
    lines += [f"note: {note}" for note in chip.notes]
    lines += [f"{key}: {value}" for key, value in sorted(chip.choices.items())]
    rows = [(number.name, number.value, number.kind, number.source) for number in summary.numbers]
    return "\n".join([*lines, "", table(("number", "value", "kind", "source"), rows)])
