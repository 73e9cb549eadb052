"""One neuron layer behind one small Linear, compared with its framework where every sum is exact, ties included."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from snn2chip import frontend
from snn2chip.graph import Array, Graph
from tests.peers import agreement, framework
from tests.peers.agreement import Agreement
from tests.peers.framework import Layout
from tests.peers.network import DOUBLE_TIE, step_after_step

FEATURES, NEURONS, STEPS, SAMPLES, LARGEST = 4, 12, 6, 16, 7


def network(neuron: nn.Module, step: float = 0.25) -> nn.Module:
    """``[..., 4]`` to ``[..., 12]``; weights and biases are small multiples of `step`."""
    linear = nn.Linear(FEATURES, NEURONS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.copy_(torch.randint(-2, 4, parameter.shape, generator=generator) * step)
    return nn.Sequential(linear, neuron).eval()


def captured(model: nn.Module, steps: int = STEPS) -> Graph:
    return frontend.capture(model, (FEATURES,), largest=LARGEST, steps=steps)


def agrees(
    model: nn.Module,
    layout: Layout,
    steps: int = STEPS,
    dtype: torch.dtype = torch.float64,
    tie: float = DOUBLE_TIE,
) -> Agreement:
    """How the float graph of `model`, a `network`, agrees with it on random frames."""
    graph = captured(model, steps)
    frames = np.random.default_rng(2).integers(0, LARGEST + 1, (SAMPLES, steps, FEATURES)).astype(np.uint8)
    expected = _spikes(model.to(dtype), frames, layout, dtype)
    return agreement.compare(graph, frames, expected, tie)


def _spikes(model: nn.Module, frames: Array, layout: Layout, dtype: torch.dtype) -> dict[str, Array]:
    return framework.spikes(model, ["1"], torch.from_numpy(frames).to(dtype), layout, step_after_step)
