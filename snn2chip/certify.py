"""The certificate: every form is executed and compared, tensor by tensor, with the interpreter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import snn2chip
from snn2chip import interpreter
from snn2chip.artifact import Samples
from snn2chip.errors import BackendError, CheckFailed
from snn2chip.exporters import FORMS, exporter
from snn2chip.exporters.base import Executor, Tensors
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import Recorder
from snn2chip.ops import Input, SpikingNeuron

FORMAT = "snn2chip-certificate-1"

EXACT = "EXACT"
DIFFERENT = "DIFFERENT"
REFUSED = "REFUSED"
NOT_RUN = "NOT RUN"


@dataclass(frozen=True)
class Divergence:
    """The first place where a form differs, in graph order, then by step and sample.

    `index` is the neuron: ``[c, y, x]`` or ``[f]``; `differing` counts the integers of that layer that differ.
    """

    layer: str
    step: int
    sample: int
    index: tuple[int, ...]
    expected: int
    got: int
    differing: int

    def __str__(self) -> str:
        return (
            f"layer {self.layer!r}, step {self.step}, sample {self.sample}, neuron {list(self.index)}: "
            f"expected {self.expected}, got {self.got} ({self.differing} integers of this layer differ)"
        )


@dataclass(frozen=True)
class FormResult:
    """What came of one form in one program.

    Attributes:
        form: ``torch``, ``nir``, ``onnx`` or ``lava``.
        executor: the program that ran it, or an empty string.
        status: ``EXACT``, ``DIFFERENT``, ``REFUSED`` (the form cannot express the network) or ``NOT RUN``.
        layers: neuron layers and output that were compared.
        compared: how many integers were compared.
        divergence: the first difference.
        reason: why it was refused or not run.
    """

    form: str
    executor: str
    status: str
    layers: tuple[str, ...] = ()
    compared: int = 0
    divergence: Divergence | None = None
    reason: str = ""


@dataclass(frozen=True)
class InputSet:
    """A named part of the inputs that were compared; `sha256` is over their bytes."""

    name: str
    count: int
    sha256: str


@dataclass(frozen=True)
class Certificate:
    """Which forms were compared with the interpreter, on which inputs, and what came of it."""

    graph_digest: str
    steps: int
    inputs: tuple[InputSet, ...]
    results: tuple[FormResult, ...]
    tool_version: str = field(default=snn2chip.__version__)

    @property
    def verdict(self) -> str:
        """``DIFFERENT`` if any form differs, else ``NOT RUN`` if any was not run, else ``EXACT``."""
        statuses = {result.status for result in self.results}
        return next((status for status in (DIFFERENT, NOT_RUN) if status in statuses), EXACT)

    @property
    def on_real_inputs(self) -> bool:
        return any(part.name == "samples" for part in self.inputs)

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        return {"format": FORMAT, "verdict": self.verdict, "reference": "interpreter", **document}


def certify(
    graph: Graph, folder: Path, samples: Samples | None, report: Callable[[str], None] = lambda line: None
) -> Certificate:
    """Run every form that stands in `folder` on real samples and extreme inputs, and compare it with the interpreter.

    A form that differs, is refused or cannot be run is a result, not an exception. `report` is told what goes on.
    """
    sets = input_sets(graph, samples)
    inputs = np.concatenate([array for _, array in sets])
    report(f"interpreter: {len(inputs)} inputs x {graph.steps} steps")
    expected = reference(graph, inputs)
    results: list[FormResult] = []
    for form, executor in _forms(graph, folder):
        if isinstance(executor, FormResult):
            results.append(executor)
            continue
        report(f"{form}: {executor.name}")
        results.append(_compare_form(form, executor, graph, folder, inputs, expected))
    digests = tuple(InputSet(name, len(array), hashlib.sha256(array.tobytes()).hexdigest()) for name, array in sets)
    return Certificate(graph.digest, graph.steps, digests, tuple(results))


def input_sets(graph: Graph, samples: Samples | None) -> list[tuple[str, Array]]:
    """Real samples, all zero, all at the maximum, and random values (fixed seed), all of one shape."""
    op = graph.input.op
    assert isinstance(op, Input)
    shape = op.shape if samples is None else samples.x.shape[1:]
    random = np.random.default_rng(0).integers(0, op.largest + 1, (4, *shape)).astype(np.uint8)
    extremes = [
        ("zero", np.zeros((1, *shape), np.uint8)),
        ("maximum", np.full((1, *shape), op.largest, np.uint8)),
        ("random", random),
    ]
    return ([] if samples is None else [("samples", np.ascontiguousarray(samples.x))]) + extremes


def reference(graph: Graph, inputs: Array) -> dict[str, Array]:
    """What the interpreter computes: int32 ``[B, T, *shape]`` of every neuron layer and of the output."""
    names = [node.name for node in graph.of_kind(SpikingNeuron)] + [graph.output.name]
    recorder = Recorder(frozenset(names))
    interpreter.run(graph, inputs, [recorder])
    return {name: recorder.tensors[name] for name in names}


def first_divergence(expected: Mapping[str, Array], got: Tensors) -> Divergence | None:
    """The first difference among the layers that `got` exposes, in the order of `expected`; None where all are equal.

    Raises: CheckFailed where a tensor has another shape than it must have.
    """
    for layer, wanted in expected.items():
        if layer not in got:
            continue
        found = np.asarray(got[layer])
        if found.shape != wanted.shape:
            raise CheckFailed(f"layer {layer!r} has shape {found.shape} instead of {wanted.shape}")
        differs = found != wanted
        if differs.any():
            # Steps first, then samples: the earliest moment, not the first sample.
            step, sample, *index = (int(axis[0]) for axis in np.nonzero(differs.swapaxes(0, 1)))
            place = (sample, step, *index)
            return Divergence(
                layer, step, sample, tuple(index), int(wanted[place]), int(found[place]), int(np.count_nonzero(differs))
            )
    return None


class TorchExecutor:
    """The fast engine, as one more form to hold to the interpreter."""

    name = "snn2chip.engine"

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        from snn2chip import engine

        names = frozenset(node.name for node in graph.of_kind(SpikingNeuron))
        recorder = Recorder(names)
        output = engine.run(graph, inputs, [recorder])
        return {**recorder.tensors, graph.output.name: output}


def _forms(graph: Graph, folder: Path) -> Sequence[tuple[str, Executor | FormResult]]:
    found: list[tuple[str, Executor | FormResult]] = [("torch", TorchExecutor())]
    for name in FORMS:
        form = exporter(name)
        if reason := form.refusal(graph):
            if FORMS[name].standard:
                found.append((name, FormResult(name, "", REFUSED, reason=reason)))
        elif missing := [file for file in form.files if not (folder / file).exists()]:
            if not FORMS[name].standard:
                continue  # nobody asked for it
            found.append((name, FormResult(name, "", NOT_RUN, reason=f"{missing[0]} is not in the artifact")))
        else:
            found.extend((name, executor) for executor in form.executors)
    return found


def _compare_form(
    form: str, executor: Executor, graph: Graph, folder: Path, inputs: Array, expected: Mapping[str, Array]
) -> FormResult:
    try:
        got = executor.run(graph, folder, inputs)
        divergence = first_divergence(expected, got)
    except BackendError as error:
        return FormResult(form, executor.name, NOT_RUN, reason=str(error))
    except CheckFailed as error:
        return FormResult(form, executor.name, DIFFERENT, reason=str(error))
    if graph.output.name not in got:
        return FormResult(form, executor.name, DIFFERENT, reason="the form returned no logits")
    layers = tuple(name for name in expected if name in got)
    compared = sum(expected[name].size for name in layers)
    status = EXACT if divergence is None else DIFFERENT
    return FormResult(form, executor.name, status, layers, compared, divergence)
