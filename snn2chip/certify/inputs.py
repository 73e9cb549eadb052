"""The inputs of a certificate: real samples, extremes, random ones, and what the search found."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snn2chip import artifact, interpreter
from snn2chip.artifact import Samples
from snn2chip.certify.certificate import InputSet
from snn2chip.certify.search import search
from snn2chip.errors import UserError, naming
from snn2chip.graph import Array, Graph
from snn2chip.ops import Conv2d, Input, Linear, SpikingNeuron

#: What the arithmetic of one neuron costs, measured in products of a convolution (interpreter, one thread).
NEURON_WORK = 32


@dataclass(frozen=True)
class Inputs:
    """All inputs, with the sets taking turns: every beginning of `array` holds some of each set.

    Attributes:
        sets: name and array of each, in the order in which they are reported.
        array: uint8 ``[B, ...]``.
        origins: set and index in it, for each of `array`.
    """

    sets: tuple[tuple[str, Array], ...]
    array: Array
    origins: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        return len(self.array)

    def counts(self, first: int) -> dict[str, int]:
        """How many inputs of each set are among the `first` ones."""
        return dict(Counter(name for name, _ in self.origins[:first]))

    def beginning(self, count: int) -> Inputs:
        """The first `count` inputs alone, of the same sets."""
        return replace(self, array=self.array[:count], origins=self.origins[:count])

    def described(self) -> tuple[InputSet, ...]:
        """Name, size and digest of each set, and how many of it there are in `array`."""
        counts = self.counts(len(self))
        return tuple(
            InputSet(
                name, len(array), hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(), counts.get(name, 0)
            )
            for name, array in self.sets
        )


def gather(graph: Graph, folder: Path, samples: Samples | None) -> Inputs:
    """The inputs for the artifact in `folder`: its stored search results, or a new search where it has none.

    Raises: UserError naming the file where stored inputs cannot be read or do not fit, or classes are none of graph's.
    """
    if samples is not None:
        with naming(folder / artifact.SAMPLES):
            interpreter.as_frames(graph, samples.x)
            interpreter.check_classes(graph, samples.y)
    sets = input_sets(graph, samples)
    stored = folder / artifact.SEARCH
    found = _stored(graph, stored, sets[0][1].shape[1:]) if stored.exists() else search_inputs(graph, samples)
    return arranged([*sets, ("search", found)] if len(found) else sets)


def _stored(graph: Graph, path: Path, shape: tuple[int, ...]) -> Array:
    found = artifact.read_samples(path).x
    with naming(path):
        interpreter.as_frames(graph, found)
        if found.shape[1:] != shape:  # images beside frames: each fits the graph, but they make no one array
            raise UserError(
                f"its inputs have the shape {found.shape[1:]}, and the others {shape}: export the model again"
            )
    return found


def search_inputs(graph: Graph, samples: Samples | None) -> Array:
    """Inputs that exercise what the others do not, uint8 ``[B, ...]``; the same in every run."""
    return search(graph, [array for _, array in input_sets(graph, samples)], work(graph))


def input_sets(graph: Graph, samples: Samples | None) -> list[tuple[str, Array]]:
    """Real samples, all zero, all at the maximum, and random values (fixed seed), all of one shape."""
    op = graph.input.op
    assert isinstance(op, Input)
    shape = op.shape if samples is None else samples.x.shape[1:]
    random = np.random.default_rng(0).integers(0, op.largest + 1, (4, *shape)).astype(np.uint8)
    extremes = [
        ("zero", np.zeros((1, *shape), np.uint8)),
        ("maximum", np.full((1, *shape), op.largest, np.uint8)),
        ("random", random),
    ]
    return ([] if samples is None else [("samples", np.ascontiguousarray(samples.x))]) + extremes


def arranged(sets: list[tuple[str, Array]]) -> Inputs:
    """The sets, one input of each in turn until all are placed."""
    longest = max(len(array) for _, array in sets)
    places = [(name, array, index) for index in range(longest) for name, array in reversed(sets) if index < len(array)]
    stacked = np.stack([array[index] for _, array, index in places])
    return Inputs(tuple(sets), stacked, tuple((name, index) for name, _, index in places))


def work(graph: Graph) -> int:
    """What one input costs over all T steps, in products of a weight and a value."""
    total = 0
    for node in graph.nodes:
        shape = graph.signals[node.name].shape
        if isinstance(node.op, Conv2d):
            total += node.op.weight.size * math.prod(shape[1:])
        elif isinstance(node.op, Linear):
            total += node.op.weight.size
        elif isinstance(node.op, SpikingNeuron):
            total += NEURON_WORK * math.prod(shape)
    return total * graph.steps
