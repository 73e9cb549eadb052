"""The linear layers at the end of a network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from snn2chip.nn.neuron_factory import NeuronFactory


def linear_head(features: int, hidden: Sequence[int], classes: int, neurons: NeuronFactory) -> nn.Module:
    """Linear-BN-neuron for each of the ``hidden`` widths, then the linear layer that gives the logits.

    The norm has the statistics of time and batch together, as those of convolutions have.
    """
    widths = [features, *hidden]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), neurons.neuron(outputs)]
    last = nn.Linear(widths[-1], classes)
    return nn.Sequential(*layers, last) if layers else last


def head_weights(features: int, hidden: Sequence[int], classes: int) -> int:
    """How many weights `linear_head` has, biases and norms apart."""
    widths = [features, *hidden, classes]
    return sum(inputs * outputs for inputs, outputs in pairwise(widths))
