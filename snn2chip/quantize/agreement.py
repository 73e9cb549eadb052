"""How closely an integer network follows the float one, spike by spike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snn2chip import engine
from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import SpikingNeuron
from snn2chip.quantize import float_engine

#: Samples that both networks run at once, at most, and values of one layer.
_BATCH = 64
_MOST_VALUES = 2**24


@dataclass(frozen=True)
class LayerAgreement:
    """Spikes of one layer of neurons, compared at every neuron and step.

    Attributes:
        equal: fraction of equal spike counts.
        mean_difference: mean absolute difference of counts.
        float_mean, integer_mean: mean counts.
    """

    equal: float
    mean_difference: float
    float_mean: float
    integer_mean: float


@dataclass(frozen=True)
class Agreement:
    """A float and an integer network on the same inputs.

    Attributes:
        layers: by the name of the neurons.
        samples: how many inputs there were.
        same_predictions: fraction of inputs that both put into the same class.
        float_accuracy, integer_accuracy: fractions, or None where the classes are not known.
    """

    layers: Mapping[str, LayerAgreement]
    samples: int
    same_predictions: float
    float_accuracy: float | None = None
    integer_accuracy: float | None = None


def agreement(float_graph: Graph, integer_graph: Graph, inputs: Array, classes: Array | None = None) -> Agreement:
    """Compare the spikes of the neurons that both graphs name alike, and their predictions.

    The integer graph runs in `snn2chip.engine` (exact), the float graph in float32.

    Args: inputs, uint8 as for `snn2chip.interpreter.run`; classes, the class of each.
    Raises: UserError where inputs do not fit, or there are none.
    """
    if not len(inputs):
        raise UserError("there are no inputs to compare the networks on: give at least one")
    comparison = _Comparison(float_graph, integer_graph)
    largest = max(signal.size for signal in float_graph.signals.values()) * float_graph.steps
    batch = max(1, min(_BATCH, _MOST_VALUES // largest))
    for first in range(0, len(inputs), batch):
        comparison.add(inputs[first : first + batch])
    floats, integers = (np.concatenate(found) for found in (comparison.float_classes, comparison.integer_classes))
    return Agreement(
        layers={name: tally.result() for name, tally in comparison.tallies.items()},
        samples=len(inputs),
        same_predictions=float(np.mean(floats == integers)),
        float_accuracy=None if classes is None else float(np.mean(floats == classes)),
        integer_accuracy=None if classes is None else float(np.mean(integers == classes)),
    )


class _Comparison:
    """Runs batches through both graphs; an observer of the integer run."""

    def __init__(self, float_graph: Graph, integer_graph: Graph) -> None:
        self._float, self._integer = float_graph, integer_graph
        names = [node.name for node in float_graph.of_kind(SpikingNeuron) if node.name in integer_graph]
        self.tallies = {name: _Tally() for name in names}
        self._expected: dict[str, Tensor] = {}
        self.float_classes: list[Array] = []
        self.integer_classes: list[Array] = []

    def add(self, inputs: Array) -> None:
        self._expected = {}
        for node, value in float_engine.run(self._float, inputs):
            if node.name in self.tallies:
                self._expected[node.name] = value.to(torch.uint8)  # at most 255 levels
            if node is self._float.output:
                self.float_classes.append(value.sum(dim=0).argmax(dim=1).numpy())
        logits = engine.run(self._integer, inputs, [self], batch_size=len(inputs)).sum(axis=1)
        self.integer_classes.append(logits.argmax(axis=1))

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        if node.name in self.tallies:
            self.tallies[node.name].add(self._expected[node.name][step].numpy(), tensor)


class _Tally:
    def __init__(self) -> None:
        self._count = self._equal = self._float = self._integer = 0
        self._difference = 0.0

    def add(self, expected: Array, found: Array) -> None:
        difference = np.abs(expected - found.astype(np.float32))
        self._count += expected.size
        self._equal += int(np.count_nonzero(difference == 0))
        self._difference += float(difference.sum(dtype=np.float64))
        self._float += int(expected.sum(dtype=np.int64))
        self._integer += int(found.sum(dtype=np.float64))

    def result(self) -> LayerAgreement:
        count = self._count
        return LayerAgreement(self._equal / count, self._difference / count, self._float / count, self._integer / count)
