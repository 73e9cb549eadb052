"""The state that a neuron keeps after running all steps is refused where it is read, and comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sinabs.layers as sl
import snntorch
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from snn2chip import frontend
from snn2chip.errors import UserError

STEPS = 4


class Network(nn.Module):
    """A neuron over all steps, and what `read` makes of it and its spikes."""

    def __init__(self, cell: nn.Module, axis: int, read: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.first, self.cell, self.axis, self.read = nn.Linear(4, 3), cell, axis, read

    def forward(self, x: Tensor) -> Any:
        spikes = self.cell(self.first(x))
        return self.read(self.cell, spikes.mean(self.axis))


def jelly(read: Callable[[Any, Tensor], Any], **options: Any) -> Network:
    return Network(neuron.IFNode(v_reset=None, step_mode="m", **options), 0, read)


def sinabs(read: Callable[[Any, Tensor], Any]) -> Network:
    return Network(sl.LIF(tau_mem=5.0, tau_syn=2.0), 1, read)


def refused(network: Network, path: str) -> None:
    """Before its first run, when the state has no shape yet, and after one."""
    for _ in range(2):
        before = {name: getattr(network.cell, name, None) for name in ("v", "v_seq", "v_mem", "i_syn")}
        with pytest.raises(UserError, match=f"{path}.*stays inside"):
            frontend.capture(network, (4,), steps=STEPS)
        assert all(getattr(network.cell, name, None) is value for name, value in before.items())
        with torch.no_grad():
            network.cell(torch.zeros(STEPS, STEPS, 3))


def test_potential_of_spikingjelly() -> None:
    refused(jelly(lambda cell, out: out + 0.25 * cell.v), "'cell.v'")


def test_recorded_potentials_of_spikingjelly() -> None:
    refused(jelly(lambda cell, out: out + cell.v_seq.mean(0), store_v_seq=True), "'v_seq' of 'cell'")


@pytest.mark.parametrize("part", ["v_mem", "i_syn"])
def test_state_of_sinabs(part: str) -> None:
    refused(sinabs(lambda cell, out: out + getattr(cell, part)), f"'cell.{part}'")


def spikes_alone(_: Any, out: Tensor) -> Tensor:
    return out


def jelly_reset(cell: Any, out: Tensor) -> Tensor:
    functional.reset_net(cell)
    return out


def sinabs_reset(cell: Any, out: Tensor) -> Tensor:
    cell.reset_states()
    return out


@pytest.mark.parametrize(
    "network", [jelly(spikes_alone), jelly(jelly_reset), sinabs(spikes_alone), sinabs(sinabs_reset)]
)
def test_a_state_that_is_reset_or_left_alone_is_no_matter(network: Network) -> None:
    assert frontend.capture(network, (4,), steps=STEPS).steps == STEPS


class Recording(nn.Module):
    """Reads what its neuron recorded; it ran before, as networks do that are looked into."""

    cell: Any

    def __init__(self, cell: nn.Module, part: str | None) -> None:
        super().__init__()
        self.first, self.cell, self.head, self.part = nn.Linear(4, 3), cell, nn.Linear(3, 2), part

    def forward(self, x: Tensor) -> Any:
        spikes = self.cell(self.first(x))
        return self.head(spikes if self.part is None else self.cell.recordings[self.part])


def recording(merged: bool) -> Any:
    options: dict[str, Any] = {"tau_mem": 5.0, "tau_syn": 2.0, "record_states": True}
    return sl.LIFSqueeze(num_timesteps=STEPS, **options) if merged else sl.LIF(**options)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.parametrize("part", ["v_mem", "i_syn"])
def test_what_sinabs_recorded_is_refused_and_comes_back(part: str, ran: bool, merged: bool) -> None:
    network = Recording(recording(merged), part)
    with torch.no_grad():
        network(torch.ones(*((STEPS,) if merged else (1, STEPS)), 4)) if ran else None
    before = dict(getattr(network.cell, "recordings", {}))
    with pytest.raises(
        UserError, match=f"'cell.{part}', the state that a neuron keeps after running all steps, is read"
    ):
        frontend.capture(network, (4,), 5, steps=STEPS)
    assert getattr(network.cell, "recordings", {}) == before


@pytest.mark.parametrize("merged", [False, True])
def test_a_network_of_sinabs_that_records_is_the_one_that_does_not(merged: bool) -> None:
    network = Recording(recording(merged), None)
    graph = frontend.capture(network, (4,), 5, steps=STEPS)
    network.cell.record_states = False
    assert frontend.capture(network, (4,), 5, steps=STEPS).digest == graph.digest


def recurrent() -> list[nn.Module]:
    node = neuron.IFNode(v_reset=None)
    return [
        sl.LIFRecurrent(tau_mem=5.0, rec_connect=nn.Linear(4, 4)),
        sl.IAFRecurrent(rec_connect=nn.Linear(4, 4)),
        snntorch.RLeaky(beta=0.5, linear_features=4, init_hidden=True),
        snntorch.RSynaptic(alpha=0.5, beta=0.5, linear_features=4, init_hidden=True),
        layer.LinearRecurrentContainer(node, in_features=4, out_features=4),
        layer.ElementWiseRecurrentContainer(node, lambda x, y: x + y),
    ]


@pytest.mark.parametrize("place", range(6))
def test_recurrent_layers_are_called_recurrent(place: int) -> None:
    cell = recurrent()[place]
    with pytest.raises(UserError, match=rf"module '0' .{type(cell).__name__}.: .* recurrent"):
        frontend.capture(nn.Sequential(cell, nn.Linear(4, 2)), (4,), 5, steps=STEPS)
