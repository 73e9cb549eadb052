"""Every snnTorch neuron that is supported spikes as in snnTorch; what the graph cannot say is refused by its module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip.errors import UserError
from snn2chip.ops import LIF, LeakyIntegrator

RESETS = ("subtract", "zero", "none")


class Looped(nn.Module):
    """A linear layer and a neuron over the frames ``[T, B, F]``, with its state passed from step to step."""

    def __init__(self, neuron: Any) -> None:
        super().__init__()
        self.fc, self.neuron = weights(), neuron

    def forward(self, frames: Tensor) -> Tensor:
        state = self.neuron.reset_mem()
        state, found = state if isinstance(state, tuple) else (state,), []
        for frame in frames:
            spikes, *state = self.neuron(self.fc(frame), *state)
            found.append(spikes)
        return torch.stack(found)


def weights() -> nn.Linear:
    linear, generator = nn.Linear(6, 20), torch.Generator().manual_seed(1)
    for parameter in linear.parameters():
        parameter.data = torch.randint(-48, 80, parameter.shape, generator=generator) / 64
    return linear


def frames(steps: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(steps).integers(0, 3, (64, steps, 6)).astype(np.uint8)


def check(model: nn.Module, steps: int) -> None:
    """In double precision, where these constants keep every sum exact: ties with the threshold included."""
    images = frames(steps)
    graph = frontend.capture(model, (6,), 2, steps=steps)
    with torch.no_grad():
        expected = model.double()(torch.from_numpy(images).double().transpose(0, 1)).transpose(0, 1)
    assert expected.count_nonzero() > 100
    np.testing.assert_array_equal(interpreter.run(graph, images), expected.numpy())


@pytest.mark.parametrize("steps", [1, 2, 8])
@pytest.mark.parametrize("beta", [1.0, 0.75, 0.0])
@pytest.mark.parametrize("reset", RESETS)
def test_leaky(reset: str, beta: float, steps: int) -> None:
    check(Looped(snn.Leaky(beta=beta, reset_mechanism=reset, learn_beta=True)), steps)
    if reset != "subtract":
        check(Looped(snn.Leaky(beta=beta, reset_mechanism=reset, reset_delay=False)), steps)


@pytest.mark.parametrize("steps", [1, 2, 8])
@pytest.mark.parametrize("reset", RESETS)
def test_lapicque_and_synaptic(reset: str, steps: int) -> None:
    check(Looped(snn.Lapicque(R=1, C=4, time_step=1, reset_mechanism=reset)), steps)
    check(Looped(snn.Synaptic(alpha=0.5, beta=0.75, reset_mechanism=reset)), steps)
    if reset != "subtract":
        check(Looped(snn.Synaptic(alpha=0.5, beta=0.75, reset_mechanism=reset, reset_delay=False)), steps)


def test_constants_by_channel_and_graded_spikes() -> None:
    thresholds, decays = torch.tensor([1.0, 0.5] * 10), torch.tensor([0.5, 0.75] * 10)
    check(Looped(snn.Leaky(beta=decays, threshold=thresholds, graded_spikes_factor=0.5)), 6)
    check(Looped(snn.Leaky(beta=1.5)), 4)  # clipped to 1, as in its forward


def test_an_immediate_subtraction_where_one_is_enough() -> None:
    """With a current that never exceeds the threshold, snnTorch's quirk has no effect."""
    model = Looped(snn.Leaky(beta=0.75, threshold=16.0, reset_delay=False))
    model.fc.weight.data *= 2
    check(model, 8)


