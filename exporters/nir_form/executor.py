"""Runs ``model.nir`` as a stranger would: read back with `nir.read`, built by NIRTorch, computed by torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snn2chip.errors import BackendError
from snn2chip.exporters.base import Tensors
from snn2chip.exporters.nir_form.builder import METADATA_KEY
from snn2chip.exporters.nir_form.neurons import ROLES_OF_OUTPUT
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import as_frames
from snn2chip.ops import SpikingNeuron

FILE = "model.nir"
#: Stands for a value that is no 32-bit integer. Legal graphs never yield it, so that every comparison sees it.
NO_INTEGER = -(2**31)


class NirTorchExecutor:
    """`nirtorch.nir_to_torch` with the node map that we ship (`snn2chip.interop.nirtorch`)."""

    name = "nirtorch"

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        """Every neuron layer and the logits, int32 ``[B, T, *shape]``; `NO_INTEGER` for what is no 32-bit integer.

        Raises: BackendError where the file cannot be read or run; UserError where the inputs do not fit.
        """
        from snn2chip.interop import nirtorch  # torch is imported only where it runs

        path = folder / FILE
        frames = _frames(graph, inputs)
        try:
            model = nir.read(path)
            layers = _layers(model, graph)
            computed = nirtorch.record(model, frames, frozenset(layers.values()))
        except (OSError, KeyError, ValueError, TypeError, AttributeError, AssertionError, RuntimeError) as error:
            raise BackendError(f"{path}: NIRTorch cannot run it ({type(error).__name__}: {error})") from error
        shapes = {name: graph.signals[name].shape for name in layers}
        return {name: _integers(computed[layers[name]], shapes[name]) for name in layers}


def _frames(graph: Graph, inputs: Array) -> Array:
    """``[B, T, C, H, W]``; flat inputs are maps of one position."""
    frames = as_frames(graph, inputs)
    flat = frames.ndim == 3
    return frames[..., None, None] if flat else frames


def _layers(model: Any, graph: Graph) -> dict[str, str]:
    """NIR nodes by the layers of ours that they stand for: every neuron layer, and the output."""
    neurons = {neuron.name for neuron in graph.of_kind(SpikingNeuron)}
    found = {graph.output.name: "output"}
    for name, node in model.nodes.items():
        facts = json.loads(node.metadata.get(METADATA_KEY, "{}"))
        if facts.get("role") in ROLES_OF_OUTPUT and facts["group"] in neurons:
            found[facts["group"]] = name
    if missing := sorted(neurons - set(found)):
        raise ValueError(f"its metadata name no node for the neuron layer {missing[0]!r}")
    return found


def _integers(values: Array, shape: tuple[int, ...]) -> Array:
    """float32 ``[B, T, ...]`` as int32 ``[B, T, *shape]``."""
    with np.errstate(invalid="ignore"):  # a conversion that fails leaves a number that is not equal
        whole = values.astype(np.int32)
    exact: Array = np.where(whole == values, whole, np.int32(NO_INTEGER))
    return exact.reshape(*values.shape[:2], *shape)
