"""Folding batch norms: the same function without them, wherever they stand, or a refusal that names them."""

from __future__ import annotations

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Node, frozen
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
)
from snn2chip.quantize import fold_batch_norms, quantize

IMAGES = np.arange(17, dtype=np.uint8).reshape(17, 1, 1, 1) * np.ones((1, 1, 2, 2), np.uint8)
NORM = BatchNorm2d(frozen(np.array([2.0, -0.5])), frozen(np.array([0.1, 0.3])))
PAIR = frozen(np.array([1.0, 0.5]).reshape(2, 1, 1, 1))
NEURON = MultiLevelIF(frozen(np.full(2, 0.125)), 4)


def network(*middle: Node, features: int = 8) -> Graph:
    """A float graph around nodes that start at ``real`` (a 1x2x2 image in 0..1) and end in `features` values."""
    head = np.random.default_rng(0).standard_normal((2, features))
    nodes = [Node("x", Input((1, 2, 2), 16)), Node("real", Scale(1 / 16), ("x",)), *middle]
    nodes += [
        Node("flat", Flatten(), (nodes[-1].name,)),
        Node("head", Linear(frozen(head)), ("flat",)),
        Node("out", Readout(), ("head",)),
    ]
    return Graph(tuple(nodes), 1)


def folding_cases() -> dict[str, list[Node]]:
    return {
        "convolution": [
            Node("conv", Conv2d(PAIR), ("real",)),
            Node("norm", NORM, ("conv",)),
            Node("again", NORM, ("norm",)),
            Node("if", NEURON, ("again",)),
        ],
        "sum": [
            Node("a", Conv2d(PAIR), ("real",)),
            Node("a.norm", NORM, ("a",)),
            Node("b", Conv2d(PAIR, frozen(np.array([0.2, 0.1]))), ("real",)),
            Node("sum", Add(), ("a.norm", "b")),
            Node("norm", NORM, ("sum",)),
            Node("if", NEURON, ("norm",)),
        ],
        "average": [
            Node("conv", Conv2d(PAIR), ("real",)),
            Node("pool", AvgPool2d((1, 2), (1, 1)), ("conv",)),
            Node("norm", NORM, ("pool",)),
            Node("if", NEURON, ("norm",)),
        ],
        "a scale that others read around": [
            Node("conv", Conv2d(PAIR), ("real",)),
            Node("half", BatchNorm2d(frozen(np.array([0.5, 2.0])), frozen(np.zeros(2))), ("conv",)),
            Node("if", NEURON, ("conv",)),
            Node("if2", NEURON, ("half",)),
            Node("sum", Add(), ("if", "if2")),
        ],
        "spikes": [
            Node("conv", Conv2d(PAIR), ("real",)),
            Node("first", NEURON, ("conv",)),
            Node("norm", NORM, ("first",)),
            Node("conv2", Conv2d(frozen(np.arange(4.0).reshape(2, 2, 1, 1) / 8)), ("norm",)),
            Node("if", NEURON, ("conv2",)),
        ],
    }


@pytest.mark.parametrize("case", folding_cases())
def test_folding_batch_norms_keeps_the_function(case: str) -> None:
    graph = network(*folding_cases()[case], features=4 if case == "average" else 8)
    folded = fold_batch_norms(graph)
    assert not folded.of_kind(BatchNorm2d)
    np.testing.assert_allclose(interpreter.run(folded, IMAGES), interpreter.run(graph, IMAGES), rtol=1e-12)


def test_a_linear_layer_takes_a_batch_norm() -> None:
    graph = Graph(
        (
            Node("x", Input((4,), 16)),
            Node("fc", Linear(frozen(np.arange(8.0).reshape(2, 4) / 100)), ("x",)),
            Node("norm", NORM, ("fc",)),
            Node("if", NEURON, ("norm",)),
            Node("head", Linear(frozen(np.eye(2))), ("if",)),
            Node("out", Readout(), ("head",)),
        ),
        1,
    )
    x = np.arange(17, dtype=np.uint8)[:, None] * np.ones((1, 4), np.uint8)
    folded = fold_batch_norms(graph)
    assert not folded.of_kind(BatchNorm2d)
    np.testing.assert_allclose(interpreter.run(folded, x), interpreter.run(graph, x), rtol=1e-12)


def test_a_batch_norm_whose_input_others_read_is_refused() -> None:
    graph = network(
        Node("conv", Conv2d(PAIR), ("real",)),
        Node("norm", NORM, ("conv",)),
        Node("again", NORM, ("norm",)),
        Node("sum", Add(), ("norm", "again")),
        Node("if", NEURON, ("sum",)),
    )
    with pytest.raises(GraphError, match=r"node 'again' \(BatchNorm2d\) reads 'conv'"):
        quantize(graph)


def test_a_batch_norm_on_spikes_before_padding_is_refused() -> None:
    graph = network(
        Node("norm", BatchNorm2d(frozen(np.ones(1)), frozen(np.ones(1))), ("real",)),
        Node("conv", Conv2d(frozen(np.ones((1, 1, 3, 3))), padding=(1, 1)), ("norm",)),
        Node("if", MultiLevelIF(frozen(np.ones(1)), 4), ("conv",)),
        features=4,
    )
    with pytest.raises(GraphError, match=r"node 'norm' .* normalises spikes, and 'conv' .* without padding"):
        quantize(graph)
