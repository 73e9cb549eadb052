"""What the fuzzer holds against what. A check takes networks and raises where one comes out wrong."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snn2chip import engine, graph_io, interpreter, lava_environment
from snn2chip.exporters import FORMS, exporter
from snn2chip.exporters.base import Confirms
from snn2chip.exporters.lava.host import Job, run_jobs
from snn2chip.frontend.onnx_file import read_onnx
from tests.differential.comparison import assert_meaning, assert_same, executed
from tests.differential.strategies import EVERYTHING, Case


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        compare: takes cases, raises where one is wrong, and returns how many could be compared: a form may refuse some.
        limits: which cases are drawn (the keywords of `cases`).
        examples: draws per round; batch: cases that one draw holds.
        shrinks: whether a failure is made smaller, which repeats the check hundreds of times.
    """

    compare: Callable[[Sequence[Case]], int]
    limits: dict[str, Any] = field(default_factory=dict)
    examples: int = 50
    batch: int = 1
    shrinks: bool = True


def each(compare: Callable[[Case], bool]) -> Callable[[Sequence[Case]], int]:
    """A check of many cases from a check of one, which says whether it could be compared."""
    return lambda cases: sum(compare(case) for case in cases)


def _oracle(case: Case) -> bool:
    assert_meaning(case)
    return True


def _engine(case: Case) -> bool:
    assert_same(executed(interpreter.run, case), executed(engine.run, case, batch_size=2), case.graph)
    return True


def _document(case: Case) -> bool:
    document, tensors = graph_io.to_document(case.graph)
    read = graph_io.from_document(json.loads(json.dumps(document)), tensors)
    assert read.digest == case.graph.digest
    assert_same(executed(interpreter.run, case), executed(interpreter.run, Case(read, case.inputs)), read)
    return True


def _form(name: str) -> Callable[[Sequence[Case]], int]:
    """Write the form, run it in every program that the certificate uses, and compare what it exposes."""

    def compare(case: Case) -> bool:
        form = exporter(name)
        if form.refusal(case.graph) is not None:
            return False
        expected = executed(interpreter.run, case)
        with tempfile.TemporaryDirectory() as folder:
            form.write(case.graph, Path(folder))
            for executor in form.executors:
                found = executor.run(case.graph, Path(folder), case.inputs)
                assert case.graph.output.name in found, f"{executor.name} returns no logits"
                assert_same(expected, found, case.graph)
        return True

    return each(compare)


def _onnx_round_trip(case: Case) -> bool:
    """Every ONNX form that takes the network is read back as it, and written again as the same bytes."""
    for name in (name for name in FORMS if name.startswith("onnx")):
        form = exporter(name)
        if form.refusal(case.graph) is not None:
            continue
        assert isinstance(form, Confirms)
        with tempfile.TemporaryDirectory() as folder:
            form.write(case.graph, Path(folder))
            path = Path(folder) / form.files[0]
            read, written_as = read_onnx(path)
            form.confirm(read, path)
        assert (read.digest, written_as) == (case.graph.digest, name)
    return True


def _lava(cases: Sequence[Case]) -> int:
    """Every case in every cut and timing, all in one worker: starting it takes longer than a small network."""
    jobs = [Job(case.graph, case.inputs, stages, timing=timing) for case in cases for stages, timing in RUNS]
    results = run_jobs(jobs)
    for job, result in zip(jobs, results, strict=True):
        assert not isinstance(job.form, Path)
        if result.error is not None:
            raise result.error
        assert_same(executed(interpreter.run, Case(job.form, job.inputs)), result.tensors, job.form)
    return len(cases)


RUNS: tuple[tuple[Any, Any], ...] = tuple(itertools.product((1, 2, "per-layer"), ("algorithmic", "pipelined")))

#: What NIR can say over several steps.
STOCK_NEURONS = {"only_hard_reset": True}

CHECKS: dict[str, Check] = {
    "oracle": Check(each(_oracle), EVERYTHING),
    "engine": Check(each(_engine), EVERYTHING),
    "document": Check(each(_document), EVERYTHING, examples=20),
    "onnx": Check(_form("onnx"), EVERYTHING, examples=25),
    "onnx_frames": Check(_form("onnx-frames"), EVERYTHING, examples=10),
    "onnx_step": Check(_form("onnx-step"), EVERYTHING, examples=10),
    "onnx_float": Check(_form("onnx-float"), EVERYTHING, examples=10),
    "onnx_qlinear": Check(_form("onnx-qlinear"), {"max_steps": 1, **EVERYTHING}, examples=20),
    "onnx_round_trip": Check(each(_onnx_round_trip), EVERYTHING, examples=10),
    "nir": Check(_form("nir"), {"max_steps": 1, "max_levels": 8, "max_input": 32, **EVERYTHING}, examples=25),
    "nir_steps": Check(_form("nir"), STOCK_NEURONS, examples=25),
    "lava": Check(_lava, {"max_steps": 4, "max_batch": 2, **EVERYTHING}, examples=1, batch=8, shrinks=False),
}


def missing(name: str) -> str | None:
    """Why a check cannot run here, or None."""
    if name == "lava" and lava_environment.find() is None:
        return "its environment is not built"
    return None
