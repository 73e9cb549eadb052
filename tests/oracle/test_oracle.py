"""The oracle itself: independent of the package, and its convolution is the one that PyTorch computes."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given

from snn2chip.graph import Graph
from snn2chip.ops import Conv2d
from tests.differential.comparison import described
from tests.differential.strategies import graphs
from tests.oracle import oracle


def test_it_imports_nothing_of_the_package() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named == {"__future__", "math", "collections.abc", "dataclasses", "fractions", "typing"}


@given(graphs(max_steps=1))
def test_convolutions_are_those_of_pytorch(graph: Graph) -> None:
    machines = oracle.build(*described(graph))
    for node in graph.of_kind(Conv2d):
        op, machine = node.op, machines[node.name]
        assert isinstance(machine, oracle.Wiring)
        assert isinstance(op, Conv2d)
        shape = machines[node.inputs[0]].shape
        x = np.random.default_rng(0).integers(0, 9, shape)
        bias = None if op.bias is None else torch.tensor(op.bias, dtype=torch.float64)
        weight = torch.tensor(op.weight, dtype=torch.float64)
        expected = torch.nn.functional.conv2d(
            torch.tensor(x[None], dtype=torch.float64), weight, bias, op.stride, op.padding, op.dilation, op.groups
        )
        assert machine.shape == tuple(expected.shape[1:])
        assert oracle.weighted_sums(machine, [x.ravel().tolist()]) == expected.ravel().tolist()


def test_it_refuses_a_wrong_number_of_frames() -> None:
    document = {
        "steps": 2,
        "nodes": [
            {"name": "x", "op": "Input", "inputs": [], "attributes": {"shape": [1], "largest": 9}},
            {"name": "y", "op": "Readout", "inputs": ["x"], "attributes": {}},
        ],
    }
    assert oracle.evaluate(document, {}, [4]).logits == [8]
    assert oracle.evaluate(document, {}, [[4], [5]]).logits == [9]
    with pytest.raises(ValueError, match="3 frames for 2 steps"):
        oracle.evaluate(document, {}, [[4], [5], [6]])
