"""Run with SpikingJelly 0.0.0.0.14 on the path: its neurons, in both step modes, against their graphs."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from snn2chip import frontend
from tests.peers import tiny
from tests.peers.framework import Layout

_LAYOUTS: dict[str, Layout] = {"s": "step", "m": "TB"}


def cases() -> Iterator[tuple[Callable[..., nn.Module], dict[str, Any]]]:
    for step_mode, v_reset in itertools.product(_LAYOUTS, (None, 0.0, -0.5, 0.25)):
        common = {"step_mode": step_mode, "v_reset": v_reset}
        yield neuron.IFNode, common
        yield neuron.ParametricLIFNode, common
        for tau, decay_input in itertools.product((2.0, 4.0), (True, False)):
            yield neuron.LIFNode, {**common, "tau": tau, "decay_input": decay_input}


def network() -> nn.Module:
    model = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.IFNode(),
        layer.MaxPool2d(2),
        layer.Flatten(),
        layer.Dropout(0.5),
        layer.Linear(64, 20),
        neuron.IFNode(),
        layer.VotingLayer(10),
    ).eval()
    functional.set_step_mode(model, "m")
    return model


def main() -> None:
    agreeing = 0
    for make, arguments in cases():
        found = tiny.agrees(tiny.network(make(**arguments)), _LAYOUTS[arguments["step_mode"]])
        assert found.differing == 0, f"{make.__name__}, {arguments}: {found.first}"
        agreeing += 1
    graph = frontend.capture(network(), (2, 8, 8), steps=4)
    sys.stdout.write(f"{neuron.__file__} {agreeing} {graph.signals[graph.output.name].shape}")


if __name__ == "__main__":
    main()
