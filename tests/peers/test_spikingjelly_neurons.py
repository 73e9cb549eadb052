"""Every SpikingJelly neuron that is supported spikes as in SpikingJelly; every other is refused by its class."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from snn2chip import frontend
from snn2chip.errors import UserError
from snn2chip.ops import LIF, MultiLevelIF
from tests.peers import tiny
from tests.peers.framework import Layout

_LAYOUTS: dict[str, Layout] = {"s": "step", "m": "TB"}


def _agrees(make: Callable[..., nn.Module], step_mode: str, **arguments: Any) -> None:
    model = tiny.network(make(step_mode=step_mode, **arguments))
    assert tiny.agrees(model, _LAYOUTS[step_mode]).differing == 0


@pytest.mark.parametrize("step_mode", ["s", "m"])
@pytest.mark.parametrize("v_reset", [None, 0.0, -0.5, 0.25])
@pytest.mark.parametrize("v_threshold", [1.0, 0.75])
def test_if_node(step_mode: str, v_reset: float | None, v_threshold: float) -> None:
    _agrees(neuron.IFNode, step_mode, v_reset=v_reset, v_threshold=v_threshold)


@pytest.mark.parametrize("step_mode", ["s", "m"])
@pytest.mark.parametrize("v_reset", [None, 0.0, -0.5])
@pytest.mark.parametrize("decay_input", [False, True])
@pytest.mark.parametrize("tau", [2.0, 4.0])
def test_lif_node(step_mode: str, v_reset: float | None, decay_input: bool, tau: float) -> None:
    _agrees(neuron.LIFNode, step_mode, v_reset=v_reset, decay_input=decay_input, tau=tau)


@pytest.mark.parametrize("v_reset", [None, 0.0])
@pytest.mark.parametrize("decay_input", [False, True])
def test_parametric_lif_node(v_reset: float | None, decay_input: bool) -> None:
    """Its 1 / tau is the sigmoid of a trained weight, 1/2 to begin with."""
    _agrees(neuron.ParametricLIFNode, "m", v_reset=v_reset, decay_input=decay_input)


@pytest.mark.parametrize("tau", [1.5, 3.0, 20.0])
def test_leaks_that_round(tau: float) -> None:
    for make in (neuron.LIFNode, neuron.ParametricLIFNode):
        name = "tau" if make is neuron.LIFNode else "init_tau"
        model = tiny.network(make(**{name: tau}), step=0.3)
        assert tiny.agrees(model, "step").explained


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_half_threshold_if_node(step_mode: str) -> None:
    """It starts at half of its threshold."""
    _agrees(neuron.HalfThresholdIFNode, step_mode, v_threshold=1.5)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_ilif_node(levels: int) -> None:
    """Several spikes in a step; with these weights no potential lies halfway between two counts."""
    counts = surrogate.MultiLevelSpikeCount(levels)
    model = tiny.network(neuron.ILIFNode(tau=2.0, surrogate_function=counts), step=0.3)
    found = tiny.agrees(model, "step")
    assert found.differing == 0
    (node,) = tiny.captured(model).of_kind(LIF)
    assert node.op.levels == levels  # type: ignore[attr-defined]  # it is a LIF


def test_ilif_node_rounds_ties_to_even() -> None:
    """What docs/third-party-networks.md says: at exactly 1.5, 3.5, ... levels the graph emits a spike less."""
    model = tiny.network(neuron.ILIFNode(tau=2.0, surrogate_function=surrogate.MultiLevelSpikeCount(4)), step=0.5)
    found = tiny.agrees(model, "step")
    assert found.differing > 0
    assert found.explained


def test_simple_nodes() -> None:
    _agrees(neuron.SimpleIFNode, "m", v_reset=None)
    _agrees(neuron.SimpleIFNode, "s")
    _agrees(neuron.SimpleLIFNode, "m", tau=2.0, decay_input=True)
    _agrees(neuron.SimpleLIFNode, "s", tau=2.0, decay_input=False)


_SURROGATES = [
    made
    for name, made in vars(surrogate).items()
    if inspect.isclass(made)
    and issubclass(made, surrogate.SurrogateFunctionBase)
    and made not in (surrogate.SurrogateFunctionBase, surrogate.MultiLevelSpikeCount, surrogate.PoissonPass)
]


@pytest.mark.parametrize("surrogate_function", _SURROGATES)
def test_every_surrogate_of_spikingjelly(surrogate_function: Any) -> None:
    _agrees(neuron.IFNode, "s", surrogate_function=surrogate_function())


def test_a_random_surrogate_is_refused() -> None:
    with pytest.raises(UserError, match=r"'1' \(IFNode\).*PoissonPass"):
        tiny.captured(tiny.network(neuron.IFNode(surrogate_function=surrogate.PoissonPass())))


def test_a_surrogate_of_ones_own_that_fires_above_the_threshold_only() -> None:
    def above(x: torch.Tensor) -> torch.Tensor:
        return (x > 0).to(x)

    model = tiny.network(neuron.IFNode(surrogate_function=above))
    assert tiny.agrees(model, "step").differing == 0
    (node,) = tiny.captured(model).of_kind(LIF)
    assert node.op.strict  # type: ignore[attr-defined]  # it is a LIF


def test_a_soft_reset_without_leak_is_the_neuron_of_every_form() -> None:
    (node,) = tiny.captured(tiny.network(neuron.IFNode(v_reset=None))).of_kind(MultiLevelIF)
    assert node.name == "1"


_REFUSED_NEURONS: dict[str, Callable[[], nn.Module]] = {
    "QIFNode": neuron.QIFNode,
    "EIFNode": neuron.EIFNode,
    "KLIFNode": neuron.KLIFNode,
    "IzhikevichNode": neuron.IzhikevichNode,
    "LIAFNode": lambda: neuron.LIAFNode(act=torch.relu, threshold_related=False),
    "PSN": lambda: neuron.PSN(T=tiny.STEPS),
    "GatedLIFNode": lambda: neuron.GatedLIFNode(T=tiny.STEPS),
    "TernaryIFNode": neuron.TernaryIFNode,
    "NonSpikingLIFNode": neuron.NonSpikingLIFNode,
    "SynapseFilter": layer.SynapseFilter,
}


@pytest.mark.parametrize("name", _REFUSED_NEURONS)
def test_other_neurons_are_refused_by_path_and_class(name: str) -> None:
    with pytest.raises(UserError, match=rf"'1' \({name}\)"):
        tiny.captured(tiny.network(_REFUSED_NEURONS[name]()))


class _Tired(neuron.IFNode):  # type: ignore[misc]  # SpikingJelly has no types
    """A user's own neuron."""

    def single_step_functional_forward(self, inputs: Any, states: Any, **kwargs: Any) -> Any:
        (spikes,), states = super().single_step_functional_forward(inputs, states, **kwargs)
        return (spikes,), (states[0] - 0.5 * spikes,)


