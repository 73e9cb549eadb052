"""The worker: runs jobs in Lava, in its own Python and session, and can be trusted to end.

Lava waits for ever where a process of a network dies, so the worker looks at its children ten times a second, from a
timer signal that interrupts whatever Lava waits for. Each job leaves ``result.json`` in its output folder.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip.errors import Snn2chipError
from snn2chip.exporters.lava import compatibility, form
from snn2chip.exporters.lava.records import Records
from snn2chip.exporters.lava.watch import RunFailed, Starter, Watch, name_actors

#: Seconds that Lava gets to stop its processes before they are ended.
STOP_SECONDS = 10.0
#: Open files that the worker allows itself where the machine lets it.
FILES = 65536


def main(arguments: Sequence[str]) -> None:
    """Runs the jobs of ``jobs.json`` in the folder that is named, one after the other, and ends the process."""
    work = Path(arguments[0])
    _raise_file_limit()
    compatibility.prepare()
    document = json.loads((work / "jobs.json").read_text())
    for job in document["jobs"]:
        result = attempt(job, Starter(document["parent"], work))
        _write_json(Path(job["output"]) / "result.json", result)
    sys.stderr.flush()
    # An ordinary exit would join whatever process Lava may have left, for ever.
    os._exit(0)


def attempt(job: dict[str, Any], starter: Starter) -> dict[str, Any]:
    """Runs one job. Returns its timings, or the error with the stage and node where it happened, as JSON-ready data."""
    try:
        return run_job(job, starter)
    except RunFailed as failure:
        return failure.report
    except Snn2chipError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001  # whatever it was, the host must hear of it, and the next job run
        traceback.print_exc()
        return {"error": f"Lava failed: {type(error).__name__}: {error}"}


def run_job(job: dict[str, Any], starter: Starter) -> dict[str, Any]:
    """Runs ``job``: keys form, inputs, output (paths), stages, timing, batch, timeout (seconds), and the node names in
    record and states.

    Writes ``<output>/tensor_<i>.npy`` for the i-th recorded node, ``state_<i>.npy`` for the i-th state, and
    ``logits.npy``, ``[S, T, *shape]`` each.
    A job that names a module as its ``runner`` is run by that module's `run_job(job, starter)`.
    Raises: RunFailed where a process died, raised or took too long.
    """
    if "runner" in job:
        outcome: dict[str, Any] = importlib.import_module(job["runner"]).run_job(job, starter)
        return outcome
    from lava.magma.core.run_conditions import RunSteps

    output, began = Path(job["output"]), time.monotonic()
    with Watch(job["timeout"], output / "failure.json", starter) as watch:
        runtime, steps, processes = _start(job, output, watch)
        ready = time.monotonic()
        runtime.start(RunSteps(num_steps=steps, blocking=True))
        done = time.monotonic()
        watch.expect_end(STOP_SECONDS)
        runtime.stop()
    return {"processes": processes, "steps": steps, "start_seconds": ready - began, "run_seconds": done - ready}


def _start(job: dict[str, Any], output: Path, watch: Watch) -> tuple[Any, int, int]:
    """The runtime, steps to run, and how many operating-system processes there are."""
    from lava.magma.core.process.message_interface_enum import ActorType
    from lava.magma.runtime.runtime import Runtime

    from snn2chip.exporters.lava import network

    graph, parts = form.read(Path(job["form"]), job["stages"])
    inputs, logits, failure = Path(job["inputs"]), output / "logits.npy", watch.failure_file
    records = _records(job, output)
    records.allocate(graph)
    net = network.build(graph, parts, job["batch"], job["timing"], records, records.samples, failure)
    steps = net.connect_files(inputs, logits, failure)
    first = next(iter(net.stages.values()))
    executable = first.compile(net.run_config(), compile_config=dict(network.COMPILE_CONFIG))
    runtime = Runtime(executable, ActorType.MultiProcessing)
    executable.assign_runtime_to_all_processes(runtime)
    watch.runtime = runtime
    watch.names = name_actors(executable)
    runtime.initialize()
    return runtime, steps, len(watch.names)


def _records(job: dict[str, Any], output: Path) -> Records:
    samples = int(np.load(job["inputs"], mmap_mode="r").shape[0])
    values = {name: output / f"tensor_{index}.npy" for index, name in enumerate(job["record"])}
    states = {name: output / f"state_{index}.npy" for index, name in enumerate(job["states"])}
    return Records(samples, values, states)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)
