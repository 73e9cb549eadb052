"""The pipeline as functions: what the command line calls, and what scripts may call.

Each function raises `snn2chip.errors.UserError` (one sentence that names the file, the node and the mend) for bad usage
or bad input. Nothing here prints: `report` is called with one line per stage of long work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from snn2chip import artifact, certify, files, interpreter, pipelined
from snn2chip.artifact import Artifact, Description, Samples
from snn2chip.certify import Certificate
from snn2chip.errors import UserError, naming
from snn2chip.exporters import FORMS, exporter, standard_forms
from snn2chip.exporters.base import Chooses, Confirms, timing_of
from snn2chip.graph import Array, Graph
from snn2chip.hw_models import fitting
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.rules import suggest
from snn2chip.lowering.pipeline import check_timing
from snn2chip.ops import Input

if TYPE_CHECKING:
    from torch import nn

    from snn2chip.frontend import ImportOptions
    from snn2chip.frontend.readers.loaded import Loaded
    from snn2chip.quantize import Precision
    from snn2chip.quantize.branches import Approximation
    from snn2chip.quantize.post_training import Quantized

Report = Callable[[str], None]
Backend = Literal["reference", "torch", "onnxruntime", "lava"]

DEFAULT_TARGET = "loihi2"
DEFAULT_BITS = 8
BUILD = Path("build")
#: An accuracy that is less than this part of the way from chance to 100 % is called near chance.
_NEAR_CHANCE = 0.2

_BACKENDS: Mapping[str, tuple[str, str]] = {"onnxruntime": ("onnx", "onnxruntime"), "lava": ("lava", "lava K=1")}


def _quiet(line: str) -> None:
    """The default of every `report` argument."""


@dataclass(frozen=True)
class Compiled:
    """A network as an integer graph, with what its checkpoint says about it and real samples where there are any.

    ``coarse`` are sentences on numbers of the float network that integers say coarsely.
    """

    graph: Graph
    name: str
    class_names: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    samples: Samples | None = None
    coarse: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """What `export` wrote and found. ``accuracy`` is that of the integers, a fraction of the samples with classes."""

    folder: Path
    certificate: Certificate
    fit: Mapping[str, Any]
    compiled: Compiled
    accuracy: float | None = None

    @property
    def near_chance(self) -> bool:
        """Whether the network does little better on its samples than guessing would."""
        chance = 1 / self.compiled.graph.signals[self.compiled.graph.output.name].size
        return self.accuracy is not None and self.accuracy < chance + _NEAR_CHANCE * (1 - chance)


def compile_file(
    model: str | Path,
    calibration: str | Path | None = None,
    bits: int | None = None,
    options: ImportOptions | None = None,
) -> Compiled:
    """Read a model file and quantize it, unless it is quantized already.

    Args:
        model: path of a model file of any kind in ``docs/importing.md``.
        calibration: ``.npz`` with real inputs ``x`` (and ``y``): scales, biases and thresholds are calibrated on them,
            and they travel with the artifact. Without it nothing is calibrated, and the test split of the checkpoint's
            data set travels along where this project knows it.
        bits: weight bits, 2..8 (8 where None); not for a file that is quantized already.
        options: what the file does not say about itself.
    """
    from snn2chip import frontend
    from snn2chip.quantize import Precision
    from snn2chip.quantize.calibration import calibration_data

    loaded = frontend.load(model, options)
    _confirm(loaded)
    if loaded.integer and bits is not None:
        raise UserError(f"{loaded.path}: it is quantized already: leave out --bits, or quantize the float model anew")
    given = inputs = None
    if calibration:
        given = artifact.read_samples(calibration)
        with naming(calibration):
            given = _checked_samples(loaded.graph, given)
            inputs = None if loaded.integer else calibration_data(loaded.graph, {}, given).inputs
    with naming(loaded.path):
        samples = _known_samples(loaded.metadata) if given is None else given
        kept = None if samples is None else _kept_samples(loaded.graph, samples)
        if loaded.integer:
            return Compiled(loaded.graph, loaded.name, loaded.class_names, loaded.metadata, kept)
        quantized = _quantized(loaded.graph, Precision(DEFAULT_BITS if bits is None else bits), inputs)
    return Compiled(
        quantized.graph, loaded.name, loaded.class_names, loaded.metadata, kept, _coarse(quantized.approximations)
    )


def _confirm(loaded: Loaded) -> None:
    """An exported form tells its network beside the nodes that runtimes execute: hold the one against the other."""
    source = loaded.metadata.get("source")
    form = source.get("form") if isinstance(source, Mapping) else None
    if form is None:
        return
    if form not in FORMS:
        raise UserError(f"{loaded.path}: its form {form!r} is unknown: it was written by a newer version of snn2chip")
    written = exporter(form)
    if isinstance(written, Confirms):
        written.confirm(loaded.graph, loaded.path)


def _quantized(graph: Graph, precision: Precision, inputs: Array | None) -> Quantized:
    from snn2chip.quantize.post_training import PostTraining, plain, post_training

    return plain(graph, precision) if inputs is None else post_training(graph, PostTraining(precision), inputs)


def _coarse(approximations: Sequence[Approximation]) -> tuple[str, ...]:
    from snn2chip.quantize.constants import COARSE

    return tuple(str(found) for found in approximations if found.relative_error > COARSE)


def compile_module(
    model: nn.Module,
    name: str,
    input_shape: tuple[int, ...],
    largest: int = 255,
    samples: Samples | None = None,
    bits: int = 8,
    steps: int | None = None,
    input_scale: float = 1.0,
) -> Compiled:
    """Capture and quantize a live network; arguments as in `snn2chip.frontend.capture`."""
    from snn2chip import frontend
    from snn2chip.quantize import Precision
    from snn2chip.quantize.post_training import plain

    quantized = plain(frontend.capture(model, input_shape, largest, steps, input_scale), Precision(bits))
    if samples is not None:
        samples = _kept_samples(quantized.graph, samples)
    return Compiled(quantized.graph, name, samples=samples, coarse=_coarse(quantized.approximations))


def _known_samples(metadata: Mapping[str, Any]) -> Samples | None:
    from snn2chip import data

    test = data.shipped_test_part(metadata.get("dataset"), metadata.get("frames"))
    return None if test is None else Samples(test.x, test.y)


def _checked_samples(graph: Graph, samples: Samples) -> Samples:
    interpreter.as_frames(graph, samples.x)  # refuses what does not fit
    interpreter.check_classes(graph, samples.y)
    if not len(samples):
        raise UserError("there are no inputs in the samples: give at least one")
    return samples


def _kept_samples(graph: Graph, samples: Samples) -> Samples:
    samples = _checked_samples(graph, samples)
    limit = artifact.SAMPLE_LIMIT
    return Samples(samples.x[:limit], None if samples.y is None else samples.y[:limit])


def export(
    model: str | Path,
    target: str = DEFAULT_TARGET,
    out: str | Path | None = None,
    calibration: str | Path | None = None,
    bits: int | None = None,
    options: ImportOptions | None = None,
    also: Sequence[str] = (),
    report: Report = _quiet,
) -> Exported:
    """Model file to artifact: compile, write every form that can express the network, and certify them.

    Args:
        model, calibration, bits, options: as in `compile_file`.
        target: the name of a neurocore chip.
        out: the artifact folder, ``build/<model name>-<target>`` by default. An artifact that stood there is replaced
            as a whole, or not at all.
        also: names of forms to write besides the standard ones; UserError where one cannot express the network.
    """
    chip = _target(target)
    forms = _forms(also)
    report(f"reading {model}")
    compiled = compile_file(model, calibration, bits, options)
    return write(compiled, chip, Path(out) if out else BUILD / f"{compiled.name}-{target}", forms, report)


def write(
    compiled: Compiled,
    chip: Chip,
    folder: Path,
    forms: Sequence[str] = standard_forms(),
    report: Report = _quiet,
) -> Exported:
    """Write a compiled network as the artifact `folder`, in `forms`, with its certificate."""
    graph = compiled.graph
    _check_requested(graph, forms)
    op = graph.input.op
    assert isinstance(op, Input)
    unit = graph.input.unit
    preprocessing = {
        "input": f"uint8 counts 0..{op.largest}",
        "largest": op.largest,
        "scale": None if unit is None else float(unit[0]),
        "normalisation": "real input = scale * count",
    }
    description = Description(compiled.name, chip.name, compiled.class_names, preprocessing, compiled.training)
    with artifact.writing(folder) as temporary:
        artifact.write_core(temporary, graph, description, compiled.samples)
        written = {name: _write_form(name, graph, temporary, report) for name in forms}
        fit = fitting.fit(graph, chip)
        (temporary / artifact.FIT).write_text(files.canonical_json(fit), encoding="utf-8")
        report("searching inputs for what the samples do not exercise")
        found = certify.search_inputs(graph, compiled.samples)
        artifact.write_npz(temporary / artifact.SEARCH, {"x": found})
        certificate = certify.certify(graph, temporary, compiled.samples, report)
        (temporary / artifact.CERTIFICATE).write_text(files.canonical_json(certificate.to_json()), encoding="utf-8")
        artifact.seal(temporary, graph, description, written)
    accuracy = certificate.accuracy
    if accuracy is None:
        report("accuracy of the integers")
        accuracy = _accuracy(graph, compiled.samples)  # the certificate compares some samples of a large network only
    return Exported(folder, certificate, fit, compiled, accuracy)


def _accuracy(graph: Graph, samples: Samples | None) -> float | None:
    if samples is None or samples.y is None:
        return None
    from snn2chip import engine

    logits = engine.run(graph, samples.x).sum(axis=1, dtype=np.int64)
    return float(np.mean(logits.argmax(axis=1) == samples.y))


def check_choices(target: str, also: Sequence[str] = ()) -> None:
    """UserError where `export` would refuse the chip or the forms, before anything slow is imported or read."""
    _target(target)
    _forms(also)


def _target(name: str) -> Chip:
    chip = load_chip(name)
    if chip.model != "neurocore":
        raise UserError(f"target {name!r} has the model {chip.model!r}, which runs no spikes: choose a neurocore chip")
    return chip


def _forms(also: Sequence[str]) -> tuple[str, ...]:
    if unknown := [name for name in also if name not in FORMS]:
        raise UserError(f"--also {unknown[0]!r}: no such form: {suggest(unknown[0], FORMS)}")
    return tuple(name for name in FORMS if FORMS[name].standard or name in also)


def _check_requested(graph: Graph, forms: Sequence[str]) -> None:
    """What was asked for by name must be possible; a standard form that refuses is a line in the certificate."""
    for name in forms:
        if not FORMS[name].standard and (reason := exporter(name).refusal(graph)):
            raise UserError(f"--also {name}: {reason}")


def _write_form(name: str, graph: Graph, folder: Path, report: Report) -> dict[str, Any]:
    form = exporter(name)
    if reason := form.refusal(graph):
        return {"written": False, "reason": reason}
    report(f"writing {name}")
    return {"written": True, "files": list(form.files), "notes": form.write(graph, folder)}


def verify(folder: str | Path, report: Report = _quiet) -> Certificate:
    """Check every digest of an artifact, run every form again and compare it with the interpreter.

    The artifact's certificate.json is replaced where another one came out (see `snn2chip.certify.verify`). UserError
    names a changed file; a form that differs is a result in the certificate.
    """
    return certify.verify(folder, report).certificate


def against(folder: str | Path, other: str | Path, report: Report = _quiet) -> certify.Difference:
    """Whether two artifacts hold one network; if not, what differs first, and whether their outputs do."""
    return certify.difference(artifact.read(folder), artifact.read(other), report)


def run(
    folder: str | Path, inputs: str | Path | Array, backend: Backend = "reference", timing: str = "algorithmic"
) -> Array:
    """Run inputs through an artifact: per-step logits ``[B, T, classes]`` int32 (sum over axis 1 for the logits).

    Args:
        inputs: uint8 ``[B, C, H, W]`` or ``[B, T, C, H, W]``, as an array or the path of a ``.npy`` or ``.npz``.
        timing: ``algorithmic``, or ``pipelined``: each layer one step behind its sources, as on a chip. The logits are
            the same, and their steps are counted from the first one of the sample in both.
    """
    check_timing(timing)
    if backend not in get_args(Backend):
        raise UserError(f"backend {backend!r} is unknown: choose reference, torch, onnxruntime or lava")
    read = artifact.read(folder)
    x = inputs if isinstance(inputs, np.ndarray) else artifact.read_samples(inputs).x
    try:
        interpreter.as_frames(read.graph, x)
    except UserError as error:
        raise UserError(str(error) if isinstance(inputs, np.ndarray) else f"{inputs}: {error}") from None
    if backend == "reference":
        return (pipelined.run if timing == "pipelined" else interpreter.run)(read.graph, x)
    if backend == "torch":
        from snn2chip import engine

        return (engine.run_pipelined if timing == "pipelined" else engine.run)(read.graph, x)
    return _run_form(read, x, backend, timing)


def _run_form(read: Artifact, x: Array, backend: str, timing: str) -> Array:
    name, program = _BACKENDS[backend]
    form = exporter(name)
    if reason := form.refusal(read.graph):
        raise UserError(f"{read.folder}: {reason}")
    able = [found for found in form.executors if found.name.startswith(program) and timing_of(found) == timing]
    if not able:
        raise UserError(
            f"backend {backend!r} computes every layer in the same step: leave out --timing {timing}, "
            "or choose reference, torch or lava"
        )
    return able[0].run(read.graph, read.folder, x)[read.graph.output.name]


def newest_artifact(build: Path = BUILD) -> Path:
    """The artifact under `build` that was written last; UserError where there is none."""
    # Names that start with a dot are exports under way, or what a killed one left behind.
    found = sorted(build.glob(f"[!.]*/{artifact.MANIFEST}"), key=lambda path: (path.stat().st_mtime_ns, str(path)))
    if not found:
        raise UserError(
            f"{build}: no artifact there: run 'snn2chip export model.pt --target loihi2' first, or name one"
        )
    return found[-1].parent


def inspect(path: str | Path, options: ImportOptions | None = None) -> str:
    """What is in a model file (`options` as in `compile_file`) or an artifact, as text."""
    path = Path(path)
    if path.is_dir():
        return _inspect_artifact(artifact.read(path))
    compiled = compile_file(path, options=options)
    lines = [f"{path}: model file, T={compiled.graph.steps}, integer graph {compiled.graph.digest[:16]}"]
    said: dict[str, list[str]] = {}  # forms that refuse for one reason share a line
    for name in FORMS:
        form = exporter(name)
        reason = form.refusal(compiled.graph)
        chosen = f" ({form.chosen(compiled.graph)})" if isinstance(form, Chooses) and not reason else ""
        said.setdefault(f"refused: {reason}" if reason else f"can express this network{chosen}", []).append(name)
    lines += [f"  {', '.join(names)}: {what}" for what, names in said.items()]
    lines += [f"  approximated: {line}" for line in compiled.coarse]
    return "\n".join([*lines, "", compiled.graph.show()])


def _inspect_artifact(read: Artifact) -> str:
    certificate = files.read_json(read.folder / artifact.CERTIFICATE)
    fit = files.read_json(read.folder / artifact.FIT)
    samples = "NO REAL INPUTS" if read.samples is None else f"{len(read.samples)} real samples"
    lines = [f"{read.folder}: artifact for {read.description.target}, T={read.graph.steps}, {samples}"]
    lines.append(f"graph digest {read.graph.digest}")
    lines += [
        f"  {entry['form']}: {entry['status']} {entry['reason'] or entry['executor']}"
        for entry in certificate["results"]
    ]
    lines.append(f"  fit: {'fits' if fit.get('fits') else fit.get('reason', 'does not fit')}")
    return "\n".join([*lines, "", read.graph.show()])