def test_a_subclass_with_its_own_arithmetic_is_another_neuron() -> None:
    with pytest.raises(UserError, match=r"'1' \(_Tired\)"):
        tiny.captured(tiny.network(_Tired()))


def test_what_a_neuron_cannot_say_is_refused() -> None:
    other_start = neuron.IFNode()
    other_start.set_reset_value("v", 0.5)
    graded = neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False))
    upside_down = neuron.IFNode(v_threshold=-1.0)
    for made, sentence in (
        (other_start, "starts a sample at 0.5"),
        (graded, "no step from 0 to 1"),
        (upside_down, "v_threshold is -1.0"),
    ):
        with pytest.raises(UserError, match=sentence) as refused:
            tiny.captured(tiny.network(made))
        assert "'1' (IFNode)" in str(refused.value)


class _Looped(nn.Module):
    """Steps in a loop, as SpikingJelly's examples run them; `reset_always` forgets the potential at every step."""

    def __init__(self, reset_always: bool) -> None:
        super().__init__()
        self.net = tiny.network(neuron.LIFNode(tau=2.0))
        self.reset_always = reset_always

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(self)
        total: torch.Tensor = self.net(x)
        for _ in range(tiny.STEPS - 1):
            if self.reset_always:
                functional.reset_net(self)
            total += self.net(x)
        return total / tiny.STEPS


def test_a_loop_over_steps_inside_forward() -> None:
    model = _Looped(reset_always=False)
    (node,) = tiny.captured(model).of_kind(LIF)
    assert node.name == "net.1"
    with pytest.raises(UserError, match=r"'net\.1' \(LIFNode\).*reset between the steps"):
        tiny.captured(_Looped(reset_always=True))


class _Mixed(nn.Module):
    """A time axis where the neuron runs single steps: SpikingJelly would take the T steps for a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(tiny.FEATURES, tiny.NEURONS)
        self.node = neuron.IFNode(step_mode="s")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stacked = self.fc(x).unsqueeze(0).expand(tiny.STEPS, -1, -1)
        spikes: torch.Tensor = self.node(stacked)
        return spikes.mean(0)


def test_a_wrong_step_mode_is_refused() -> None:
    with pytest.raises(UserError, match=r"'node' \(IFNode\)"):
        frontend.capture(_Mixed().eval(), (tiny.FEATURES,))


def test_the_release_before() -> None:
    """0.0.0.0.14 keeps all neurons in one module and their arithmetic in other methods."""
    old = Path(sys.prefix, "share", "spikingjelly-0.0.0.0.14")
    done = subprocess.run(
        [sys.executable, "-m", "tests.peers.spikingjelly_old"],
        env={**os.environ, "PYTHONPATH": str(old)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{old / 'spikingjelly' / 'activation_based' / 'neuron.py'} 48 (2,)"
