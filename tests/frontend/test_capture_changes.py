"""Types, memory that tensors share, and what a forward leaves behind: the places where a traced value could differ."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip.errors import UserError

Forward = Callable[[Any, Tensor], Any]


class Layers(nn.Module):
    """Layers that each forward below wires in its own way, and what it may keep."""

    counter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.conv, self.norm, self.last = nn.Conv2d(1, 6, 1), nn.BatchNorm1d(6), nn.Linear(24, 3)
        self.register_buffer("counter", torch.ones(1))
        self.calls, self.plain = 0, torch.ones(1)
        self.record: list[Any] = []
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = torch.randint(-64, 96, parameter.shape, generator=generator) / 64

    def spikes(self, x: Tensor) -> Tensor:
        return (self.first(x) > 1).to(x.dtype)  # type: ignore[no-any-return]


def network(forward: Forward) -> Any:
    return type("Network", (Layers,), {"forward": forward})().double().eval()


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: values.numpy().tobytes() for name, values in model.state_dict().items()}


def same_as_pytorch(forward: Forward) -> None:
    """The graph computes what the forward does, and reading it leaves no trace in the model."""
    model, again = network(forward), network(forward)
    before, attributes = bits(model), dict(vars(model))
    graph = frontend.capture(model, (4,), 5, steps=1)
    assert bits(model) == before
    assert vars(model) == attributes
    inputs = np.random.default_rng(0).integers(0, 6, (32, 4)).astype(np.uint8)
    with torch.no_grad():
        expected = again(torch.from_numpy(inputs).double()).numpy()
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), expected)


TYPES: dict[str, Forward] = {
    "counts as whole numbers": lambda net, x: net.head(net.spikes(x).int().long().double()),
    "truth values": lambda net, x: net.head((net.spikes(x).bool() * 2).double()),
    "clamped, then cut": lambda net, x: net.head(net.first(x).clamp(0, 3).int().double()),
    "as another tensor": lambda net, x: net.head((net.first(x) > 1).type_as(net.first.weight).to(x)),
    "by the old name": lambda net, x: net.head((net.first(x) > 1).type("torch.DoubleTensor")),
    "of its own type": lambda net, x: net.head(net.spikes(x).type(x.type())),
    "counts in half precision": lambda net, x: net.head(net.spikes(x).half().double()),
    "whole frames in bfloat16": lambda net, x: net.head(net.first(x.bfloat16().double())),
    "not a truth value": lambda net, x: net.head(1.0 - (~(net.first(x) > 1)).double()),
    "twice not": lambda net, x: net.head((~~(net.first(x) > 1)).double()),
}


@pytest.mark.parametrize("spelling", TYPES)
def test_a_type_that_keeps_the_values(spelling: str) -> None:
    same_as_pytorch(TYPES[spelling])


def filled(net: Any, x: Tensor) -> Any:
    record = torch.zeros(x.shape[0], 6, dtype=torch.int32)
    record.copy_(net.first(x))
    return net.head(record.double())


def joined_truth(net: Any, x: Tensor) -> Any:
    spikes = net.first(x) > 1
    return net.head((spikes + spikes).double())


def joined_in_place(net: Any, x: Tensor) -> Any:
    spikes = net.first(x) > 1
    spikes += spikes
    return net.head(spikes.double())


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (lambda net, x: net.head(net.first(x).type("torch.IntTensor").double()), r"torch.int32, which cuts"),
        (lambda net, x: net.head(net.first(x).type(torch.LongTensor).double()), r"torch.int64, which cuts"),
        (lambda net, x: net.head(net.first(x).type_as(torch.zeros(1, dtype=torch.int32)).double()), r"which cuts"),
        (lambda net, x: net.head(net.first(x).to(torch.zeros(1, dtype=torch.int32)).double()), r"which cuts"),
        (lambda net, x: net.head(net.first(x).to(dtype=torch.int64).double()), r"which cuts"),
        (lambda net, x: net.head(net.first(x).int().double()), r"which cuts"),
        (lambda net, x: net.head((net.first(x) / 2).floor().div(2).long().double()), r"not clamped|which cuts"),
        (lambda net, x: net.head((net.spikes(x) / 2).int().double()), r"which cuts"),
        (lambda net, x: net.head(x.bool().double()), r"torch.bool what is not proven to be 0 or 1"),
        (lambda net, x: net.head(net.spikes(x).byte().double()), r"torch.uint8, whose sums wrap"),
        (lambda net, x: net.head(net.first(x).half().double()), r"torch.float16, which rounds"),
        (lambda net, x: net.head(net.first(x).to(torch.complex64)), r"only real numbers"),
        (filled, r"torch.int32, which cuts"),
        (joined_truth, r"add of truth values is no sum"),
        (joined_in_place, r"add of truth values is no sum"),
        (lambda net, x: net.head((~net.spikes(x).int()).double()), r"flips bits"),
    ],
)
def test_a_type_that_changes_the_values_is_refused(forward: Forward, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(network(forward), (4,), 5, steps=1)


def rounded_by_autocast(net: Any, x: Tensor) -> Any:
    with torch.autocast("cpu"):
        return net.head(net.first(x))


def of_one_memory(net: Any, x: Tensor) -> Any:
    """As in PyTorch, all names of a tensor see that it changed."""
    current = net.first(x)
    other = current
    current += 1
    current *= 0.5
    return net.head((other > 1).double() + (current > 1).double() * 0)


def filled_through_itself(net: Any, x: Tensor) -> Any:
    sums = torch.zeros(x.shape[0], 6, dtype=torch.float64)
    sums += net.first(x)
    sums.add_(net.first(x), alpha=2)
    return net.head(sums)


def seen_before_the_change(net: Any, x: Tensor) -> Any:
    current = net.first(x)
    copy = current.clone()
    current.mul_(2)
    return net.head(current + copy)


@pytest.mark.parametrize("forward", [of_one_memory, filled_through_itself, seen_before_the_change])
def test_changes_in_place(forward: Forward) -> None:
    same_as_pytorch(forward)


def view_of_a_constant(net: Any, x: Tensor) -> Any:
    sums = torch.zeros(x.shape[0], 6, dtype=torch.float64)
    view = sums.view(-1, 6)
    view += net.first(x)
    return net.head(sums + net.first(x))


def row_of_a_constant(net: Any, x: Tensor) -> Any:
    both = torch.zeros(2, x.shape[0], 6, dtype=torch.float64)
    row = both[0]
    row += net.first(x)
    return net.head(both.sum(0) + net.first(x))


def shared_with_numpy(net: Any, x: Tensor) -> Any:
    sums = torch.zeros(x.shape[0], 6, dtype=torch.float64)
    array = sums.numpy()
    sums += net.first(x)
    return net.head(sums + torch.from_numpy(array))


def another_shape(net: Any, x: Tensor) -> Any:
    spikes = net.spikes(x)
    spikes.unsqueeze_(0)
    return net.head(spikes[0])


def into_a_buffer(net: Any, x: Tensor) -> Any:
    net.counter.mul_(net.first(x))
    return net.head(net.spikes(x))


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (view_of_a_constant, r"reads a view of a tensor that was changed in place"),
        (row_of_a_constant, r"reads a view of a tensor that was changed in place"),
        (shared_with_numpy, r"that NumPy shares"),
        (another_shape, r"unsqueeze_ changes the shape of a tensor in place"),
        (into_a_buffer, r"mul_ changes 'counter' in place"),
        (rounded_by_autocast, r"torch.autocast is on"),
        (lambda net, x: net.head(torch.add(net.first(x), 1, out=torch.zeros(x.shape[0], 6))), r"out= is not supported"),
    ],
)
def test_memory_that_cannot_be_followed_is_refused(forward: Forward, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(network(forward), (4,), 5, steps=1)


def counting(net: Any, x: Tensor) -> Any:
    """What it keeps has no part in what it returns."""
    net.counter.add_(1)
    net.plain.mul_(2)
    net.head.bias.data.copy_(net.head.bias.data)
    net.calls += 1
    net.record.append(net.calls)
    return net.head(net.spikes(x))


def test_what_a_forward_counts_is_put_back() -> None:
    same_as_pytorch(counting)
    model = network(counting)
    frontend.capture(model, (4,), 5, steps=1)
    assert (model.counter.item(), model.plain.item(), model.calls, model.record) == (1, 1, 0, [])


def buffer_used(net: Any, x: Tensor) -> Any:
    net.counter.add_(1)
    return net.head(net.spikes(x)) * net.counter


def buffer_set(net: Any, x: Tensor) -> Any:
    net.counter = net.counter + 1
    return net.head(net.spikes(x) * net.counter)


def parameter_used(net: Any, x: Tensor) -> Any:
    net.head.bias.data.add_(0.5)
    return net.head(net.spikes(x))


def number_used(net: Any, x: Tensor) -> Any:
    net.calls += 1
    return net.head(net.spikes(x)) * net.calls


def tensor_used(net: Any, x: Tensor) -> Any:
    net.plain.data.add_(1)
    return net.head(net.spikes(x) * net.plain)


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (buffer_used, r"second call means something else than the first, by what it keeps in 'counter'"),
        (buffer_set, r"by what it keeps in 'counter'"),
        (parameter_used, r"by what it keeps in 'head.bias'"),
        (number_used, r"by what it keeps in 'calls'"),
        (tensor_used, r"by what it keeps in 'plain'"),
        (lambda net, x: net.head(net.spikes(x)) / x.shape[0], r"depends on the length of the batch"),
        (lambda net, x: net.head(net.spikes(x)) * random.random(), r"or on random numbers"),
        (lambda net, x: net.head(net.spikes(x)) * torch.empty(1).uniform_(), r"uniform_ draws random numbers"),
    ],
)
def test_a_network_that_means_something_else_at_every_call_is_refused(forward: Forward, sentence: str) -> None:
    model = network(forward)
    before = bits(model)
    with pytest.raises(UserError, match=sentence):
        frontend.capture(model, (4,), 5, steps=1)
    assert bits(model) == before


@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
@pytest.mark.parametrize("path", ["", "head"])
def test_a_hook_is_refused_wherever_it_is(kind: str, path: str) -> None:
    model = network(lambda net, x: net.head(net.spikes(x)))
    getattr(model.get_submodule(path), kind)(lambda module, *given: None)
    with pytest.raises(UserError, match=r"hooks, which may change its (in|out)put: remove them first"):
        frontend.capture(model, (4,), 5, steps=1)


def test_a_norm_over_another_axis_is_refused() -> None:
    def forward(net: Any, x: Tensor) -> Any:
        maps = net.conv(x.view(-1, 1, 4, 1)).transpose(1, 2)  # [B, 4, 6, 1]
        normed = nn.functional.batch_norm(maps, torch.arange(4.0).double(), torch.ones(4).double())
        return net.last(normed.transpose(1, 2).flatten(1))

    with pytest.raises(UserError, match=r"it takes \[B, channels, \.\.\.\], not \[B, rows, channels, 1\]"):
        frontend.capture(network(forward), (1, 4, 1), 5, steps=1)


def test_a_constant_that_widens_a_tensor_is_refused() -> None:
    def forward(net: Any, x: Tensor) -> Any:
        return net.head(torch.zeros(x.shape[0], 6).double() + x.view(-1, 1, 4, 1).mean((2, 3)))

    with pytest.raises(UserError, match=r"a constant of shape \(101, 6\) meets a tensor of shape \(101, 1\)"):
        frontend.capture(network(forward), (1, 4, 1), 5, steps=1)
