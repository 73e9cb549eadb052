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
from snn2chip.ops import Add

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


def viewed(self: Any, x: Tensor) -> Any:
    current = self.conv(self.encoding(x))
    view = current.view(-1, 1, 4, 4)
    current += self.second(self.spikes(x))
    return self.logits(self.neuron(current + view))


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (hidden, r"it computes 'readout', which its output does not need"),
        (pair, r"returns several tensors \(0: 'readout', 1: 'neuron\.value'\): choose one"),
        (viewed, r"reads a view of a tensor that was changed in place"),
        (lambda self, x: self.logits(self.spikes(self.encoding(x))), r"'encoding' .* must read the input"),
        (
            lambda self, x: self.logits(self.spikes(x) + self.other_encoding(x)),
            r"'other_encoding' .*it runs 2 steps, but the network runs T = 1",
        ),
        (lambda self, x: self.missing(x), r"cannot be traced: .*missing"),
        (lambda self, x: self.average(self.flatten(self.spikes(x))), r"'average' .* needs \[B, channels"),
        (lambda self, x: self.logits(self.spikes(x) * self.spikes(x)), r"a product of two tensors"),
        (lambda self, x: self.logits(self.spikes(x) - self.spikes(x)), r"spikes with a minus sign"),
        (lambda self, x: self.logits(-self.spikes(x)), r"spikes with a minus sign"),
        (lambda self, x: self.logits(self.spikes(x)).softmax(1), r"softmax is not supported"),
        (lambda self, x: self.logits(self.spikes(x)[:, :, :2]), r"takes the part :2"),
        (lambda self, x: self.logits(self.spikes(x).long()), r"converts to torch.int64, which cuts"),
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
    with pytest.raises(UserError, match=r"module 'neuron' \(Doubled\).* its forward is another"):
        frontend.capture(model, (1, 4, 4), 16)


def test_a_weight_that_a_hook_still_has_to_compute_is_refused() -> None:
    model = network(lambda self, x: self.logits(self.spikes(x)))
    model.conv.register_forward_pre_hook(lambda module, inputs: None)  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"module 'conv' \(Conv2d\): it has forward pre-hooks"):
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


def test_a_hook_on_the_output_is_refused() -> None:
    model = network(lambda self, x: self.logits(self.spikes(x)))
    model.conv.register_forward_hook(lambda module, inputs, output: output * 2)  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"module 'conv' \(Conv2d\): it has forward hooks"):
        frontend.capture(model, (1, 4, 4), 16)


def test_one_of_several_outputs_is_chosen() -> None:
    graph = frontend.capture(network(pair), (1, 4, 4), 16, output=0)
    assert graph.output.name == "readout"
    assert "head" not in frontend.capture(network(pair), (1, 4, 4), 16, output=1)
    with pytest.raises(UserError, match="returns 2 tensors, but output 2"):
        frontend.capture(network(pair), (1, 4, 4), 16, output=2)


def aliased(self: Any, x: Tensor) -> Any:
    current = self.conv(self.encoding(x))
    kept = current
    current += self.second(self.spikes(x))
    return self.logits(self.neuron(current + kept))


def test_another_name_sees_a_change_in_place() -> None:
    """As in PyTorch, both operands of the last sum are the changed tensor."""
    graph = frontend.capture(network(aliased), (1, 4, 4), 16)
    assert [node.inputs for node in graph.of_kind(Add)] == [("conv", "second"), ("add", "add")]


def test_a_batch_norm_that_diverged_is_refused() -> None:
    model = network(lambda self, x: self.logits(self.neuron(self.norm(self.conv(self.encoding(x))))))
    model.norm = nn.BatchNorm2d(1)
    model.norm.running_var = torch.tensor([-1.0])
    with pytest.raises(UserError, match=r"module 'norm' \(BatchNorm2d\): its running_var is not positive"):
        frontend.capture(model, (1, 4, 4), 16)
