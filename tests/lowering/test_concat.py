"""Networks without concatenation: the same integers at every node that is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings

from snn2chip import interpreter, spec
from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Node, frozen
from snn2chip.lowering import to_populations, to_unary
from snn2chip.lowering.concat import split_concats
from snn2chip.ops import Add, Concat, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout
from tests.differential.comparison import assert_same, executed
from tests.differential.strategies import EVERYTHING, Case, cases


def _split(graph: Graph) -> Graph:
    """What is refused, see below, is left out: sums with a tensor that is none, and groups of channels across parts."""
    try:
        return split_concats(graph)
    except GraphError as error:
        if not any(reason in str(error) for reason in ("differ in their channels", "channels from several parts")):
            raise
        reject()


@settings(max_examples=150)
@given(cases(**EVERYTHING))
def test_every_integer_is_the_same(case: Case) -> None:
    split = _split(case.graph)
    read = {name for node in split.of_kind(Concat) for name in split.consumers[node.name]}
    assert read <= {split.output.name}
    spec.check_integer(split)
    found = executed(interpreter.run, Case(split, case.inputs))
    assert_same(executed(interpreter.run, case), {n: t for n, t in found.items() if n in case.graph}, case.graph)


def _joined(*nodes: Node) -> Graph:
    first = (
        Node("x", Input((2, 2, 2), 3)),
        Node("neuron", MultiLevelIF(frozen([2, 2], np.int32), 2), ("x",)),
        Node("both", Concat(), ("neuron", "x")),
    )
    return Graph((*first, *nodes), 2)


def test_depthwise_convolutions_stay_in_parts() -> None:
    weight = frozen(np.arange(1, 5).reshape(4, 1, 1, 1), np.int8)
    graph = _joined(
        Node("depthwise", Conv2d(weight, frozen([1, 2, 3, 4], np.int32), groups=4), ("both",)),
        Node("spikes", MultiLevelIF(frozen([3, 3, 3, 3], np.int32), 1), ("depthwise",)),
        Node("flat", Flatten(), ("spikes",)),
        Node("fc", Linear(frozen(np.ones((2, 16)), np.int8)), ("flat",)),
        Node("logits", Readout(), ("fc",)),
    )
    split = split_concats(graph)
    assert [node.name for node in split.nodes if node.name.startswith("depthwise")] == [
        "depthwise.part0",
        "depthwise.part1",
    ]
    x = np.random.default_rng(0).integers(0, 4, (5, 2, 2, 2)).astype(np.uint8)
    assert (interpreter.run(split, x) == interpreter.run(graph, x)).all()


def test_a_sum_with_another_tensor_is_refused_by_name() -> None:
    other = Conv2d(frozen(np.ones((4, 2, 1, 1)), np.int8))
    graph = _joined(
        Node("wide", other, ("x",)),
        Node("spikes", MultiLevelIF(frozen([1, 1, 1, 1], np.int32), 1), ("wide",)),
        Node("total", Add(), ("both", "spikes")),
        Node("flat", Flatten(), ("total",)),
        Node("fc", Linear(frozen(np.ones((2, 16)), np.int8)), ("flat",)),
        Node("logits", Readout(), ("fc",)),
    )
    with pytest.raises(GraphError, match=r"'total'.*differ in their channels"):
        split_concats(graph)


def test_a_group_of_channels_across_parts_is_refused_by_name() -> None:
    nodes = (
        Node("x", Input((1, 2, 2), 3)),
        Node("both", Concat(), ("x", "x")),
        Node("all", Concat(), ("both", "both")),
        Node("grouped", Conv2d(frozen(np.ones((2, 2, 1, 1)), np.int8), groups=2), ("all",)),
        Node("flat", Flatten(), ("grouped",)),
        Node("logits", Readout(), ("flat",)),
    )
    with pytest.raises(GraphError, match=r"'grouped'.*several parts"):
        split_concats(Graph(nodes, 1))


def test_spikes_that_the_readout_reads_side_by_side_reach_their_classes() -> None:
    graph = _joined(Node("flat", Flatten(), ("both",)), Node("logits", Readout(), ("flat",)))
    x = np.random.default_rng(0).integers(0, 4, (5, 2, 2, 2)).astype(np.uint8)
    split = split_concats(graph)
    assert not split.of_kind(Concat)
    assert (interpreter.run(split, x) == interpreter.run(graph, x)).all()
    assert to_populations(graph)["logits"].operation == "Linear + Add + Readout"
    once = Graph(graph.nodes, 1)
    lowered = to_unary(once)
    assert (interpreter.run(lowered.graph, lowered.encode(x)) == interpreter.run(once, x)).all()


def test_currents_that_the_readout_reads_side_by_side_fit_no_core() -> None:
    one, other = (Linear(frozen(np.ones((2, 8)), np.int8)) for _ in "ab")
    nodes = (
        Node("x", Input((8,), 3)),
        Node("one", one, ("x",)),
        Node("other", other, ("x",)),
        Node("both", Concat(), ("one", "other")),
        Node("logits", Readout(), ("both",)),
    )
    for lower in (to_populations, to_unary):
        with pytest.raises(GraphError, match="node 'both' \\(Concat\\)"):
            lower(Graph(nodes, 1))
