"""onnxruntime, wrapped: deterministic settings, batches, single steps in turn, errors in one sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from snn2chip.errors import BackendError
from snn2chip.exporters.onnx_form.file import (
    cut_at_frames,
    has_steps,
    next_states,
    steps_of,
    takes_frames,
    wants_frames,
)
from snn2chip.exporters.onnx_form.names import FRAMES, INPUT, LOGITS
from snn2chip.graph import Array

#: Samples per call: bounds memory, since every tensor that is brought out stays alive until the call ends.
BATCH_SIZE = 32

#: onnxruntime's severity "error": its warnings speak to developers of the runtime.
_ERRORS_ONLY = 3


def run_model(model: ModelProto, path: Path, inputs: Array, outputs: Sequence[str]) -> dict[str, Array]:
    """The tensors `outputs`, ``[B, T, ...]``, for uint8 `inputs`. May cut `model` at its frames.

    Logits that the file itself sums over the steps are ``[B, 1, ...]``.
    Raises: UserError where the inputs do not fit the file, BackendError where onnxruntime is missing or fails.
    """
    framed, states = takes_frames(model, path, inputs), next_states(model)
    if states is not None or wants_frames(model):
        inputs = inputs if framed else np.repeat(inputs[:, None], steps_of(model), axis=1)
    elif framed and has_steps(model):
        cut_at_frames(model)
    elif framed:
        inputs = inputs[:, 0]
    session = _open(model, path)
    looped = has_steps(model)
    pieces = []
    for first in range(0, max(1, len(inputs)), BATCH_SIZE):
        batch = inputs[first : first + BATCH_SIZE]
        if states is not None:
            pieces.append(_step_by_step(session, path, outputs, batch, _zeros(model, states, len(batch)), states))
        else:
            pieces.append(_whole_sequence(session, path, outputs, _feed(model, batch), looped))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in outputs}


def _feed(model: ModelProto, batch: Array) -> dict[str, Array]:
    """Frames of a file that was cut go in steps first."""
    name = model.graph.input[0].name
    return {name: np.ascontiguousarray(batch.swapaxes(0, 1)) if name == FRAMES else batch}


def _whole_sequence(
    session: Any, path: Path, outputs: Sequence[str], feed: dict[str, Array], looped: bool
) -> dict[str, Array]:
    found = _call(session, path, list(outputs), feed)
    return {
        name: tensor.swapaxes(0, 1) if looped and name != LOGITS else tensor[:, None]
        for name, tensor in zip(outputs, found, strict=True)
    }


def _zeros(model: ModelProto, states: Mapping[str, str], batch: int) -> dict[str, Array]:
    """Every state before the first step."""
    types = {info.name: info.type.tensor_type for info in model.graph.input if info.name in states}
    return {
        name: np.zeros(
            (batch, *(dimension.dim_value for dimension in kind.shape.dim[1:])),
            helper.tensor_dtype_to_np_dtype(kind.elem_type),
        )
        for name, kind in types.items()
    }


def _step_by_step(
    session: Any,
    path: Path,
    outputs: Sequence[str],
    frames: Array,
    values: dict[str, Array],
    states: Mapping[str, str],
) -> dict[str, Array]:
    wanted = list(dict.fromkeys([*outputs, *states.values()]))
    seen: list[dict[str, Array]] = []
    for frame in np.moveaxis(frames, 1, 0):
        feed = {INPUT: np.ascontiguousarray(frame), **values}
        found = dict(zip(wanted, _call(session, path, wanted, feed), strict=True))
        values = {before: found[after] for before, after in states.items()}
        seen.append({name: found[name] for name in outputs})
    return {name: np.stack([step[name] for step in seen], axis=1) for name in outputs}


def _open(model: ModelProto, path: Path) -> Any:
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = os.cpu_count() or 1
    # Threads that wait by spinning slow down whatever else runs on the machine, and gain little on these graphs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except _failures() as error:
        raise BackendError(f"onnxruntime {ort.__version__} does not load {path}: {_first_line(error)}") from None


def _call(session: Any, path: Path, outputs: list[str], feed: dict[str, Array]) -> list[Array]:
    try:
        found: list[Array] = session.run(outputs, feed)
    except _failures() as error:
        raise BackendError(f"onnxruntime failed on {path}: {_first_line(error)}") from None
    return found


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from None
    return onnxruntime


def _failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its exceptions have no common base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*kinds, RuntimeError)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
