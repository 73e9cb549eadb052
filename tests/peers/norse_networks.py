"""Networks that norse ships, and the one that introduces it in its README."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import norse.torch as norse
from norse.torch.models.conv import ConvNet, ConvNet4
from torch import Tensor, nn

from tests.peers.network import Network


def readme() -> nn.Module:
    """20C5-MP2-50C5-MP2-10 with LIF cells, and a leaky integrator to read."""
    model: nn.Module = norse.SequentialState(
        nn.Conv2d(1, 20, 5, 1),
        norse.LIFCell(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(20, 50, 5, 1),
        norse.LIFCell(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(800, 10),
        norse.LICell(),
    )
    return model


def with_states(model: nn.Module, inputs: Iterable[Tensor]) -> None:
    """norse's containers return their states, and take them at the next call."""
    state = None
    for x in inputs:
        _, state = model(x, state)


def _spiking(module: nn.Module) -> bool:
    return isinstance(module, norse.LIFCell)


def _network(name: str, source: str, layout: Any, build: Any, **more: Any) -> Network:
    return Network(name, source, "norse", build, _spiking, (1, 28, 28), 16, layout, gain=3.0, **more)


NETWORKS = (
    _network("README net", "SequentialState of LIFCell, LICell", "step", readme, run=with_states),
    _network("ConvNet", "norse.torch.models.conv.ConvNet()", "TB", ConvNet),
    _network("ConvNet4", "norse.torch.models.conv.ConvNet4()", "TB", ConvNet4),
)
