"""onnxruntime, wrapped: deterministic settings, batches, errors in one sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from snn2chip.errors import BackendError
from snn2chip.exporters.onnx_form.file import cut_at_frames, has_steps, takes_frames
from snn2chip.exporters.onnx_form.names import FRAMES, INPUT
from snn2chip.graph import Array

#: Samples per call: bounds memory, since every tensor that is brought out stays alive until the call ends.
BATCH_SIZE = 32

#: onnxruntime's severity "error": its warnings speak to developers of the runtime.
_ERRORS_ONLY = 3


def run_model(model: ModelProto, path: Path, inputs: Array, outputs: Mapping[str, int]) -> dict[str, Array]:
    """The tensors `outputs` (name to batch axis) for uint8 `inputs`, batch axis first. May cut `model` at its frames.

    Raises: UserError where the inputs do not fit the file, BackendError where onnxruntime is missing or fails.
    """
    feed_frames = takes_frames(model, path, inputs)
    if feed_frames and has_steps(model):
        cut_at_frames(model)
    elif feed_frames:
        inputs, feed_frames = inputs[:, 0], False
    session = _open(model, path)
    pieces = []
    for first in range(0, max(1, len(inputs)), BATCH_SIZE):
        batch = inputs[first : first + BATCH_SIZE]
        feed = {FRAMES: np.ascontiguousarray(batch.swapaxes(0, 1))} if feed_frames else {INPUT: batch}
        pieces.append(_call(session, path, list(outputs), feed))
    columns = zip(*pieces, strict=True)
    return {
        name: np.concatenate([np.moveaxis(piece, axis, 0) for piece in column])
        for (name, axis), column in zip(outputs.items(), columns, strict=True)
    }


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
