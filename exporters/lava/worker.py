"""The worker: runs jobs in Lava, in its own Python and session, and can be trusted to end.

Lava waits for ever where a process of a network dies, so the worker looks at its children ten times a second, from a
timer signal that interrupts whatever Lava waits for. Each job leaves ``result.json`` in its output folder.
"""

from __future__ import annotations

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
from snn2chip.exporters.lava.partition import Partition, payload_dtype
from snn2chip.exporters.lava.watch import RunFailed, Starter, Watch, name_actors
from snn2chip.graph import Graph

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
    """Runs ``job``: keys form, inputs, output (paths), stages, batch, record (node names), timeout (seconds).

    Writes ``<output>/tensor_<i>.npy`` for the i-th recorded node and ``<output>/logits.npy``, ``[S, T, *shape]`` each.
    Raises: RunFailed where a process died, raised or took too long.
    """
    from lava.magma.core.run_conditions import RunSteps

    output, began = Path(job["output"]), time.monotonic()
    graph, parts = form.read(Path(job["form"]), job["stages"])
    samples = int(np.load(job["inputs"], mmap_mode="r").shape[0])
    files = {name: output / f"tensor_{index}.npy" for index, name in enumerate(job["record"])}
    for name, path in {**files, graph.output.name: output / "logits.npy"}.items():
        _allocate(graph, name, samples, path)
    steps = graph.steps * -(-samples // job["batch"])
    with Watch(job["timeout"], output / "failure.json", starter) as watch:
        runtime, processes = _start(graph, parts, job, files, watch)
        ready = time.monotonic()
        runtime.start(RunSteps(num_steps=steps, blocking=True))
        done = time.monotonic()
        watch.expect_end(STOP_SECONDS)
        runtime.stop()
    return {"processes": processes, "steps": steps, "start_seconds": ready - began, "run_seconds": done - ready}


def _start(
    graph: Graph, parts: Partition, job: dict[str, Any], files: dict[str, Path], watch: Watch
) -> tuple[Any, int]:
    from lava.magma.core.process.message_interface_enum import ActorType
    from lava.magma.runtime.runtime import Runtime

    from snn2chip.exporters.lava import network

    output = Path(job["output"])
    net = network.build(graph, parts, job["batch"], files, watch.failure_file)
    models = network.attach_files(net, Path(job["inputs"]), output / "logits.npy", job["batch"], watch.failure_file)
    first = next(iter(net.stages.values()))
    config = net.run_config(exception_proc_model_map=models)
    executable = first.compile(config, compile_config=dict(network.COMPILE_CONFIG))
    runtime = Runtime(executable, ActorType.MultiProcessing)
    executable.assign_runtime_to_all_processes(runtime)
    watch.runtime = runtime
    watch.names = name_actors(executable)
    runtime.initialize()
    return runtime, len(watch.names)


def _allocate(graph: Graph, name: str, samples: int, path: Path) -> None:
    """An empty ``.npy`` file, its blocks reserved: a full disk would otherwise kill the process that writes to it."""
    carried = graph.signals[name]
    dtype = "int32" if name == graph.output.name else payload_dtype(carried)
    shape = (samples, graph.steps, *carried.shape)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    del array
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)
