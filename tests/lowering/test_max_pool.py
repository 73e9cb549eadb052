"""Maxima of currents become maxima of spikes, with the same integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from snn2chip import interpreter, spec
from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Kind, Node, frozen
from snn2chip.lowering import to_populations
from snn2chip.lowering.max_pool import neurons_before_maxima
from snn2chip.ops import Conv2d, Flatten, Input, Linear, MaxPool2d, MultiLevelIF, Readout
from tests.differential.comparison import assert_same, executed
from tests.differential.strategies import EVERYTHING, Case, cases


@settings(max_examples=150)
@given(cases(max_steps=1, **EVERYTHING))
def test_every_integer_is_the_same(case: Case) -> None:
    moved = neurons_before_maxima(case.graph)
    spec.check_integer(moved)
    expected, found = executed(interpreter.run, case), executed(interpreter.run, Case(moved, case.inputs))
    assert_same(expected, {name: tensor for name, tensor in found.items() if name in expected}, case.graph)


def _pooled(steps: int) -> Graph:
    nodes = (
        Node("x", Input((1, 4, 4), 3)),
        Node("conv", Conv2d(frozen([[[[2]]], [[[-3]]]], np.int8)), ("x",)),
        Node("pool", MaxPool2d((2, 2), (2, 2)), ("conv",)),
        Node("neuron", MultiLevelIF(frozen([2, 1], np.int32), 3), ("pool",)),
        Node("flat", Flatten(), ("neuron",)),
        Node("fc", Linear(frozen(np.ones((2, 8)), np.int8)), ("flat",)),
        Node("logits", Readout(), ("fc",)),
    )
    return Graph(nodes, steps)


def test_no_maximum_of_currents_is_left_at_one_step() -> None:
    moved = neurons_before_maxima(_pooled(1))
    assert [node.name for node in moved.nodes[1:4]] == ["conv", "neuron.each", "neuron"]
    assert moved.signals["neuron"].kind is Kind.SPIKE
    assert to_populations(_pooled(1))["neuron"].operation == "MaxPool2d"


def test_over_several_steps_cores_cannot_hold_it() -> None:
    with pytest.raises(GraphError, match=r"'pool' \(MaxPool2d\) reads currents"):
        to_populations(_pooled(2))