class Hidden(nn.Module):
    """One step a call; the neurons keep their potentials."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = weights()
        self.neuron = snn.Leaky(beta=0.5, init_hidden=True)
        self.last = snn.Leaky(beta=0.5, init_hidden=True, output=True)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.neuron(self.fc(x)))


def test_models_that_keep_their_state() -> None:
    model, images = Hidden(), frames(6)
    graph = frontend.capture(model, (6,), 2, steps=6)
    utils.reset(model)
    with torch.no_grad():
        found = [model(torch.from_numpy(images[:, t]).float())[0] for t in range(6)]
    np.testing.assert_array_equal(interpreter.run(graph, images), torch.stack(found, 1).numpy())
    assert isinstance(model.neuron.mem, Tensor)


class Read(nn.Module):
    """The membrane of the last neuron is the output."""

    def __init__(self, last: Any) -> None:
        super().__init__()
        self.fc, self.neuron, self.head, self.last = weights(), snn.Leaky(beta=0.5), nn.Linear(20, 3), last
        self.head.weight.data = torch.round(self.head.weight.data * 64) / 64
        self.head.bias.data = torch.round(self.head.bias.data * 64) / 64

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        first, second = self.neuron.init_leaky(), self.last.init_leaky()
        spikes, membranes = [], []
        for frame in frames:
            z, first = self.neuron(self.fc(frame), first)
            z, second = self.last(self.head(z), second)
            spikes.append(z)
            membranes.append(second)
        return torch.stack(spikes), torch.stack(membranes)


def test_spikes_are_the_output_and_a_membrane_on_demand() -> None:
    model, images = Read(snn.Leaky(beta=0.75, reset_mechanism="none")), frames(5)
    with torch.no_grad():
        spikes, membranes = model(torch.from_numpy(images).float().transpose(0, 1))
    graph = frontend.capture(model, (6,), 2, steps=5)
    np.testing.assert_array_equal(interpreter.run(graph, images), spikes.transpose(0, 1).numpy())
    graph = frontend.capture(model, (6,), 2, steps=5, output=1)
    assert len(graph.of_kind(LIF)) == len(graph.of_kind(LeakyIntegrator)) == 1
    np.testing.assert_array_equal(interpreter.run(graph, images), membranes.transpose(0, 1).numpy())


def test_a_membrane_that_is_reset_is_no_output() -> None:
    with pytest.raises(UserError, match=r"the state 'mem' of 'last' is used as a tensor"):
        frontend.capture(Read(snn.Leaky(beta=0.75)), (6,), 2, steps=5, output=1)


@pytest.mark.parametrize(
    ("neuron", "sentence"),
    [
        (snn.Leaky(beta=0.5, reset_delay=False), r"a potential that stays above the threshold is not reset again"),
        (snn.Leaky(beta=0.5, state_quant=lambda x: x), r"state_quant is not supported"),
        (snn.Leaky(beta=0.5, spike_grad=torch.sigmoid), r"its spike_grad is no step function"),
        (snn.Leaky(beta=0.5, graded_spikes_factor=torch.ones(20)), r"its graded_spikes_factor has shape \(20,\)"),
        (snn.Lapicque(beta=1.0), r"its input has no effect"),
        (
            snn.Alpha(alpha=0.75, beta=0.5),
            r"it is a snntorch layer that is not supported: Leaky, Lapicque and Synaptic",
        ),
        (snn.RLeaky(beta=0.5, linear_features=20), r"it is a snntorch layer that is not supported"),
    ],
)
def test_what_is_not_expressible_is_named(neuron: nn.Module, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"module 'neuron' \({type(neuron).__name__}\).*: .*{sentence}"):
        frontend.capture(Looped(neuron), (6,), 2, steps=3)


def test_inhibition_is_refused() -> None:
    with pytest.warns(UserWarning, match="Inhibition"):
        neuron = snn.Leaky(beta=0.5, inhibition=True, spike_grad=surrogate.fast_sigmoid())
    with pytest.raises(UserError, match=r"module 'neuron' \(Leaky\).*: inhibition is not supported"):
        frontend.capture(Looped(neuron), (6,), 2, steps=3)


def test_decays_by_neuron_are_refused() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), snn.Leaky(beta=torch.rand(4), init_hidden=True))
    with pytest.raises(UserError, match=r"module '1' \(Leaky\): its beta differs between the neurons of a channel"):
        frontend.capture(model, (1, 4, 4), 2, steps=3)


class Reset(Hidden):
    """Its potentials are cleared in the middle of a sample."""

    def forward(self, x: Tensor) -> Any:
        found = []
        for _ in range(3):
            found.append(super().forward(x)[0])
            utils.reset(self)
        return torch.stack(found).sum(0)


def test_a_reset_within_a_sample_is_refused() -> None:
    with pytest.raises(UserError, match=r"module 'neuron' \(Leaky\).*: its state is reset between two steps"):
        frontend.capture(Reset(), (6,), 2, steps=3)
