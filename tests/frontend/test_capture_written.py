"""Neurons that a forward computes by itself: every form that docs/importing.md shows, and every place for its state."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip.errors import UserError
from snn2chip.ops import LIF, LeakyIntegrator, MultiLevelIF

STEPS = 5
DOCUMENT = Path(__file__).parents[2] / "docs/importing.md"
#: The forms of the table: what one step does, and what it becomes.
FORMS = dict(re.findall(r"^\| `([^`]*; s = [^`]*)` \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE))
NUMBERS = {"th": 1.25, "beta": 0.5, "alpha": 0.25, "N": 4, "torch": torch}

Forward = Callable[..., Any]


class Layers(nn.Module):
    """Two layers around neurons that each forward below writes in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = torch.randint(-64, 96, parameter.shape, generator=generator) / 64
        self.v: Any = None
        self.kept: dict[str, Any] = {}
        self.sums: Any = 0.0
        self.register_buffer("state", torch.zeros(6))

    def begin(self) -> None:
        self.v, self.kept, self.sums, self.state = None, {}, 0.0, torch.zeros(6)


def network(forward: Forward) -> Any:
    return type("Network", (Layers,), {"forward": forward})()


def frames(samples: int = 64) -> Any:
    return np.random.default_rng(0).integers(0, 6, (samples, 4)).astype(np.uint8)


def looped(form: str) -> Forward:
    """All steps in one call: `form` in a loop."""
    code = compile(form, form, "exec")

    def forward(self: Any, x: Tensor) -> Tensor:
        names = {**NUMBERS, "v": torch.zeros(x.shape[0], 6), "s": torch.zeros(x.shape[0], 6), "i": 0.0}
        total = torch.zeros(x.shape[0], 3)
        for _ in range(STEPS):
            names["x"] = self.first(x)
            exec(code, names)  # noqa: S102  # our own document
            spikes: Any = names["s"]
            total = total + self.head(spikes.float())
        return total

    return forward


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_document_is_read(form: str) -> None:
    model = network(looped(form))
    graph = frontend.capture(model, (4,), 5)
    kinds = [kind for kind in (MultiLevelIF, LIF, LeakyIntegrator) if graph.of_kind(kind)]
    assert [kind.__name__ for kind in kinds] == re.findall("`([A-Z]\\w+)`", FORMS[form])
    inputs = frames()
    with torch.no_grad():
        expected = model(torch.from_numpy(inputs).float()).numpy()
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), expected)


def test_the_document_shows_forms() -> None:
    assert len(FORMS) == 16


def fire(current: Tensor, v: Any) -> tuple[Tensor, Tensor]:
    v = current if v is None else 0.5 * v + current
    spikes = (v >= 1).to(current.dtype)
    return spikes, v - spikes


def attribute(self: Any, x: Tensor) -> Any:
    spikes, self.v = fire(self.first(x), self.v)
    return self.head(spikes)


def dictionary(self: Any, x: Tensor) -> Any:
    spikes, self.kept["v"] = fire(self.first(x), self.kept.get("v"))
    return self.head(spikes)


def buffer(self: Any, x: Tensor) -> Any:
    spikes, self.state = fire(self.first(x), self.state)
    return self.head(spikes)


def leaky_readout(self: Any, x: Tensor) -> Any:
    spikes, self.v = fire(self.first(x), self.v)
    self.sums = 0.75 * self.sums + self.head(spikes)
    return self.sums


def accumulated(self: Any, x: Tensor) -> Any:
    """Each call returns the sum so far: the logits are the sum of those sums."""
    spikes, self.v = fire(self.first(x), self.v)
    self.sums = self.sums + self.head(spikes)
    return self.sums


@pytest.mark.parametrize("forward", [attribute, dictionary, buffer, leaky_readout, accumulated])
def test_a_state_that_the_module_keeps(forward: Forward) -> None:
    model = network(forward)
    graph = frontend.capture(model, (4,), 5, steps=STEPS)
    assert model.v is None
    assert model.kept == {}
    assert not model.state.any()
    inputs = frames()
    model.begin()
    with torch.no_grad():
        expected = sum(model(torch.from_numpy(inputs).float()) for _ in range(STEPS))
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), expected.numpy())


def one_state(self: Any, x: Tensor, state: Any = None) -> Any:
    spikes, state = fire(self.first(x), state)
    return self.head(spikes), state


def two_states(self: Any, x: Tensor, v: Any = None, w: Any = None) -> Any:
    spikes, v = fire(self.first(x), v)
    spikes, w = fire(self.head(spikes), w)
    return spikes, v, w


def two_states_in_a_tuple(self: Any, x: Tensor, v: Any = None, w: Any = None) -> Any:
    spikes, v, w = two_states(self, x, v, w)
    return spikes, (v, w)


def a_tuple(self: Any, x: Tensor, states: Any = None) -> Any:
    spikes, v, w = two_states(self, x, *(states or (None, None)))
    return spikes, (v, w)


