"""Every sinabs neuron that is supported spikes as in sinabs; what the graph cannot say is refused by its module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sinabs.layers as sl
import torch
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, MultiSpike, SingleSpike
from torch import nn

from snn2chip import frontend, interpreter
from snn2chip.errors import UserError
from snn2chip.ops import LIF, LeakyIntegrator, MultiLevelIF
from tests.peers import tiny
from tests.peers.framework import Layout
from tests.peers.network import SINGLE_TIE

_SPIKE_FUNCTIONS = (SingleSpike, MultiSpike, MaxSpike(3))
_RESETS = (MembraneSubtract(), MembraneReset())


def _agrees(neuron: nn.Module, layout: Layout) -> None:
    """In single precision, because sinabs makes float32 spikes; the weights keep every sum exact."""
    assert tiny.agrees(tiny.network(neuron), layout, dtype=torch.float32).differing == 0


@pytest.mark.parametrize("spike_fn", _SPIKE_FUNCTIONS)
@pytest.mark.parametrize("reset_fn", _RESETS)
@pytest.mark.parametrize("threshold", [1.0, 0.75])
def test_iaf(spike_fn: Any, reset_fn: Any, threshold: float) -> None:
    arguments = {"spike_fn": spike_fn, "reset_fn": reset_fn, "spike_threshold": torch.tensor(threshold)}
    _agrees(sl.IAF(**arguments), "BT")
    _agrees(sl.IAFSqueeze(num_timesteps=tiny.STEPS, **arguments), "B*T")
    _agrees(sl.IAFSqueeze(batch_size=tiny.SAMPLES, **arguments), "B*T")


@pytest.mark.parametrize("spike_fn", _SPIKE_FUNCTIONS)
@pytest.mark.parametrize("reset_fn", _RESETS)
@pytest.mark.parametrize("norm_input", [False, True])
@pytest.mark.parametrize("tau_syn", [None, 2.0])
def test_lif(spike_fn: Any, reset_fn: Any, norm_input: bool, tau_syn: float | None) -> None:
    neuron = sl.LIF(2.0, tau_syn, spike_fn=spike_fn, reset_fn=reset_fn, norm_input=norm_input, train_alphas=True)
    with torch.no_grad():  # decays that single precision holds exactly
        neuron.alpha_mem.fill_(0.75)
        if tau_syn is not None:
            neuron.alpha_syn.fill_(0.5)
    _agrees(neuron, "BT")


def test_decays_that_round() -> None:
    neuron = sl.LIFSqueeze(tau_mem=20.0, tau_syn=7.0, num_timesteps=tiny.STEPS, norm_input=False, spike_fn=SingleSpike)
    found = tiny.agrees(tiny.network(neuron, step=0.1), "B*T", dtype=torch.float32, tie=SINGLE_TIE)
    assert found.explained


def test_one_value_for_each_channel() -> None:
    thresholds = torch.linspace(0.5, 3.25, tiny.NEURONS)
    _agrees(sl.IAF(spike_threshold=thresholds, spike_fn=SingleSpike), "BT")


def test_a_reset_that_takes_less_than_the_threshold() -> None:
    _agrees(sl.IAF(spike_fn=SingleSpike, reset_fn=MembraneSubtract(0.5)), "BT")


@pytest.mark.parametrize("spike_fn", _SPIKE_FUNCTIONS)
@pytest.mark.parametrize("reset_fn", _RESETS)
def test_a_lower_bound(spike_fn: Any, reset_fn: Any) -> None:
    _agrees(sl.IAF(min_v_mem=-1.0, spike_fn=spike_fn, reset_fn=reset_fn), "BT")
    (node,) = tiny.captured(tiny.network(sl.IAF(min_v_mem=-1.0, spike_fn=spike_fn, reset_fn=reset_fn))).of_kind(LIF)
    assert isinstance(node.op, LIF)
    assert node.op.floor is not None


def test_a_lower_bound_that_nothing_reaches_is_none() -> None:
    """The potential falls by at most 2 * 7 * 4 * 0.25 + 0.5 a step here."""
    assert len(tiny.captured(tiny.network(sl.IAF(min_v_mem=-100.0))).of_kind(MultiLevelIF)) == 1


def test_at_one_step_a_lower_bound_means_nothing() -> None:
    model = tiny.network(sl.IAF(min_v_mem=-1.0))
    assert tiny.agrees(model, "BT", steps=1, dtype=torch.float32).differing == 0


def test_the_neuron_holds_as_many_levels_as_can_occur() -> None:
    graph = tiny.captured(tiny.network(sl.IAF()))
    (node,) = graph.of_kind(MultiLevelIF)
    assert isinstance(node.op, MultiLevelIF)
    high = graph.signals[node.inputs[0]].interval.high.max()
    assert node.op.levels == int(high + 1)  # less than one threshold is carried from the step before
    with pytest.raises(UserError, match=r"may emit \d+ spikes in one step, and 255 are the most"):
        tiny.captured(tiny.network(sl.IAF(spike_threshold=torch.tensor(1 / 32))))


@pytest.mark.parametrize("norm_input", [False, True])
def test_exp_leak_is_a_membrane_that_is_read(norm_input: bool) -> None:
    neuron = sl.ExpLeak(tau_mem=2.0, norm_input=norm_input, train_alphas=True)
    with torch.no_grad():
        neuron.alpha_mem.fill_(0.75)
    model = tiny.network(neuron)
    graph = tiny.captured(model)
    assert len(graph.of_kind(LeakyIntegrator)) == 1
    frames = np.random.default_rng(3).integers(0, tiny.LARGEST + 1, (5, tiny.STEPS, tiny.FEATURES)).astype(np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(frames).float()).double().numpy()
    np.testing.assert_allclose(interpreter.run(graph, frames), expected, rtol=1e-6)


_REFUSED: dict[str, nn.Module] = {
    "LIFRecurrent": sl.LIFRecurrent(tau_mem=2.0, rec_connect=nn.Linear(tiny.NEURONS, tiny.NEURONS)),
    "IAFRecurrent": sl.IAFRecurrent(rec_connect=nn.Linear(tiny.NEURONS, tiny.NEURONS)),
    "ALIF": sl.ALIF(tau_mem=2.0, tau_adapt=2.0),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_other_layers_with_states_are_refused_by_path_and_class(name: str) -> None:
    with pytest.raises(UserError, match=rf"'1' \({name}\)"):
        tiny.captured(tiny.network(_REFUSED[name]))


def test_what_a_neuron_cannot_say_is_refused() -> None:
    for neuron, sentence in (
        (sl.IAF(reset_fn=MembraneReset(0.5)), "reset_value=0.5"),
        (sl.IAF(reset_fn=MembraneSubtract(0.5)), "choose SingleSpike"),
        (sl.IAF(reset_fn=lambda spikes, state, threshold: state), "reset_fn is function"),
        (sl.IAF(spike_fn=MaxSpike(300)), "up to 300 spikes"),
        (sl.LIF(tau_mem=float("inf")), "no effect"),
        (sl.IAFSqueeze(num_timesteps=tiny.STEPS + 1), "7 steps"),
        (sl.IAF(min_v_mem=0.5), "min_v_mem 0.5 is above 0"),
        (sl.ExpLeak(tau_mem=2.0, min_v_mem=-1.0), "min_v_mem"),
    ):
        with pytest.raises(UserError, match=sentence) as refused:
            tiny.captured(tiny.network(neuron))
        assert f"'1' ({type(neuron).__name__})" in str(refused.value)


def test_layers_that_add_and_pool() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(2, 4, 3, padding=1)
            self.spike = sl.IAFSqueeze(num_timesteps=tiny.STEPS, spike_fn=SingleSpike)
            self.side = nn.Conv2d(4, 4, 1)
            self.spike2 = sl.IAFSqueeze(num_timesteps=tiny.STEPS, spike_fn=SingleSpike)
            self.merge = sl.Merge()
            self.pool = sl.SumPool2d(2)
            self.head = nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            spikes = self.spike(self.stem(x))
            pooled = self.pool(self.merge(spikes, self.spike2(self.side(spikes))))
            return self.head(pooled.flatten(1))  # type: ignore[no-any-return]

    torch.manual_seed(0)
    model = Residual().eval()
    graph = frontend.capture(model, (2, 4, 4), largest=tiny.LARGEST, steps=tiny.STEPS)
    frames = np.random.default_rng(4).integers(0, tiny.LARGEST + 1, (3, tiny.STEPS, 2, 4, 4)).astype(np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(frames).float().flatten(0, 1)).unflatten(0, (3, -1)).double().numpy()
    np.testing.assert_allclose(interpreter.run(graph, frames), expected, atol=1e-4)
    assert [node.kind for node in graph.nodes].count("Add") == 1
    assert LIF.__name__ not in {node.kind for node in graph.nodes}
