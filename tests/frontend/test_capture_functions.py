"""torch's functions in all their spellings: the graph computes what the forward computes, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from norse.torch import IAFCell
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip.errors import UserError
from snn2chip.graph import Graph
from snn2chip.ops import AvgPool2d, Concat, Conv2d, Flatten, MaxPool2d, Scale, SumPool2d, Upsample2d

Body = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """A convolution, spikes, whatever `body` makes of the spikes ``[B, 2, 4, 4]``, and a head."""

    def __init__(self, body: Body, features: int) -> None:
        super().__init__()
        self.conv, self.second, self.neuron = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 1), IAFCell()
        self.body, self.head = body, nn.Linear(features, 3)
        self.scale = nn.Parameter(torch.tensor([0.5, 2.0]).reshape(2, 1, 1))
        self.register_buffer("table", torch.arange(features * 3).reshape(3, features) / 64)
        generator = torch.Generator().manual_seed(0)
        for parameter in (*self.conv.parameters(), *self.second.parameters(), *self.head.parameters()):
            parameter.data = torch.randint(-32, 64, parameter.shape, generator=generator) / 64

    def forward(self, x: Tensor) -> Tensor:
        spikes, _ = self.neuron(self.conv(x))
        return self.head(self.body(self, spikes))  # type: ignore[no-any-return]


def agree(body: Body, features: int) -> Graph:
    """The graph, once it has been seen to compute what the network does."""
    model = Net(body, features).double().eval()
    images = np.random.default_rng(1).integers(0, 4, (16, 1, 4, 4)).astype(np.uint8)
    graph = frontend.capture(model, (1, 4, 4), 3, steps=1)
    with torch.no_grad():
        expected = model(torch.from_numpy(images).double()).numpy()
    np.testing.assert_array_equal(interpreter.logits(graph, images), expected)
    return graph


FLATTENED: dict[str, Body] = {
    "flatten": lambda net, s: s.flatten(1),
    "torch.flatten": lambda net, s: torch.flatten(s, start_dim=1, end_dim=-1),
    "to the last axis": lambda net, s: s.flatten(1, 3),
    "in two steps": lambda net, s: s.flatten(2).flatten(1),
    "view": lambda net, s: s.view(s.size(0), -1),
    "reshape": lambda net, s: s.reshape(len(s), 32),
    "view of the shape": lambda net, s: s.view(-1, int(np.prod(s.shape[1:]))),
    "module": lambda net, s: nn.Flatten()(s),
    "contiguous": lambda net, s: s.contiguous().clone().detach().to(s.device).view(s.shape[0], -1),
    "after a new axis": lambda net, s: s.unsqueeze(1).squeeze(1)[..., None].flatten(1),
    "unflattened and back": lambda net, s: s.flatten(2).unflatten(2, (4, 4)).flatten(1),  # type: ignore[no-untyped-call]
    "transposed twice": lambda net, s: s.transpose(2, 3).permute(0, 1, 3, 2).flatten(1),
    "all of it": lambda net, s: s[:, :, 0:4].flatten(1),
}


@pytest.mark.parametrize("spelling", FLATTENED)
def test_flatten(spelling: str) -> None:
    graph = agree(FLATTENED[spelling], 32)
    assert len(graph.of_kind(Flatten)) == 1


POOLED: dict[str, tuple[Body, int, type]] = {
    "max": (lambda net, s: F.max_pool2d(s, 2).flatten(1), 8, MaxPool2d),
    "max with padding": (lambda net, s: nn.MaxPool2d(3, 2, 1)(s).flatten(1), 8, MaxPool2d),
    "average": (lambda net, s: F.avg_pool2d(s, 2).flatten(1), 8, AvgPool2d),
    "sum": (lambda net, s: F.avg_pool2d(s, 2, divisor_override=1).flatten(1), 8, SumPool2d),
    "average times area": (lambda net, s: (F.avg_pool2d(s, 2) * 4).flatten(1), 8, Scale),
    "norm 1": (lambda net, s: F.lp_pool2d(s, 1, 2).flatten(1), 8, SumPool2d),
    "global": (lambda net, s: nn.AdaptiveAvgPool2d(1)(s).flatten(1), 2, AvgPool2d),
    "global mean": (lambda net, s: s.mean((2, 3)), 2, AvgPool2d),
    "global mean of a view": (lambda net, s: s.flatten(2).mean(-1), 2, AvgPool2d),
    "mean, axes kept": (lambda net, s: s.mean([-1, -2], keepdim=True).squeeze(-1).squeeze(-1), 2, AvgPool2d),
    "global sum": (lambda net, s: s.sum(dim=(-2, -1)), 2, SumPool2d),
    "global maximum": (lambda net, s: F.adaptive_max_pool2d(s, 1)[:, :, 0, 0], 2, MaxPool2d),
    "amax": (lambda net, s: s.amax((2, 3)), 2, MaxPool2d),
    "adaptive": (lambda net, s: F.adaptive_avg_pool2d(s, (2, 4)).flatten(1), 16, AvgPool2d),
    "adaptive, larger": (lambda net, s: F.adaptive_avg_pool2d(s, 8).flatten(1), 128, Upsample2d),
    "upsampled": (lambda net, s: F.interpolate(s, scale_factor=2, mode="nearest").flatten(1), 128, Upsample2d),
    "ceil_mode that fits": (lambda net, s: F.max_pool2d(s, 2, ceil_mode=True).flatten(1), 8, MaxPool2d),
}


@pytest.mark.parametrize("spelling", POOLED)
def test_pooling(spelling: str) -> None:
    body, features, kind = POOLED[spelling]
    assert agree(body, features).of_kind(kind)


def residual(net: Any, s: Tensor) -> Tensor:
    """Spikes that meet a current become one."""
    return net.neuron(net.second(s) + s)[0].flatten(1)  # type: ignore[no-any-return]


COMBINED: dict[str, tuple[Body, int]] = {
    "residual": (residual, 32),
    "torch.add with alpha": (lambda net, s: torch.add(s, net.neuron(net.second(s))[0], alpha=2).flatten(1), 32),
    "three": (lambda net, s: (s + net.neuron(net.second(s))[0] + s).flatten(1), 32),
    "concatenated": (lambda net, s: torch.cat([s, net.neuron(net.second(s))[0]], dim=1).flatten(1), 64),
    "concatenated with itself": (lambda net, s: s.repeat(1, 2, 1, 1).flatten(1), 64),
    "flat, concatenated": (lambda net, s: torch.cat([s.flatten(1), s.mean((2, 3))], -1), 34),
    "divided": (lambda net, s: (s / 4).flatten(1), 32),
    "scaled": (lambda net, s: (0.25 * s * 3).flatten(1), 32),
    "scaled by channel": (lambda net, s: (s * net.scale).flatten(1), 32),
    "weights as a product": (lambda net, s: s.flatten(1) @ torch.eye(32, dtype=s.dtype) * 1.0, 32),
    "functional linear": (lambda net, s: F.linear(s.flatten(1), net.table.repeat(11, 1)[:32]), 32),
    "functional conv": (lambda net, s: F.conv2d(s, net.second.weight, net.second.bias, padding="same").flatten(1), 32),
    "a bias of its own": (lambda net, s: net.neuron(net.second(s) + net.scale - 0.5)[0].flatten(1), 32),
    "dropout": (lambda net, s: F.dropout(s, 0.5, net.training).flatten(1), 32),
    "relu of spikes": (lambda net, s: s.relu().flatten(1), 32),
    "means of neighbours": (lambda net, s: F.avg_pool1d(s.flatten(1).unsqueeze(1), 4, 4).squeeze(1), 8),
}


@pytest.mark.parametrize("spelling", COMBINED)
def test_combinations(spelling: str) -> None:
    agree(*COMBINED[spelling])


def test_spikes_that_meet_a_current_pass_unit_synapses() -> None:
    graph = agree(residual, 32)
    node = graph["add.current"]
    assert isinstance(node.op, Conv2d)
    assert (node.op.weight == 1).all()
    assert node.op.groups == 2
    assert graph["add"].inputs == ("second", "add.current")


def test_concatenation_is_one_node() -> None:
    (node,) = agree(*COMBINED["concatenated"]).of_kind(Concat)
    assert len(node.inputs) == 2


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (lambda net, s: s.mean(2).flatten(1), r"mean is taken over rows or columns alone"),
        (lambda net, s: s[:, :1].flatten(1), r"it takes the part :1"),
        (lambda net, s: s[0].flatten(), r"it selects some of the batch"),
        (lambda net, s: s.permute(0, 2, 3, 1).flatten(1), r"in another order than channels, rows, columns"),
        (lambda net, s: F.max_pool2d(s, 3, 2, ceil_mode=True).flatten(1), r"ceil_mode is on"),
        (lambda net, s: F.adaptive_avg_pool2d(s, 3).flatten(1), r"does not divide a map of \(4, 4\)"),
        (lambda net, s: torch.cat([s, s], dim=2).flatten(1), r"joined along channels only"),
        (lambda net, s: F.dropout(s).flatten(1), r"dropout is on in evaluation"),
        (lambda net, s: s.flatten(1) @ s.flatten(1).T, r"a product of two tensors"),
        (lambda net, s: torch.stack([s, net.second(s)]).sum(0).flatten(1), r"it joins different tensors"),
        (lambda net, s: (s + net.table[0, :4]).flatten(1), r"only one number, or one a channel"),
    ],
)
def test_what_moves_or_cuts_is_refused_by_line(body: Body, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"test_capture_functions\.py line \d+: .*{sentence}"):
        frontend.capture(Net(body, 32), (1, 4, 4), 3, steps=1)
