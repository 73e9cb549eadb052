"""Runs networks made of Lava's own processes, in the worker: what the netx and the stock form have in common."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip.exporters.lava.watch import Starter, Watch, name_actors
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import as_frames

#: Seconds that Lava gets to stop its processes.
STOP_SECONDS = 10.0
#: What a run may take before it is ended: see `timeout`.
START_SECONDS, STEP_SECONDS = 60.0, 0.5


def timeout(steps: int) -> float:
    """Seconds for a run of so many steps, generous for the small networks that these forms are for."""
    return START_SECONDS + steps * STEP_SECONDS


def document(
    graph: Graph, inputs: Array, work: Path, runner: str, form: Path, record: tuple[str, ...]
) -> dict[str, Any]:
    """A job for `host.run_documents`; int32 ``[S, T, *shape]`` files for every node of `record` and the output.

    Raises: UserError where `inputs` do not fit `graph`.
    """
    samples, output = len(as_frames(graph, inputs)), work / "output"
    output.mkdir()
    np.save(work / "inputs.npy", inputs)
    files = {name: output / f"tensor_{index}.npy" for index, name in enumerate(record)}
    files[graph.output.name] = output / "logits.npy"
    for name, path in files.items():
        shape = (samples, graph.steps, *graph.signals[name].shape)
        np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=shape).flush()
    return {
        "runner": runner,
        "form": str(form.resolve()),
        "inputs": str(work / "inputs.npy"),
        "output": str(output),
        "files": {name: str(path) for name, path in files.items()},
        "record": list(record),
        "states": [],
        "logits": graph.output.name,
        "stages": "stock processes",
        "shape": list(graph.signals[graph.input.name].shape),
        "samples": samples,
        "steps": graph.steps,
        "timeout": timeout(samples * graph.steps),
    }


def execute(
    first: Any, models: Mapping[Any, Any], steps: int, job: Mapping[str, Any], starter: Starter
) -> dict[str, Any]:
    """Runs the network to which the process `first` belongs for `steps` steps; returns timings.

    `models` maps those processes to their models for which Lava is not to search itself.
    Raises: RunFailed where a process died or the time ran out.
    """
    from lava.magma.core.process.message_interface_enum import ActorType
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.magma.runtime.runtime import Runtime

    from snn2chip.exporters.lava.network import COMPILE_CONFIG

    began = time.monotonic()
    failure_file = Path(job["output"]) / "failure.json"
    with _reporting(failure_file), Watch(job["timeout"], failure_file, starter) as watch:
        config = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=dict(models))
        executable = first.compile(config, compile_config=dict(COMPILE_CONFIG))
        runtime = Runtime(executable, ActorType.MultiProcessing)
        executable.assign_runtime_to_all_processes(runtime)
        watch.runtime, watch.names = runtime, name_actors(executable)
        runtime.initialize()
        ready = time.monotonic()
        runtime.start(RunSteps(num_steps=steps, blocking=True))
        done = time.monotonic()
        watch.expect_end(STOP_SECONDS)
        runtime.stop()
    return {
        "processes": len(watch.names),
        "steps": steps,
        "start_seconds": ready - began,
        "run_seconds": done - ready,
    }


@contextmanager
def _reporting(failure_file: Path) -> Iterator[None]:
    """Processes that are started meanwhile write down what their models raise: Lava forgets it, and waits for ever."""
    from lava.magma.core.model.py.model import PyLoihiProcessModel

    original = PyLoihiProcessModel._spike

    def spike(model: Any) -> None:
        try:
            original(model)
        except Exception as error:
            if not failure_file.exists():  # a process of ours says more
                report = {"stage": str(model.proc_params.get("name")), "error": f"{type(error).__name__}: {error}"}
                temporary = failure_file.with_suffix(f".{model.model_id}")
                temporary.write_text(json.dumps(report | {"step": model.time_step}))
                temporary.replace(failure_file)
            raise

    PyLoihiProcessModel._spike = spike
    try:
        yield
    finally:
        PyLoihiProcessModel._spike = original
