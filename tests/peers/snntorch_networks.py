"""The networks of snnTorch's tutorials 5 to 7, which are published as notebooks: written down here as they define them.

The one difference: the number of samples is taken from the input, where tutorial 6 has it as a constant.
"""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn
from torch.nn import functional as F

from tests.peers.network import Network


class Dense(nn.Module):
    """Tutorial 5: 784-1000-10, beta 0.95, 25 steps."""

    def __init__(self, **neuron: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, 1000)
        self.lif1 = snn.Leaky(beta=0.95, **neuron)
        self.fc2 = nn.Linear(1000, 10)
        self.lif2 = snn.Leaky(beta=0.95, **neuron)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(25):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class Convolutional(nn.Module):
    """Tutorial 6: 12C5-MP2-64C5-MP2-10, beta 0.5; one step a call."""

    def __init__(self) -> None:
        super().__init__()
        leaky: dict[str, Any] = {"beta": 0.5, "spike_grad": surrogate.fast_sigmoid(slope=25)}
        self.conv1 = nn.Conv2d(1, 12, 5)
        self.lif1 = snn.Leaky(**leaky)
        self.conv2 = nn.Conv2d(12, 64, 5)
        self.lif2 = snn.Leaky(**leaky)
        self.fc1 = nn.Linear(64 * 4 * 4, 10)
        self.lif3 = snn.Leaky(**leaky)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        spk1, mem1 = self.lif1(F.max_pool2d(self.conv1(x), 2), mem1)
        spk2, mem2 = self.lif2(F.max_pool2d(self.conv2(spk1), 2), mem2)
        spk3, mem3 = self.lif3(self.fc1(spk2.view(x.size(0), -1)), mem3)
        return spk3, mem3


def sequential(channels: int, size: int, **neuron: Any) -> nn.Module:
    """Tutorials 6 and 7: 12C5-MP2-{64 or 32}C5-MP2-10 in a nn.Sequential; the neurons keep their states."""
    wide = 64 if channels == 1 else 32
    leaky: dict[str, Any] = {"beta": 0.5, "spike_grad": surrogate.fast_sigmoid(slope=25), "init_hidden": True, **neuron}
    net = nn.Sequential(
        nn.Conv2d(channels, 12, 5),
        nn.MaxPool2d(2),
        snn.Leaky(**leaky),
        nn.Conv2d(12, wide, 5),
        nn.MaxPool2d(2),
        snn.Leaky(**leaky),
        nn.Flatten(),
        nn.Linear(wide * size * size, 10),
        snn.Leaky(**leaky, output=True),
    )
    utils.reset(net)
    return net


def _spiking(module: nn.Module) -> bool:
    return isinstance(module, snn.Leaky)


def _network(
    name: str, source: str, shape: tuple[int, ...], steps: int, layout: Any, build: Any, **more: Any
) -> Network:
    inputs: dict[str, Any] = {"largest": 15, "scale": 1 / 16}
    return Network(
        name, f"tutorial {source}", "snntorch", build, _spiking, shape, steps, layout, single=True, **inputs, **more
    )


NETWORKS = (
    _network("dense MNIST net", "5", (28 * 28,), 25, "image", Dense),
    _network("dense MNIST net, reset to zero", "5", (28 * 28,), 25, "image", lambda: Dense(reset_mechanism="zero")),
    _network("convolutional MNIST net", "6", (1, 28, 28), 1, "step", Convolutional, gain=4.0),
    _network("convolutional MNIST net, nn.Sequential", "6", (1, 28, 28), 8, "step", lambda: sequential(1, 4), gain=4.0),
    _network("convolutional N-MNIST net", "7", (2, 34, 34), 8, "step", lambda: sequential(2, 5), gain=4.0),
)
