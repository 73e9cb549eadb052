"""What tracing would silently get wrong is refused, or captured as PyTorch means it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snn2chip import frontend
from snn2chip import nn as networks
from snn2chip.errors import UserError

Forward = Callable[[Any, Tensor], Any]


class Parts(nn.Module):
    """The layers that each forward below wires in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.encoding, self.other_encoding = networks.DirectEncoding(1), networks.DirectEncoding(2)
        self.conv, self.second = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 1)
        self.neuron, self.average = networks.MultiLevelIF(4), nn.AdaptiveAvgPool2d(1)
        self.flatten, self.head, self.readout = nn.Flatten(), nn.Linear(16, 3), networks.Readout(1)

    def spikes(self, x: Tensor) -> Any:
        return self.neuron(self.conv(self.encoding(x)))

    def logits(self, spikes: Tensor) -> Any:
        return self.readout(self.head(self.flatten(spikes)))


def network(forward: Forward) -> nn.Module:
    return type("Network", (Parts,), {"forward": forward})()  # type: ignore[no-any-return]


def hidden(self: Any, x: Tensor) -> Any:
    spikes = self.spikes(x)
    self.logits(spikes)
    return spikes


def pair(self: Any, x: Tensor) -> Any:
    spikes = self.spikes(x)
    return self.logits(spikes), spikes


def aliased(self: Any, x: Tensor) -> Any:
    spikes = self.spikes(x)
    kept = spikes
    spikes += self.neuron(self.second(spikes))
    return self.logits(spikes + kept)


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (hidden, r"must return one tensor, the last that it computes \('readout'\): neuron"),
        (pair, r"must return one tensor"),
        (aliased, r"neuron is changed by \+= and read again later"),
        (lambda self, x: self.logits(self.spikes(self.encoding(x))), r"'encoding' .* must read the input"),
        (
            lambda self, x: self.logits(self.spikes(x) + self.other_encoding(x)),
            r"'other_encoding' .* over 2 steps, but it was read over 1 before",
        ),
        (lambda self, x: self.logits(self.spikes(x)) if len(x) else x, r"cannot be traced"),
        (lambda self, x: self.missing(x), r"cannot be traced: .*missing"),
        (lambda self, x: self.average(self.flatten(self.spikes(x))), r"'average' .* needs a \(channels"),
        (lambda self, x: self.logits(torch.add(self.spikes(x), self.spikes(x), alpha=2)), r"add \(call_function\)"),
    ],
)
def test_a_forward_that_cannot_be_kept_is_refused(forward: Forward, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(network(forward), (1, 4, 4), 16)


class Doubled(networks.MultiLevelIF):
    """Another layer, though it derives from a known one."""

    def forward(self, current: Tensor) -> Tensor:
        return super().forward(current) * 2


def test_a_subclass_with_its_own_forward_is_another_layer() -> None:
    model = network(lambda self, x: self.logits(self.spikes(x)))
    model.neuron = Doubled(4)
    with pytest.raises(UserError, match=r"module 'neuron' \(Doubled\) is not supported"):
        frontend.capture(model, (1, 4, 4), 16)


def test_a_weight_that_a_hook_still_has_to_compute_is_refused() -> None:
    model = network(lambda self, x: self.logits(self.spikes(x)))
    model.conv.register_forward_pre_hook(lambda module, inputs: None)  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"module 'conv' \(Conv2d\) has forward pre-hooks"):
        frontend.capture(model, (1, 4, 4), 16)


def test_levels_that_are_no_whole_number_are_refused() -> None:
    model = network(lambda self, x: self.logits(self.spikes(x)))
    model.neuron = networks.MultiLevelIF(1.5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"N must be a whole number"):
        frontend.capture(model, (1, 4, 4), 16)


def test_sizes_as_lists_and_half_precision_weights() -> None:
    model = network(lambda self, x: self.logits(self.average(self.spikes(x))))
    model.average, model.head = nn.AvgPool2d([2, 2]), nn.Linear(4, 3)  # type: ignore[arg-type]
    model.conv.to(torch.bfloat16)
    assert frontend.capture(model, (1, 4, 4), 16).signals["average"].shape == (1, 2, 2)
