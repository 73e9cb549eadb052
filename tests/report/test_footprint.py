"""What a network has to store, by hand."""

from __future__ import annotations

import numpy as np

from snn2chip.graph import Graph, Node, frozen
from snn2chip.ops import Add, Input, Linear, MultiLevelIF, Readout
from snn2chip.report.about import footprint


def test_biases_that_feed_two_populations_are_stored_once() -> None:
    """a and b have the two biases of l in common; the sums of the biases of l and k are c's own."""
    two, one = frozen(np.array([[1, 1], [1, 1]]), np.int8), frozen(np.array([3, -4]), np.int32)
    graph = Graph(
        (
            Node("x", Input((2,), 3)),
            Node("l", Linear(two, one), ("x",)),
            Node("a", MultiLevelIF(frozen(np.array([5, 5]), np.int32), 1), ("l",)),
            Node("b", MultiLevelIF(frozen(np.array([9, 9]), np.int32), 1), ("l",)),
            Node("k", Linear(two, frozen(np.array([0, 7]), np.int32)), ("a",)),
            Node("sum", Add(), ("l", "k")),
            Node("c", MultiLevelIF(frozen(np.array([5, 5]), np.int32), 1), ("sum",)),
            Node("s", Add(), ("b", "c")),
            Node("fc", Linear(two), ("s",)),
            Node("o", Readout(), ("fc",)),
        ),
        1,
    )
    biases, thresholds = 2 + 2, 3 * 2
    assert footprint(graph).constants == 32 * (biases + thresholds)
