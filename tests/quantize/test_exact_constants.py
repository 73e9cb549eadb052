"""Numbers that stay whole: drives, floors and thresholds behind a current that is only added up."""

from __future__ import annotations

import numpy as np
import pytest

from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.ops import LIF, Input, LeakyIntegrator, Linear, Readout
from snn2chip.quantize import quantize


def _real(*values: float) -> Array:
    return frozen(values, np.float64)


def _network(neuron: LIF, integrator: bool = False) -> Graph:
    nodes = [Node("x", Input((2,), 3)), Node("fc", Linear(frozen([[1.0, -1.0]], np.float64)), ("x",))]
    if integrator:
        nodes.append(Node("sum", LeakyIntegrator(_real(1.0)), ("fc",)))
    nodes += [Node("neuron", neuron, (nodes[-1].name,)), Node("logits", Readout(), ("neuron",))]
    return Graph(tuple(nodes), 4)


@pytest.mark.parametrize(
    ("neuron", "integrator"),
    [
        (LIF(_real(1.0), _real(1.0), _real(1.0), floor=_real(-0.5)), False),
        (LIF(_real(3.0), _real(3.0), _real(1.0), drive=_real(0.4)), False),
        (LIF(_real(2.5), _real(2.5), _real(1.0)), True),
    ],
)
def test_nothing_is_rounded(neuron: LIF, integrator: bool) -> None:
    graph = quantize(_network(neuron, integrator))
    unit, found = graph["fc"].unit, graph["neuron"].op
    assert unit is not None
    assert isinstance(found, LIF)
    assert found.theta * unit == pytest.approx(neuron.theta)
    for real, whole in ((neuron.floor, found.floor), (neuron.drive, found.drive)):
        assert (real is None) == (whole is None)
        if real is not None and whole is not None:
            assert whole * unit == pytest.approx(real)
