"""The same random networks through every program that executes them, and how often each could.

    python -m tests.fuzz.everywhere --networks 2000 [--seed 1] [--record FILE]

Every network goes through the loop oracle, the fast engine, every ONNX and NIR form that can express it (in all
programs that the certificate uses), ONNX's reference evaluator, SpikingJelly and Lava. No network counts twice. Those
that come out wrong are kept in ``tests/crashers/``. The exit code is 1 where anything was found.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before NumPy: threads cost more than such matrices take
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402
import itertools  # noqa: E402
import secrets  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Callable, Iterator, Sequence  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from functools import partial  # noqa: E402
from importlib import util  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

from snn2chip import engine, interpreter, lava_environment  # noqa: E402
from snn2chip.exporters import FORMS, exporter  # noqa: E402
from snn2chip.exporters.base import Executor  # noqa: E402
from snn2chip.exporters.lava.host import Job, run_jobs  # noqa: E402
from snn2chip.graph import Array  # noqa: E402
from tests.differential.comparison import assert_meaning, assert_same, executed  # noqa: E402
from tests.differential.strategies import EVERYTHING, Case, cases  # noqa: E402
from tests.exporters.stepping import step_by_step  # noqa: E402
from tests.fuzz.crashers import FOLDER, save  # noqa: E402

#: What is drawn, in turn. NIR can say the second and third kind: the first would leave it little to do.
KINDS: tuple[dict[str, Any], ...] = (
    EVERYTHING,
    {"max_steps": 1, "max_levels": 8, "max_input": 32, **EVERYTHING},
    {"only_hard_reset": True},
    {"max_levels": 8, "allow_leaky": False},
)
#: Cases that one Lava worker takes.
BATCH = 25
#: How the networks are cut for Lava, and in which timing they run, in turn.
LAVA_RUNS: tuple[tuple[Any, Any], ...] = tuple(itertools.product(("per-layer", 1, 2), ("algorithmic", "pipelined")))

#: Forms that are run network by network; Lava takes many at once.
ONE_BY_ONE = tuple(name for name in FORMS if name.startswith(("nir", "onnx")))

Compare = Callable[[], object]

REFUSED = "refused"
EXACT = "exact"


@dataclass
class Findings:
    """Outcomes by program, and the files of networks that came out wrong."""

    drawn: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    kept: list[Path] = field(default_factory=list)

    def add(self, program: str, outcome: str) -> None:
        self.outcomes.setdefault(program, Counter())[outcome] += 1


@dataclass(frozen=True)
class Session:
    """Compares cases and remembers what came of them; failing networks go to `folder`."""

    findings: Findings
    folder: Path

    def all(self, batch: Sequence[Case]) -> None:
        """Every program on every case of `batch`."""
        for case in batch:
            self.findings.drawn += 1
            self.attempt("oracle", "oracle", case, partial(assert_meaning, case))
            self.attempt("torch", "engine", case, partial(_engine, case))
            for name in FORMS:
                if name in ONE_BY_ONE:
                    self._form(name, case)
        if lava_environment.find() is not None:
            self._lava(batch)

    def attempt(self, program: str, check: str, case: Case, compare: Compare) -> None:
        """`compare` raises where `case` comes out wrong; `check` is what replays it."""
        try:
            compare()
        except Exception as error:  # noqa: BLE001  # whatever goes wrong is what is looked for
            self.findings.add(program, "WRONG")
            message = f"{program}: {type(error).__name__}: {error}"
            self.findings.kept.append(save(case, check, message, self.folder))
        else:
            self.findings.add(program, EXACT)

    def _form(self, name: str, case: Case) -> None:
        form = exporter(name)
        refused = form.refusal(case.graph) is not None
        with tempfile.TemporaryDirectory() as folder:
            if not refused:
                form.write(case.graph, Path(folder))
            for program, compare in _programs(name, case, Path(folder)).items():
                if refused:
                    self.findings.add(program, REFUSED)
                else:
                    self.attempt(program, name.partition("-")[0], case, compare)

    def _lava(self, batch: Sequence[Case]) -> None:
        runs = list(itertools.islice(itertools.cycle(LAVA_RUNS), len(batch)))
        jobs = [
            Job(case.graph, case.inputs, cut, timing=timing) for case, (cut, timing) in zip(batch, runs, strict=True)
        ]
        for case, run, result in zip(batch, runs, run_jobs(jobs), strict=True):
            self.attempt(_lava_name(*run), "lava", case, partial(_same, case, result))


def _programs(name: str, case: Case, folder: Path) -> dict[str, Compare]:
    """What runs the form `name` in `folder`, by the name of the program."""
    programs: dict[str, Compare] = {
        f"{name} in {executor.name}": partial(_executor, executor, case, folder)
        for executor in exporter(name).executors
    }
    if name == "onnx":
        programs["onnx in its reference evaluator"] = partial(_reference_evaluator, case, folder)
    if name == "nir" and util.find_spec("spikingjelly"):
        programs["nir in SpikingJelly"] = partial(_spikingjelly, case, folder)
    return programs


def _lava_name(cut: Any, timing: str) -> str:
    return f"lava, {'one process per layer' if cut == 'per-layer' else f'K={cut}'}, {timing}"


def _executor(executor: Executor, case: Case, folder: Path) -> None:
    assert_same(executed(interpreter.run, case), executor.run(case.graph, folder, case.inputs), case.graph)


def _engine(case: Case) -> None:
    assert_same(executed(interpreter.run, case), executed(engine.run, case, batch_size=2), case.graph)


def _same(case: Case, result: Any) -> None:
    if result.error is not None:
        raise result.error
    assert_same(executed(interpreter.run, case), result.tensors, case.graph)


def _reference_evaluator(case: Case, folder: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    frames = case.inputs.ndim > len(case.graph.signals[case.graph.input.name].shape) + 1
    images: Array = case.inputs[:, 0] if frames else case.inputs  # the file takes one image a sample
    with warnings.catch_warnings():
        # The evaluator makes a border of not-a-number even where it is to have no width.
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
        (logits,) = ReferenceEvaluator(str(folder / "model.onnx")).run(None, {"x": images})
    np.testing.assert_array_equal(logits, interpreter.logits(case.graph, images))


def _spikingjelly(case: Case, folder: Path) -> None:
    from snn2chip.interop import spikingjelly

    module = spikingjelly.load(folder / "model.nir")
    found = step_by_step(module, case.graph, case.inputs)
    np.testing.assert_array_equal(found, interpreter.run(case.graph, case.inputs))


def draw(count: int, first_seed: int, limits: dict[str, Any]) -> list[Case]:
    """`count` networks of one kind."""
    drawn: list[Case] = []

    @seed(first_seed)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(max_batch=2, **limits))
    def collect(case: Case) -> None:
        drawn.append(case)

    collect()
    return drawn[:count]


def batches(count: int, first_seed: int) -> Iterator[list[Case]]:
    """`count` different networks of all kinds, in batches of at most `BATCH`."""
    seen: set[str] = set()
    for number in itertools.count():
        batch: list[Case] = []
        for case in draw(2 * BATCH, first_seed + number, KINDS[number % len(KINDS)]):
            if case.graph.digest not in seen and len(batch) < min(BATCH, count - len(seen)):
                seen.add(case.graph.digest)
                batch.append(case)
        yield batch
        if len(seen) == count:
            return


def summary(findings: Findings, first_seed: int, seconds: float) -> str:
    """A Markdown table: for each program, networks that were exact, refused by name, and wrong."""
    lines = [
        f"{findings.drawn} networks, seed {first_seed}, {seconds:.0f} s",
        "",
        "| Program | exact | refused | wrong |",
        "|---|--:|--:|--:|",
    ]
    for program, counter in findings.outcomes.items():
        lines.append(f"| {program} | {counter[EXACT]} | {counter[REFUSED]} | {counter['WRONG']} |")
    absent = [name for name, there in _installed().items() if not there]
    lines += ["", *(f"Not installed here, not run: {name}." for name in absent)]
    lines += [f"Kept: {path}" for path in findings.kept] or ["Nothing found."]
    return "\n".join(lines) + "\n"


def _installed() -> dict[str, bool]:
    lava = lava_environment.find() is not None
    return {"SpikingJelly": util.find_spec("spikingjelly") is not None, "Lava's environment": lava}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.everywhere", description="Random networks, compared.")
    parser.add_argument("--networks", type=int, default=2000, help="how many to draw (2000)")
    parser.add_argument("--seed", type=int, default=None, help="repeats an earlier run (a fresh one)")
    parser.add_argument("--keep", type=Path, default=FOLDER, help="where failing networks go (tests/crashers)")
    parser.add_argument("--record", type=Path, default=None, help="also write the summary to this file")
    options = parser.parse_args(arguments)
    first_seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    session, start = Session(Findings(), options.keep), time.monotonic()
    for batch in batches(options.networks, first_seed):
        session.all(batch)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{session.findings.drawn} networks, {len(session.findings.kept)} kept")
    text = summary(session.findings, first_seed, time.monotonic() - start)
    sys.stdout.write(text)
    if options.record is not None:
        options.record.write_text(text, encoding="utf-8")
    return 1 if session.findings.kept else 0


if __name__ == "__main__":
    sys.exit(main())
