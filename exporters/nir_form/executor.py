"""Runs a NIR file as a stranger would: read back with `nir.read`, built by NIRTorch, computed by torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snn2chip.errors import BackendError
from snn2chip.exporters.base import Tensors
from snn2chip.exporters.nir_form.builder import read_facts
from snn2chip.exporters.nir_form.neurons import ROLES_OF_OUTPUT
from snn2chip.exporters.nir_form.profiles import UNROLLED
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import as_frames
from snn2chip.ops import SpikingNeuron

FILE = "model.nir"
#: Stands for a value that is no 32-bit integer. Legal graphs never yield it, so that every comparison sees it.
NO_INTEGER = -(2**31)
#: Samples at a time: a layer of N levels may be N nodes, and each of them keeps what it computed until they are added.
BATCH = 64

#: For each of our layers and each copy of the network, the NIR nodes whose outputs add up to the layer's.
Places = Mapping[str, Mapping[int, list[str]]]


@dataclass(frozen=True)
class NirTorchExecutor:
    """`nirtorch.nir_to_torch` with the node map that we ship (`snn2chip.interop.nirtorch`), on the file `file`."""

    file: str = FILE
    name: str = "nirtorch"

    def run(self, graph: Graph, folder: Path, inputs: Array) -> Tensors:
        """Every neuron layer and the logits, int32 ``[B, T, *shape]``; `NO_INTEGER` for what is no 32-bit integer.

        Raises: BackendError where the file cannot be read or run; UserError where the inputs do not fit.
        """
        from snn2chip.interop import nirtorch  # torch is imported only where it runs

        path = folder / self.file
        frames = _frames(graph, inputs)
        try:
            model = nir.read(path)
            unrolled = read_facts(model).get("profile") == UNROLLED.name
            places = _places(model, graph, graph.steps if unrolled else 1)
            names = frozenset(name for copies in places.values() for nodes in copies.values() for name in nodes)
            shown = _side_by_side(frames) if unrolled else frames
            pieces = [
                _layers(nirtorch.record(model, shown[first : first + BATCH], names), places, graph)
                for first in range(0, max(1, len(shown)), BATCH)
            ]
            return {layer: np.concatenate([piece[layer] for piece in pieces]) for layer in pieces[0]}
        except (OSError, KeyError, ValueError, TypeError, AttributeError, AssertionError, RuntimeError) as error:
            raise BackendError(f"{path}: NIRTorch cannot run it ({type(error).__name__}: {error})") from error


def _frames(graph: Graph, inputs: Array) -> Array:
    """``[B, T, C, H, W]``; flat inputs are maps of one position."""
    frames = as_frames(graph, inputs)
    flat = frames.ndim == 3
    return frames[..., None, None] if flat else frames


def _side_by_side(frames: Array) -> Array:
    """The frames of all steps as the channels of one, ``[B, 1, T*C, H, W]``."""
    batch, steps, channels, *size = frames.shape
    return frames.reshape(batch, 1, steps * channels, *size)


def _places(model: Any, graph: Graph, copies: int) -> Places:
    """Where each neuron layer of ours is found; ValueError where one is missing from a copy."""
    neurons = [neuron.name for neuron in graph.of_kind(SpikingNeuron)]
    found: dict[str, dict[int, list[str]]] = {name: defaultdict(list) for name in neurons}
    for name, node in model.nodes.items():
        facts = read_facts(node)
        if facts.get("role") in ROLES_OF_OUTPUT and facts["group"] in found:
            found[facts["group"]][facts.get("step", 0)].append(name)
    for name in neurons:
        if sorted(found[name]) != list(range(copies)):
            raise ValueError(f"its metadata name no node for the neuron layer {name!r}")
    return found


def _layers(computed: Mapping[str, Array], places: Places, graph: Graph) -> dict[str, Array]:
    """Our layers, int32 ``[b, T, *shape]``, out of what the NIR nodes computed."""
    found = {layer: _added(computed, copies) for layer, copies in places.items()}
    found[graph.output.name] = computed["output"]
    batch = len(computed["output"])
    return {
        layer: _integers(values, (batch, graph.steps, *graph.signals[layer].shape)) for layer, values in found.items()
    }


def _added(computed: Mapping[str, Array], copies: Mapping[int, list[str]]) -> Array:
    """``[B, T, ...]``: the sums of the nodes of each copy, one copy after the other."""
    sums = [sum(computed[name] for name in copies[step]) for step in sorted(copies)]
    return np.concatenate(sums, axis=1)


def _integers(values: Array, shape: tuple[int, ...]) -> Array:
    """float32 of any shape as int32 of `shape`."""
    with np.errstate(invalid="ignore"):  # a conversion that fails leaves a number that is not equal
        whole = values.astype(np.int32)
    exact: Array = np.where(whole == values, whole, np.int32(NO_INTEGER))
    return exact.reshape(shape)
