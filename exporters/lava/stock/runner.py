"""Builds and runs the stock form; called by the worker, in Lava's Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip.exporters.lava import joined
from snn2chip.exporters.lava.stock.file import read
from snn2chip.exporters.lava.stock.parts import CELLS, CONV, DELAY, DENSE, INPUT, SPARSE, Part
from snn2chip.exporters.lava.watch import Starter
from snn2chip.graph_io import read_node


def run_job(job: dict[str, Any], starter: Starter) -> dict[str, Any]:
    """Runs ``job``, a document of `joined.document`. Raises: RunFailed where a process died or the time ran out."""
    from snn2chip.exporters.lava.taps import Tap, TapModel

    parts, steps = read(Path(job["form"]))
    failure = Path(job["output"]) / "failure.json"
    processes: dict[str, Any] = {}
    models: dict[Any, Any] = {}
    shapes = {part.name: part.shape for part in parts}
    for part in parts:
        process, model = _process(part, [shapes[name] for name in part.inputs], steps, job, failure)
        processes[part.name] = process
        models |= {} if model is None else {process: model}
        for index, name in enumerate(part.inputs):
            _output(processes[name]).connect(process.s_in if model is None else getattr(process, f"in_{index}"))
    lags = {part.name: part.lag for part in parts}
    for name, path in job["files"].items():
        tap = Tap(Path(path), lags[name], shapes[name], name=f"{name} observed", failure_file=failure)
        _output(processes[name]).connect(tap.a_in)
        models[tap] = TapModel
    total = job["samples"] * steps + max(lags.values())
    return joined.execute(processes[parts[0].name], models, total, job, starter)


def _output(process: Any) -> Any:
    return process.a_out


def _process(
    part: Part, sources: list[tuple[int, ...]], steps: int, job: Mapping[str, Any], failure: Path
) -> tuple[Any, Any]:
    """A process and its model; no model where Lava chooses its own."""
    from snn2chip.exporters.lava import taps

    options: dict[str, Any] = {"name": part.name, "failure_file": failure}
    if part.process in (CONV, DENSE, SPARSE):
        return _stock(part), None
    if part.process == INPUT:
        return taps.Feed(taps.Frames(Path(job["inputs"]), steps, part.shape), **options), taps.FeedModel
    if part.process == DELAY:
        return taps.Delay(part.arguments["lag"], part.shape, **options), taps.DelayModel
    if part.process != CELLS:
        raise ValueError(f"process {part.name!r} is of the unknown kind {part.process!r}: export the model again")
    entry = {"name": part.name, "inputs": list(part.inputs), **part.arguments}
    biases = tuple(part.tensors.get(f"bias_{index}") for index in range(len(sources)))
    own = {name: array for name, array in part.tensors.items() if name.startswith(f"{part.name}/")}
    cells = taps.Cells(read_node(entry, own), biases, tuple(sources), part.shape, steps, part.lag, **options)
    return cells, taps.cells_model(cells)


def _stock(part: Part) -> Any:
    from lava.proc.conv.process import Conv
    from lava.proc.dense.process import Dense
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    arguments = {name: _tuple(value) for name, value in part.arguments.items()} | {"name": part.name}
    if part.process == CONV:
        return Conv(weight=np.array(part.tensors["weight"]), **arguments)
    weights = np.array(part.tensors["weights"])
    # Lava would infer another sign mode, and other clipping, where all weights have one sign.
    if part.process == DENSE:
        return Dense(weights=weights, sign_mode=SignMode.MIXED, **arguments)
    return Sparse(weights=csr_matrix(weights), sign_mode=SignMode.MIXED, **arguments)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
