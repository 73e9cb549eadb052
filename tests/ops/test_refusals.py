"""Every rule of a legal integer graph, broken by a small one: a GraphError that names the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn2chip import spec
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.ops import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MultiLevelIF,
    Readout,
    Scale,
    SumPool2d,
    Upsample2d,
)


def _ones(*shape: int, dtype: type = np.int8) -> Array:
    return frozen(np.ones(shape), dtype)


def _linear(outputs: int, inputs: int, value: int = 1, bias: int | None = None) -> Linear:
    weight = frozen(np.full((outputs, inputs), value), np.int8)
    return Linear(weight, None if bias is None else frozen([bias] * outputs, np.int32))


def _neuron(channels: int, theta: int = 1, levels: int = 4) -> MultiLevelIF:
    return MultiLevelIF(frozen([theta] * channels, np.int32), levels)


def _network(**changed: Op) -> Graph:
    """A small legal network of maps; `changed` replaces operations by node name."""
    ops: dict[str, Op] = {
        "image": Input((2, 4, 4), 16),
        "conv": Conv2d(_ones(3, 2, 3, 3), frozen([0, 0, 0], np.int32)),
        "spikes": _neuron(3),
        "pool": SumPool2d((2, 2), (2, 2)),
        "flat": Flatten(),
        "fc": _linear(5, 3),
        "logits": Readout(),
    }
    assert set(changed) <= set(ops)
    names = list(ops)
    nodes = (Node(name, changed.get(name, ops[name]), tuple(names[:at][-1:])) for at, name in enumerate(names))
    return Graph(tuple(nodes), steps=4)


def _flat(*nodes: tuple[str, Op, tuple[str, ...]], steps: int = 1) -> Graph:
    """Nodes after an input ``x`` of two features."""
    return Graph((Node("x", Input((2,), 255)), *(Node(*node) for node in nodes)), steps)


def test_the_unbroken_networks_are_legal() -> None:
    spec.check_integer(_network())
    spec.check_integer(_flat(("fc", _linear(1, 2), ("x",)), ("logits", Readout(), ("fc",))))


LEGAL_CONV = Conv2d(_ones(3, 2, 3, 3))

BROKEN_OPS: list[tuple[str, str, Op]] = [
    ("image", "largest is 0", Input((2, 4, 4), 0)),
    ("image", "largest is 256", Input((2, 4, 4), 256)),
    ("image", r"neither \(features,\) nor", Input((4, 4), 16)),
    ("image", r"neither \(features,\) nor", Input((2, 0, 4), 16)),
    ("conv", "does not fit an input of 2 channels", Conv2d(_ones(3, 1, 3, 3))),
    ("conv", "does not fit an input of 2 channels", Conv2d(_ones(3, 1, 3, 3), groups=2)),
    ("conv", "groups=0", Conv2d(_ones(3, 2, 3, 3), groups=0)),
    ("conv", "does not fit 3 output channels", replace(LEGAL_CONV, bias=frozen([0, 0], np.int32))),
    ("conv", "does not fit into a map", Conv2d(_ones(3, 2, 5, 3))),
    ("conv", "does not fit into a map", replace(LEGAL_CONV, dilation=(1, 2))),
    ("conv", "at least 1, and padding at least 0", replace(LEGAL_CONV, stride=(0, 1))),
    ("conv", "at least 1, and padding at least 0", replace(LEGAL_CONV, padding=(0, -1))),
    ("conv", "float32 weights, but int8", Conv2d(_ones(3, 2, 3, 3, dtype=np.float32))),
    ("conv", "int16 weights, but int8", Conv2d(_ones(3, 2, 3, 3, dtype=np.int16))),
    ("conv", "weight of -128", Conv2d(frozen(np.full((3, 2, 3, 3), -128), np.int8))),
    ("conv", "int64 bias, but int32", replace(LEGAL_CONV, bias=_ones(3, dtype=np.int64))),
    ("conv", "float64 bias, but int32", replace(LEGAL_CONV, bias=_ones(3, dtype=np.float64))),
    ("conv", "may leave 32 bits", replace(LEGAL_CONV, bias=frozen([0, 0, 2**31 - 288], np.int32))),
    ("spikes", "does not fit an input of 3 channels", _neuron(2)),
    ("spikes", "levels is 0", _neuron(3, levels=0)),
    ("spikes", "levels is 256", _neuron(3, levels=256)),
    ("spikes", "theta must be positive", _neuron(3, theta=0)),
    ("spikes", "int64 thresholds, but int32", MultiLevelIF(_ones(3, dtype=np.int64), 4)),
    ("spikes", r"saturates at N\*theta = 8388608", _neuron(3, theta=2**21, levels=4)),
    ("pool", "does not fit into a map", SumPool2d((3, 3), (2, 2))),
    ("pool", "at least 1, and padding at least 0", SumPool2d((2, 2), (2, 0))),
    ("pool", "float graphs only", AvgPool2d((2, 2), (2, 2))),
    ("spikes", "float graphs only", Scale(0.5)),
    ("spikes", "float graphs only", BatchNorm2d(_ones(3, dtype=np.float64), _ones(3, dtype=np.float64))),
    ("pool", "at least 1", Upsample2d((0, 1))),
    ("fc", "does not fit an input of shape", _linear(5, 4)),
    ("fc", "does not fit 5 outputs", Linear(_ones(5, 3), frozen([0], np.int32))),
    ("fc", "needs a .* map", Conv2d(_ones(5, 3, 1, 1))),
]


@pytest.mark.parametrize(("name", "reason", "op"), BROKEN_OPS)
def test_a_broken_operation_is_named(name: str, reason: str, op: Op) -> None:
    with pytest.raises(GraphError, match=reason) as refused:
        spec.check_integer(_network(**{name: op}))
    assert f"node {name!r}" in str(refused.value)


def _reads_currents() -> Graph:
    layers = ("first", _linear(2, 2), ("x",)), ("second", _linear(1, 2), ("first",))
    return _flat(*layers, ("out", Readout(), ("second",)))


def _mixed_sum() -> Graph:
    nodes = ("current", _linear(2, 2), ("x",)), ("sum", Add(), ("current", "x")), ("out", Readout(), ("sum",))
    return _flat(*nodes)


def _unequal_sum() -> Graph:
    branches = ("a", _linear(2, 2), ("x",)), ("b", _linear(1, 2), ("x",))
    return _flat(*branches, ("sum", Add(), ("a", "b")), ("out", Readout(), ("sum",)))


def _unread() -> Graph:
    return _flat(("spare", _neuron(2), ("x",)), ("fc", _linear(1, 2), ("x",)), ("out", Readout(), ("fc",)))


def _logits_of_a_map() -> Graph:
    return Graph((Node("x", Input((1, 2, 2), 3)), Node("out", Readout(), ("x",))), 1)


def _wide_membrane(steps: int) -> Graph:
    # v falls to steps * -(2 * 255 * 127 + 2**20).
    nodes = ("fc", _linear(1, 2, -127, -(2**20)), ("x",)), ("spikes", _neuron(1), ("fc",))
    return _flat(*nodes, ("head", _linear(1, 1), ("spikes",)), ("out", Readout(), ("head",)), steps=steps)


def _wide_logits(steps: int) -> Graph:
    return _flat(("fc", _linear(1, 2, 1, 2**30 - 510), ("x",)), ("out", Readout(), ("fc",)), steps=steps)


def _wide_product() -> Graph:
    # 127 * 255 * 67 000 passes 2**31; the bias would bring it back.
    fc = _linear(1, 67_000, 127, -(10**8))
    return Graph((Node("x", Input((67_000,))), Node("fc", fc, ("x",)), Node("out", Readout(), ("fc",))), 1)


def _wide_sum() -> Graph:
    branches = ("a", _linear(1, 2, 1, 2**30), ("x",)), ("b", _linear(1, 2, 1, 2**30), ("x",))
    return _flat(*branches, ("sum", Add(), ("a", "b")), ("out", Readout(), ("sum",)))


BROKEN_GRAPHS: list[tuple[str, str, Callable[[], Graph]]] = [
    ("'second'", "reads currents of 'first'", _reads_currents),
    ("'sum'", "sums spikes with currents", _mixed_sum),
    ("'sum'", "different shapes", _unequal_sum),
    ("'spare'", "read by nobody", _unread),
    ("'out'", "logits are flat", _logits_of_a_map),
    ("'spikes'", "beyond 24 bits", lambda: _wide_membrane(8)),
    ("'out'", "summed over 2 steps may leave 32 bits", lambda: _wide_logits(2)),
    ("'fc'", "before its bias", _wide_product),
    ("'sum'", "may leave 32 bits", _wide_sum),
]


@pytest.mark.parametrize(("name", "reason", "build"), BROKEN_GRAPHS)
def test_a_broken_network_is_refused(name: str, reason: str, build: Callable[[], Graph]) -> None:
    with pytest.raises(GraphError, match=reason) as refused:
        spec.check_integer(build())
    assert name in str(refused.value)


def test_limits_are_kept_to_the_last_integer() -> None:
    spec.check_integer(_wide_membrane(7))
    spec.check_integer(_wide_logits(1))
    spec.check_integer(_network(spikes=_neuron(3, theta=(2**23 - 1) // 7, levels=7)))
    spec.check_integer(_network(conv=Conv2d(frozen(np.full((3, 2, 3, 3), -127), np.int8))))
    # The current itself may be as wide as the membrane where T is 1: 2**23 - 1, and no more.
    for excess, legal in ((0, True), (1, False)):
        nodes = ("fc", _linear(1, 2, 1, 2**23 - 511 + excess), ("x",)), ("spikes", _neuron(1), ("fc",))
        graph = _flat(*nodes, ("head", _linear(1, 1), ("spikes",)), ("out", Readout(), ("head",)))
        assert _is_legal(graph) is legal


def _is_legal(graph: Graph) -> bool:
    try:
        spec.check_integer(graph)
    except GraphError:
        return False
    return True


def test_ends_are_one_input_and_one_readout() -> None:
    x, fc, out = Node("x", Input((2,))), Node("fc", _linear(1, 2), ("x",)), Node("out", Readout(), ("fc",))
    for nodes in ((x, Node("y", Input((2,))), fc, out), (x, fc), (x, fc, out, Node("more", Readout(), ("fc",)))):
        with pytest.raises(GraphError, match="exactly one"):
            spec.check_integer(Graph(nodes, 1))


@pytest.mark.parametrize(
    ("reason", "nodes", "steps"),
    [
        ("no nodes", (), 1),
        ("steps=0", (Node("x", Input((2,))),), 0),
        ("steps=65537", (Node("x", Input((2,))),), 65537),
        ("two nodes are called 'x'", (Node("x", Input((2,))), Node("x", Readout(), ("x",))), 1),
        ("'y' reads 'z', which is not defined", (Node("x", Input((2,))), Node("y", Readout(), ("z",))), 1),
        ("'y' reads 'y', which is not defined", (Node("x", Input((2,))), Node("y", Readout(), ("y",))), 1),
        (r"'y' \(Add\) has 1 inputs", (Node("x", Input((2,))), Node("y", Add(), ("x",))), 1),
        (r"'y' \(Readout\) has 0 inputs", (Node("x", Input((2,))), Node("y", Readout())), 1),
    ],
)
def test_a_graph_that_is_no_graph(reason: str, nodes: tuple[Any, ...], steps: int) -> None:
    with pytest.raises(GraphError, match=reason):
        Graph(nodes, steps)
