"""Every form in every program that runs it, compared with the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from snn2chip import interpreter
from snn2chip.artifact import Samples
from snn2chip.certify.cause import explain
from snn2chip.certify.certificate import DIFFERENT, EXACT, NOT_RUN, REFUSED, Certificate, Divergence, FormResult
from snn2chip.certify.compare import Comparison
from snn2chip.certify.inputs import Inputs, gather, work
from snn2chip.certify.situations import CoverageObserver, coverage
from snn2chip.errors import CheckFailed, Snn2chipError, UserError
from snn2chip.exporters import FORMS, exporter
from snn2chip.exporters.base import Confirms, Executor, Exporter, RunsTogether, Tensors, largest_work_of, timing_of
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import Recorder
from snn2chip.ops import SpikingNeuron

Report = Callable[[str], None]

#: So many integers of the reference are held at once (int32: 512 MiB); more inputs are compared in batches.
HELD_INTEGERS = 2**27
#: A large network is compared on as many inputs as cost so many products: seconds in each program.
LARGEST_WORK = 2 * 10**10
#: Zero, maximum, one random, one sample and one found by the search: the first of every kind.
LEAST_INPUTS = 5


def certify(graph: Graph, folder: Path, samples: Samples | None, report: Report = lambda line: None) -> Certificate:
    """Run every form that stands in `folder` on real samples and other inputs, and compare it with the interpreter.

    A form that differs, is refused or cannot be run is a result, not an exception. `report` is told what goes on.
    Raises: UserError where stored inputs cannot be read or do not fit.
    """
    report("choosing inputs")
    inputs = gather(graph, folder, samples).beginning(_affordable(graph, LARGEST_WORK))
    forms = _forms(graph, folder)
    runs = [form for form in forms if isinstance(form, _Run)]
    observer = CoverageObserver(graph)
    counts = np.zeros(len(observer.names), np.int64)
    decisions: list[int] = []
    for first, array in interpreter.batches(inputs.array, _batch_size(graph)):
        report(f"interpreter: {len(array)} inputs x {graph.steps} steps")
        observer = CoverageObserver(graph)
        expected = reference(graph, array, observer)
        counts += observer.counts.sum(axis=0)
        decisions += expected[graph.output.name].sum(axis=1, dtype=np.int64).argmax(axis=1).tolist()
        batch = _Batch(array, inputs.origins[first : first + len(array)], first)
        for run in runs:
            run.compare(graph, folder, batch, expected, report)
    results = [
        result
        for form in forms
        for result in (form.results(graph, folder, inputs) if isinstance(form, _Run) else [form])
    ]
    found = coverage(observer.probes, counts)
    accuracy = _accuracy(inputs, decisions, samples)
    return Certificate(graph.digest, graph.steps, inputs.described(), tuple(results), found, accuracy)


def _accuracy(inputs: Inputs, decisions: Sequence[int], samples: Samples | None) -> float | None:
    if samples is None or samples.y is None or inputs.counts(len(inputs)).get("samples") != len(samples):
        return None
    origins = zip(inputs.origins, decisions, strict=True)
    correct = sum(int(samples.y[index]) == decided for (name, index), decided in origins if name == "samples")
    return correct / len(samples)


def reference(graph: Graph, inputs: Array, *observers: interpreter.Observer) -> dict[str, Array]:
    """What the interpreter computes: int32 ``[B, T, *shape]`` of every neuron layer and of the output."""
    names = [node.name for node in graph.of_kind(SpikingNeuron)] + [graph.output.name]
    recorder = Recorder(frozenset(names))
    interpreter.run(graph, inputs, [recorder, *observers])
    return {name: recorder.tensors[name] for name in names}


def _batch_size(graph: Graph) -> int:
    neurons = sum(graph.signals[node.name].size for node in (*graph.of_kind(SpikingNeuron), graph.output))
    return max(1, HELD_INTEGERS // (neurons * graph.steps))


class TorchExecutor:
    """The fast engine, as one more form to hold to the interpreter."""

    name = "snn2chip.engine"

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        from snn2chip import engine

        names = frozenset(node.name for node in graph.of_kind(SpikingNeuron))
        recorder = Recorder(names)
        output = engine.run(graph, inputs, [recorder])
        return {**recorder.tensors, graph.output.name: output}


@dataclass(frozen=True)
class _Batch:
    array: Array
    origins: Sequence[tuple[str, int]]
    first: int


@dataclass
class _Outcome:
    """One program so far: `error` ends its run."""

    executor: Executor
    comparison: Comparison = field(default_factory=Comparison)
    error: Snn2chipError | None = None

    def add(self, expected: Mapping[str, Array], got: Tensors | Snn2chipError, batch: _Batch, output: str) -> None:
        if isinstance(got, Snn2chipError):
            self.error = got
            return
        try:
            self.comparison.add(expected, got, batch.origins)
        except CheckFailed as error:
            self.error = error
        if output not in got:
            self.error = CheckFailed("the form returned no logits")


@dataclass
class _Run:
    """One form: its programs, and how many inputs they are given."""

    form: str
    exporter: Exporter | None
    outcomes: list[_Outcome]
    limit: int | None

    def compare(self, graph: Graph, folder: Path, batch: _Batch, expected: Mapping[str, Array], report: Report) -> None:
        count = len(batch.array) if self.limit is None else min(len(batch.array), self.limit - batch.first)
        waiting = [outcome for outcome in self.outcomes if outcome.error is None]
        if count < 1 or not waiting:
            return
        wanted = {name: tensor[:count] for name, tensor in expected.items()}
        together = None
        if isinstance(self.exporter, RunsTogether):
            report(f"{self.form}: {len(waiting)} programs on {count} inputs")
            together = _together(self.exporter, graph, folder, batch.array[:count])
        for outcome in waiting:
            if together is None:
                report(f"{self.form}: {outcome.executor.name} on {count} inputs")
                got = _alone(outcome.executor, graph, folder, batch.array[:count])
            else:
                got = together if isinstance(together, Snn2chipError) else together[outcome.executor.name]
            outcome.add(wanted, got, batch, graph.output.name)

    def results(self, graph: Graph, folder: Path, inputs: Inputs) -> list[FormResult]:
        """What came of each program. A file that holds something else than `graph` is different for all of them.

        Inputs alone do not show that: a weight that is off by one often moves no spike.
        """
        changed = _changed(self.exporter, graph, folder)
        given = len(inputs) if self.limit is None else min(len(inputs), self.limit)
        for outcome in self.outcomes:
            if changed is not None and not isinstance(outcome.error, CheckFailed):
                outcome.error = changed
        found = [_result(self.form, outcome, graph, inputs, given) for outcome in self.outcomes]
        # Where the artifact lies is no part of a certificate.
        return [replace(result, reason=result.reason.replace(f"{folder}/", "")) for result in found]


def _changed(form: Exporter | None, graph: Graph, folder: Path) -> CheckFailed | None:
    """What tells the file from the one that `graph` gives; None where it is the same, or the form cannot say."""
    if not isinstance(form, Confirms):
        return None
    (file,) = form.files
    try:
        form.confirm(graph, folder / file)
    except UserError as error:
        return CheckFailed(str(error))
    return None


def _alone(executor: Executor, graph: Graph, folder: Path, inputs: Array) -> Tensors | Snn2chipError:
    try:
        return executor.run(graph, folder, inputs)
    except (UserError, CheckFailed) as error:
        return error


def _together(
    form: RunsTogether, graph: Graph, folder: Path, inputs: Array
) -> Mapping[str, Tensors | Snn2chipError] | Snn2chipError:
    try:
        return form.run_all(graph, folder, inputs)
    except (UserError, CheckFailed) as error:
        return error


def _result(form: str, outcome: _Outcome, graph: Graph, inputs: Inputs, given: int) -> FormResult:
    name, timing, error = outcome.executor.name, timing_of(outcome.executor), outcome.error
    divergence = outcome.comparison.divergence
    if divergence is None and isinstance(error, UserError):
        return FormResult(form, name, NOT_RUN, timing, reason=str(error))
    status = EXACT if divergence is None and error is None else DIFFERENT
    if divergence is not None:
        divergence = _with_cause(graph, inputs, divergence)
    reason = "" if error is None else str(error)
    rows = tuple(outcome.comparison.rows.values())
    return FormResult(form, name, status, timing, inputs.counts(given), rows, divergence, reason)


def _with_cause(graph: Graph, inputs: Inputs, found: Divergence) -> Divergence:
    place = inputs.origins.index((found.input_set, found.sample))
    frames = interpreter.as_frames(graph, inputs.array[place : place + 1])[0]
    return replace(found, cause=explain(graph, found.layer, frames, found.step, found.index))


def _forms(graph: Graph, folder: Path) -> list[_Run | FormResult]:
    """What can be run, and the results of what cannot, in the order of the forms."""
    found: list[_Run | FormResult] = [_Run("torch", None, [_Outcome(TorchExecutor())], None)]
    for name in FORMS:
        form = exporter(name)
        missing = [file for file in form.files if not (folder / file).exists()]
        if missing and not FORMS[name].standard:
            continue  # nobody asked for it
        if reason := form.refusal(graph):
            found.append(FormResult(name, "", REFUSED, reason=reason))
        elif missing:
            found.append(FormResult(name, "", NOT_RUN, reason=f"{missing[0]} is not in the artifact"))
        else:
            found.append(_Run(name, form, [_Outcome(executor) for executor in form.executors], _limit(graph, form)))
    return found


def _limit(graph: Graph, form: Exporter) -> int | None:
    """The most inputs that the slowest program of a form is given; at least one of each kind."""
    works = [limit for executor in form.executors if (limit := largest_work_of(executor)) is not None]
    return _affordable(graph, min(works)) if works else None


def _affordable(graph: Graph, largest_work: int) -> int:
    return max(LEAST_INPUTS, largest_work // work(graph))
