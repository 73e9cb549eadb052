"""Runs an exported network in Lava from outside: one isolated worker process per call, which always comes back."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from snn2chip.errors import BackendError, UserError
from snn2chip.exporters.lava import form, preflight
from snn2chip.exporters.lava.partition import Stages
from snn2chip.exporters.lava.process_group import end_group
from snn2chip.exporters.lava.records import check_names, stateful
from snn2chip.exporters.lava.watch import describe_exit
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import as_frames
from snn2chip.lava_environment import LavaEnvironment, require
from snn2chip.lowering.pipeline import Timing, check_timing
from snn2chip.ops import SpikingNeuron

Record = Literal["neurons", "output"]

#: Samples that travel together unless shared memory holds fewer.
BATCH = 16
#: Seconds for the worker to start, and for each job beyond its own time, before the caller stops waiting.
START_SECONDS = 60.0
EXTRA_SECONDS = 30.0
#: Paths of sockets have at most 107 characters; what is put below the temporary folder takes 55 of them.
SOCKET_FOLDER_LENGTH = 52


@dataclass(frozen=True)
class Job:
    """One run of `form`, the folder that `write` made or a graph, on uint8 ``[S, *shape]`` or ``[S, T, *shape]``.

    `record` keeps the output of every neuron node, or the logits alone; `states` names nodes whose state is kept, too;
    `timeout` is in seconds.
    """

    form: Path | Graph
    inputs: Array
    stages: Stages = "per-layer"
    record: Record = "neurons"
    timeout: float = 600.0
    batch: int = BATCH
    timing: Timing = "algorithmic"
    states: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What one job gave.

    `tensors` maps every recorded neuron node and the output node to its values at every step, ``[S, T, *shape]``, uint8
    to int32; the logits are the output's sum over T. Steps are a node's own: step t of a layer belongs to frame t in
    every timing. `states` maps nodes to what they kept after each step, int32 ``[S, T, *shape]``. `timings` holds
    processes, steps, start_seconds, run_seconds. `error` is None, or says why there are no tensors.
    """

    tensors: dict[str, Array]
    timings: dict[str, float]
    error: BackendError | None = None
    states: dict[str, Array] = field(default_factory=dict)


def run(
    form: str | Path | Graph,
    inputs: Array,
    stages: Stages = "per-layer",
    timeout: float = 600.0,
    record: Record = "neurons",
    timing: Timing = "algorithmic",
) -> dict[str, Array]:
    """Runs one job and returns its tensors (see `Job` and `Result`).

    Raises: UserError where the inputs do not fit or a limit of the machine is too low, BackendError where the
    environment is missing, a process failed (naming stage and node) or the time ran out.
    """
    source = Path(form) if isinstance(form, str) else form
    (result,) = run_jobs([Job(source, inputs, stages, record, timeout, timing=timing)])
    if result.error is not None:
        raise result.error
    return result.tensors


def run_jobs(jobs: Sequence[Job], environment: LavaEnvironment | None = None) -> list[Result]:
    """Runs `jobs` one after the other in a single worker; a job that fails does not keep the next ones from running.

    Raises: UserError where a job cannot be run at all, BackendError where the environment is missing.
    """
    single = all(job.stages == 1 for job in jobs)
    return run_documents(
        lambda work: [_prepare(job, work / str(index)) for index, job in enumerate(jobs)],
        environment,
        threads=(os.cpu_count() or 1) if single else 1,
    )


def run_documents(
    prepare: Callable[[Path], Sequence[dict[str, Any]]], environment: LavaEnvironment | None = None, threads: int = 1
) -> list[Result]:
    """Runs jobs that `prepare` writes into a work folder and describes, as `worker.run_job` or their runner wants them.

    Raises: BackendError where the environment is missing, and whatever `prepare` raises.
    """
    chosen = environment or require()
    with tempfile.TemporaryDirectory(prefix="snn2chip-lava-", dir=_scratch()) as folder:
        work = Path(folder)
        documents = prepare(work)
        (work / "jobs.json").write_text(json.dumps({"parent": os.getpid(), "jobs": documents}))
        ended = _run_worker(chosen, work, documents, threads)
        return [_collect(document, ended) for document in documents]


