"""Runs the written files in onnxruntime: as they stand, and with their inner tensors brought out for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snn2chip.errors import CheckFailed
from snn2chip.exporters.base import Tensors
from snn2chip.exporters.onnx_form.file import expose, read_model
from snn2chip.exporters.onnx_form.names import LOGITS, MODEL_FILE
from snn2chip.exporters.onnx_form.session import run_model
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import as_frames
from snn2chip.ops import SpikingNeuron


@dataclass(frozen=True)
class OnnxRuntime:
    """onnxruntime on the CPU. Every neuron layer is seen, as the written file computes it.

    Attributes:
        file: which file of the artifact it runs.
    """

    file: str = MODEL_FILE
    name: str = "onnxruntime"

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        """See `snn2chip.exporters.base.Executor.run`; spikes are uint8, the per-step logits int32.

        The tensors come from a copy of the file, in memory, that differs from it in the list of outputs only.
        Raises: also CheckFailed where the file lacks a node, or does not return the sum of its per-step logits.
        """
        as_frames(graph, inputs)  # refuses what does not fit
        path = folder / self.file
        tensors = _inner_tensors(graph, path, inputs)
        if not np.array_equal(run_file(path, inputs), tensors[graph.output.name].sum(axis=1, dtype=np.int32)):
            raise CheckFailed(f"{path}: its logits are not the sum over the steps of node {graph.output.name!r}")
        return tensors


def run_file(path: Path, inputs: Array) -> Array:
    """What the ONNX file computes: logits ``[B, classes]`` int32, summed over the steps.

    Args:
        inputs: uint8 ``[B, *shape]``, or frames ``[B, T, *shape]``.
    Raises: UserError where file or inputs are unfit, BackendError where onnxruntime fails.
    """
    logits: Array = run_model(read_model(path), path, inputs, [LOGITS])[LOGITS].sum(axis=1, dtype=np.int32)
    return logits


def _inner_tensors(graph: Graph, path: Path, inputs: Array) -> dict[str, Array]:
    model = read_model(path)
    names = [node.name for node in (*graph.of_kind(SpikingNeuron), graph.output)]
    tensors = expose(model, path, names)
    found = run_model(model, path, inputs, list(tensors.values()))
    seen = {name: _whole(path, name, found[tensor]) for name, tensor in tensors.items()}
    for name, array in seen.items():
        wanted = (len(inputs), graph.steps, *graph.signals[name].shape)
        if array.shape != wanted:
            raise CheckFailed(f"{path}: node {name!r} yields the shape {array.shape} where the network has {wanted}")
    return seen


def _whole(path: Path, name: str, values: Array) -> Array:
    if values.dtype.kind != "f":
        return values
    rounded = np.rint(values)
    if not (rounded == values).all():
        raise CheckFailed(f"{path}: node {name!r} yields numbers that are not whole")
    return rounded.astype(np.int32)