@pytest.mark.parametrize("forward", [one_state, two_states, two_states_in_a_tuple, a_tuple])
def test_a_state_that_is_an_argument_and_none_at_first(forward: Forward) -> None:
    model = network(forward)
    graph = frontend.capture(model, (4,), 5, steps=STEPS)
    inputs = frames()
    images, states, expected = torch.from_numpy(inputs).float(), (), 0
    with torch.no_grad():
        for _ in range(STEPS):
            logits, *states = model(images, *states)
            if forward is two_states_in_a_tuple:
                states = states[0]
            expected = expected + logits
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), np.asarray(expected))


def two_swapped(self: Any, x: Tensor, v: Any = None, w: Any = None) -> Any:
    spikes, v = fire(self.first(x), v)
    second, w = fire(self.first(x) - 1, w)
    return self.head(spikes + second), w, v


def forgotten(self: Any, x: Tensor, v: Any = None) -> Any:
    return self.head(fire(self.first(x), v)[0])


def half_reset(self: Any, x: Tensor) -> Any:
    v = self.first(x) if self.v is None else 0.5 * self.v + self.first(x)
    spikes = (v >= 1).float()
    self.v = v * (1 - spikes) + 0.25 * spikes
    return self.head(spikes)


def excited(self: Any, x: Tensor) -> Any:
    v = self.first(x) if self.v is None else 1.5 * self.v + self.first(x)
    spikes = (v >= 1).float()
    self.v = v - 1.5 * spikes
    return self.head(spikes)


def in_place(self: Any, x: Tensor) -> Any:
    self.state.mul_(0.5).add_(self.first(x))
    return self.head((self.state > 1).float())


def by_the_count(self: Any, x: Tensor) -> Any:
    self.kept["n"] = self.kept.get("n", 0) + 1
    return self.head((self.first(x) > 1).float() * self.kept["n"])


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (two_swapped, r"its threshold changes from step to step"),
        (forgotten, r"return a new state for each of its arguments 'v'"),
        (half_reset, r"no neuron that is known .*between calls it keeps 'v'"),
        (
            excited,
            r"the neuron 'neuron', which the forward computes.*decay must lie in 0..1.*between calls it keeps 'v'",
        ),
        (in_place, r"add_ changes 'state' in place"),
        (by_the_count, r"kept|between calls"),
    ],
)
def test_a_state_that_is_no_known_neurons_is_named(forward: Forward, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(network(forward), (4,), 5, steps=STEPS)


def spiking(net: Any, x: Tensor) -> Any:
    return (net.first(x) >= 1).float()


@pytest.mark.parametrize("compare", [lambda s: s > 0, lambda s: s >= 1, lambda s: s == 1, lambda s: s != 0])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_comparisons_of_binary_spikes_are_the_spikes(compare: Callable[[Tensor], Tensor], scale: float) -> None:
    model = network(lambda net, x: net.head(compare(spiking(net, x) * scale / scale).float()))
    graph = frontend.capture(model, (4,), 5, steps=1)
    inputs = frames()
    with torch.no_grad():
        expected = model(torch.from_numpy(inputs).float()).numpy()
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), expected)


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (lambda net, x: net.head((spiking(net, x) > 1).float()), r"a number that tells them not apart"),
        (
            lambda net, x: net.head((net.first(x).floor().clamp(0, 3) > 0).float()),
            r"counts of 0..3 spikes are compared",
        ),
        (lambda net, x: net.head(net.first(x).clamp(0, 3)), r"clamped to 0..3, but not rounded down"),
        (lambda net, x: net.head(net.first(x).floor()), r"rounded down, but not clamped"),
        (lambda net, x: spiking(net, x)[:, :1], r"it takes the part :1 of an axis of 6"),
        (lambda net, x: net.head(spiking(net, x)[spiking(net, x) > 0]), r"it selects elements by a mask"),
    ],
)
def test_what_is_no_spike_is_refused_in_words(forward: Forward, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(network(forward), (4,), 5, steps=1)


def test_a_sum_over_features_is_none_over_time() -> None:
    """What PyTorch runs on ``[B, features]`` is not taken for a network of ``[B, T, features]``."""
    with pytest.raises(UserError, match=r"sum is taken over the batch or channels"):
        frontend.capture(network(lambda net, x: spiking(net, x).sum(1, keepdim=True)), (4,), 5, steps=1)


def test_padding_that_is_no_zero_names_the_layer() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.Flatten())
    with pytest.raises(UserError, match=r"module '0' \(Conv2d\): padding in mode 'circular' is not supported"):
        frontend.capture(model, (1, 4, 4), 5, steps=1)


def quantized(self: Any, x: Tensor) -> Any:
    return self.head(torch.clamp(torch.floor(self.first(x) / 0.5), 0, 3))


def remembering(self: Any, x: Tensor) -> Any:
    self.v = self.first(x) if self.v is None else self.v + self.first(x)
    return self.head((self.v >= 0.5).float())


def test_what_keeps_nothing_runs_one_step() -> None:
    """A quantized activation is a neuron that is asked once; with a memory, T has to be said."""
    graph = frontend.capture(network(quantized), (4,), 5)
    assert (graph.steps, graph.digest) == (1, frontend.capture(network(quantized), (4,), 5, steps=1).digest)
    with pytest.raises(UserError, match=r"say how many steps it runs"):
        frontend.capture(network(remembering), (4,), 5)