def packages() -> dict[str, str]:
    """Folders of this project's packages, for `bootstrap.py`; parents first."""
    names = ("snn2chip", "snn2chip.exporters")
    return {name: str(Path(str(importlib.import_module(name).__file__)).parent) for name in names}


def _scratch() -> str:
    """Where work folders go: Lava's runtime puts a socket into them, whose whole path has to be short."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= SOCKET_FOLDER_LENGTH else "/tmp"


def _prepare(job: Job, folder: Path) -> dict[str, Any]:
    """Writes a job's files into `folder` and returns its description for the worker."""
    (folder / "output").mkdir(parents=True)
    source = job.form
    if isinstance(source, Graph):
        form.write(source, folder / "form")
        source = folder / "form"
    graph, parts = form.read(source, job.stages)
    as_frames(graph, job.inputs)
    check_timing(job.timing)
    check_names(job.states, stateful(graph), "state")
    if not len(job.inputs):
        raise UserError("the input holds no samples: give at least one")
    np.save(folder / "inputs.npy", job.inputs)
    return {
        "form": str(source.resolve()),
        "inputs": str(folder / "inputs.npy"),
        "output": str(folder / "output"),
        "logits": graph.output.name,
        "stages": job.stages,
        "record": [node.name for node in graph.of_kind(SpikingNeuron)] if job.record == "neurons" else [],
        "states": list(job.states),
        "timing": job.timing,
        "batch": preflight.fitting_batch(graph, parts, min(job.batch, len(job.inputs))),
        "timeout": job.timeout,
    }


def _run_worker(environment: LavaEnvironment, work: Path, jobs: Sequence[dict[str, Any]], threads: int) -> str:
    """Runs the worker to its end and returns how it ended; nothing of it is left when this returns or raises."""
    bootstrap = Path(packages()["snn2chip.exporters"]) / "lava" / "bootstrap.py"
    arguments = [json.dumps(packages()), "snn2chip.exporters.lava.worker", str(work)]
    command = [str(environment.python), "-I", str(bootstrap), *arguments]
    limit = START_SECONDS + sum(job["timeout"] + EXTRA_SECONDS for job in jobs)
    with (work / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=_variables(threads, work),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            return _describe_end(process.wait(timeout=limit), work)
        except subprocess.TimeoutExpired:
            return f"the Lava worker did not come back within {limit:g} s"
        finally:
            end_group(process.pid)
            process.wait()


def _variables(threads: int, work: Path) -> dict[str, str]:
    # With the default number of threads in each of many processes, BLAS was measured 17 times slower.
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    # What the worker calls temporary goes when its folder goes.
    return {**os.environ, **dict.fromkeys(names, str(threads)), "TMPDIR": str(work)}


def _describe_end(code: int, work: Path) -> str:
    if code == 0:
        return "the Lava worker ended without a result"
    lines = (work / "worker.log").read_text(errors="replace").strip().splitlines()
    last = f"; its last words: {lines[-1]}" if lines else ""
    return f"the Lava worker died ({describe_exit(code)}){last}"


def _collect(job: dict[str, Any], ended: str) -> Result:
    output = Path(job["output"])
    if not (output / "result.json").exists():
        return Result({}, {}, BackendError(f"{ended}: run `snn2chip doctor`"))
    report = json.loads((output / "result.json").read_text())
    if "error" in report:
        return Result({}, {}, BackendError(_describe_failure(report, job["stages"])))
    tensors = {name: np.load(output / f"tensor_{index}.npy") for index, name in enumerate(job["record"])}
    tensors[job["logits"]] = np.load(output / "logits.npy")
    states = {name: np.load(output / f"state_{index}.npy") for index, name in enumerate(job.get("states", ()))}
    return Result(tensors, report, states=states)


def _describe_failure(report: dict[str, Any], stages: Stages) -> str:
    where = f" at stage {report['stage']!r}" if "stage" in report else ""
    where += f", node {report['node']!r}" if report.get("node") else ""
    where += f", step {report['step']}" if "step" in report else ""
    return f"Lava (stages: {stages}) failed{where}: {report['error']}"
