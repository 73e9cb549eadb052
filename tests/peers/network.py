"""A network from elsewhere, as its own project defines it, and how it is run there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from snn2chip import frontend
from snn2chip.graph import Array, Graph
from tests.peers import framework
from tests.peers.framework import Layout

#: A potential this close to a threshold, relative to the threshold, is a tie that rounding decides. A sum of n terms
#: may be off by about n * 2**-53 in double precision, by n * 2**-24 in single.
DOUBLE_TIE, SINGLE_TIE = 1e-9, 1e-4
#: Weights of networks that are compared in single precision are multiples of this, so that sums are exact there too.
DYADIC = 2.0**-6


def step_after_step(model: nn.Module, inputs: Iterable[torch.Tensor]) -> None:
    """How most networks are run: every call goes on from the states that the one before left."""
    for x in inputs:
        model(x)


def captured(network: Network, model: nn.Module) -> Graph:
    """How most networks are read: as live modules."""
    return frontend.capture(model, network.input_shape, network.largest, network.steps, input_scale=network.scale)


@dataclass(frozen=True)
class Network:
    """What is read, and how.

    Attributes:
        name: as people know it.
        source: the function or class that defines it, unmodified, and its arguments.
        package: the distribution that it comes from.
        build: makes it, with weights that are random and the same every time.
        spiking: whether a module is a spiking neuron layer.
        input_shape: of one frame.
        steps: T.
        layout: how it takes T steps.
        largest, scale: inputs are ``scale * x`` with x in ``0 .. largest``.
        samples: how many inputs are compared.
        gain: by how much its weights are larger than its project initialises them, lest deep layers stay silent.
        single: compared in single precision, with dyadic weights, because the framework computes in no other.
        large: too large for the tests: only `tests.peers.document` examines it.
        run: runs all calls in its framework.
        read: gives its float graph.
        by_order: its neuron layers are told by their order, because their names are lost in a file.
    """

    name: str
    source: str
    package: str
    build: Callable[[], nn.Module]
    spiking: Callable[[nn.Module], bool]
    input_shape: tuple[int, ...]
    steps: int
    layout: Layout
    largest: int = 255
    scale: float = 1 / 255
    samples: int = 2
    gain: float = 1.0
    single: bool = False
    large: bool = False
    run: Callable[[nn.Module, Iterable[torch.Tensor]], None] = step_after_step
    read: Callable[[Network, nn.Module], Graph] = captured
    by_order: bool = False

    @property
    def tie(self) -> float:
        return SINGLE_TIE if self.single else DOUBLE_TIE

    def model(self) -> nn.Module:
        """In evaluation mode; in double precision, so that only the order of sums differs from a float graph."""
        torch.manual_seed(0)
        model = self.build().eval()
        with torch.no_grad():
            _settle(model, self.gain)
            if not self.single:
                return model.double()
            for parameter in model.parameters():
                if parameter.ndim:
                    parameter.copy_((parameter / DYADIC).round() * DYADIC)
        return model

    def inputs(self) -> Array:
        """uint8 ``[B, *shape]``."""
        size = (self.samples, *self.input_shape)
        return np.random.default_rng(0).integers(0, self.largest + 1, size).astype(np.uint8)

    def spikes(self, model: nn.Module, inputs: Array) -> dict[str, Array]:
        """What every neuron layer of `model` emits in its framework: ``[B, T, ...]`` by path."""
        paths = [path for path, module in model.named_modules() if self.spiking(module)]
        frames = torch.from_numpy(inputs).to(torch.float32 if self.single else torch.float64) * self.scale
        frames = frames.unsqueeze(1).expand(-1, self.steps, *self.input_shape)
        return framework.spikes(model, paths, frames, self.layout, self.run)


def _settle(model: nn.Module, gain: float) -> None:
    """Batch norms as training might leave them (fresh ones, 0 and 1, would hide a wrong fold), and louder weights."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            if module.affine:
                nn.init.uniform_(module.weight, 0.7 * gain, 1.5 * gain)
                nn.init.normal_(module.bias, 0.1, 0.2)
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            module.weight *= gain
