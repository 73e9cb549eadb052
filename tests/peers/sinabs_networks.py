"""Networks that sinabs makes of trained ones, with its own converter, and one that is written with its layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import sinabs.layers as sl
from sinabs import from_model
from sinabs.activation import MaxSpike, SingleSpike
from torch import nn

from tests.peers.network import Network

STEPS = 8


def converted(**conversion: Any) -> nn.Module:
    """The MNIST network of sinabs' examples: 16C5-AP2-32C5-AP2-120C4-10, every ReLU made an `IAFSqueeze`."""
    analog = nn.Sequential(
        nn.Conv2d(1, 16, 5, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 5, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(32, 120, 4, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(120, 10, bias=False),
    )
    network: nn.Module = from_model(analog, num_timesteps=STEPS, **conversion).spiking_model
    return network


def leaky() -> nn.Module:
    """LIF layers between convolutions, with sum pooling as on DynapCNN, and a leaky integrator to read."""
    time: dict[str, Any] = {"num_timesteps": STEPS}
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False),
        sl.LIFSqueeze(tau_mem=20.0, spike_fn=SingleSpike, norm_input=False, **time),
        sl.SumPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        sl.LIFSqueeze(tau_mem=20.0, tau_syn=5.0, spike_fn=SingleSpike, norm_input=False, **time),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10, bias=False),
        sl.ExpLeakSqueeze(tau_mem=50.0, **time),
    )


def _spiking(module: nn.Module) -> bool:
    return isinstance(module, sl.StatefulLayer) and module.does_spike


def _network(name: str, source: str, build: Any, shape: tuple[int, ...] = (1, 28, 28), **more: Any) -> Network:
    inputs: dict[str, Any] = {"largest": 15, "scale": 1 / 16}
    return Network(
        name, source, "sinabs", build, _spiking, shape, STEPS, "B*T", single=True, gain=2.0, **inputs, **more
    )


NETWORKS = (
    _network("converted MNIST net, as it comes", "from_model(ann)", converted),
    _network(
        "converted MNIST net, up to 255 spikes",
        "from_model(ann, spike_fn=MaxSpike(255))",
        partial(converted, spike_fn=MaxSpike(255)),
    ),
    _network(
        "converted MNIST net, up to 15 spikes, unbounded below",
        "from_model(ann, spike_fn=MaxSpike(15), min_v_mem=None)",
        partial(converted, spike_fn=MaxSpike(15), min_v_mem=None),
    ),
    _network("LIF net", "LIFSqueeze, SumPool2d, ExpLeakSqueeze", leaky, (2, 16, 16)),
)
