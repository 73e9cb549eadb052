"""Graphs as documents: what is written is read back, and whatever is changed is seen."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn2chip import graph_io, interpreter
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Node, attributes, frozen, parameters
from snn2chip.ops import Input
from tests.differential.strategies import Case, cases, graphs

ODDITIES: list[Any] = [None, True, -1, 0, 1.5, 10**30, "", "x", [], [[]], {}, {"x": 1}, float("nan")]


@given(cases())
def test_round_trip(case: Case) -> None:
    document, tensors = graph_io.to_document(case.graph)
    read = graph_io.from_document(json.loads(json.dumps(document)), tensors)
    assert read.digest == case.graph.digest
    assert graph_io.to_document(read)[0] == document
    assert (interpreter.run(read, case.inputs) == interpreter.run(case.graph, case.inputs)).all()


@given(graphs(), st.integers(0, 2**32 - 1))
def test_any_changed_parameter_changes_the_digest(graph: Graph, entropy: int) -> None:
    rng = np.random.default_rng(entropy)
    digests = {changed.digest for changed in _changed(graph, rng)}
    assert graph.digest not in digests
    assert len(digests) == sum(1 for _ in _changed(graph, rng))


def test_units_have_no_part_in_the_digest() -> None:
    node = Node("x", Input((2,), 255))
    plain, with_unit = Graph((node,), 1), Graph((replace(node, unit=frozen([0.25])),), 1)
    assert plain.digest == with_unit.digest
    document, tensors = graph_io.to_document(with_unit)
    unit = graph_io.from_document(document, tensors)["x"].unit
    assert unit is not None
    assert unit.tolist() == [0.25]


@given(graphs(), st.data())
def test_a_spoilt_document_is_refused_in_one_sentence(graph: Graph, data: st.DataObject) -> None:
    """Never another exception, and never another network."""
    document, tensors = graph_io.to_document(graph)
    spoilt = json.loads(json.dumps(document))
    _spoil(spoilt, data)
    try:
        read = graph_io.from_document(spoilt, tensors)
    except GraphError:
        return
    assert read.digest == graph.digest


@given(graphs(), st.data())
def test_a_missing_or_changed_tensor_is_refused(graph: Graph, data: st.DataObject) -> None:
    document, tensors = graph_io.to_document(graph)
    name = data.draw(st.sampled_from(sorted(tensors)))
    flipped = frozen(tensors[name] ^ 1)
    for spoilt in ({**tensors, name: flipped}, {**tensors, name: tensors[name].astype(np.int64)}):
        with pytest.raises(GraphError, match="digest"):
            graph_io.from_document(document, spoilt)
    with pytest.raises(GraphError, match=r"digest|has no"):
        graph_io.from_document(document, {key: tensors[key] for key in tensors if key != name})


def _changed(graph: Graph, rng: np.random.Generator) -> Iterator[Graph]:
    """Graphs that differ in one number each, or in T: the smallest bit is flipped, or 1 is added."""
    yield Graph(graph.nodes, graph.steps + 1)
    for at, node in enumerate(graph.nodes):
        for name, array in parameters(node.op).items():
            yield _with(graph, at, replace(node, op=replace(node.op, **{name: _flipped(array, rng)})))  # type: ignore[type-var]
        for name, value in attributes(node.op).items():
            if value is not None:
                yield _with(graph, at, replace(node, op=replace(node.op, **{name: _other(value)})))  # type: ignore[type-var]


def _with(graph: Graph, at: int, node: Node) -> Graph:
    return Graph((*graph.nodes[:at], node, *graph.nodes[at + 1 :]), graph.steps)


def _flipped(array: Array, rng: np.random.Generator) -> Array:
    changed = np.array(array)
    changed.reshape(-1)[rng.integers(array.size)] ^= 1
    return frozen(changed)


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    return (value[0] + 1, *value[1:]) if isinstance(value, tuple) else value + 1


def _spoil(document: dict[str, Any], data: st.DataObject) -> None:
    """Replace or remove one thing, anywhere."""
    places: list[tuple[Any, Any]] = []

    def walk(inside: Any) -> None:
        keys = list(inside) if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ()
        for key in keys:
            places.append((inside, key))
            walk(inside[key])

    walk(document)
    container, key = data.draw(st.sampled_from(places))
    if data.draw(st.booleans()):
        del container[key]
    else:
        container[key] = copy.deepcopy(data.draw(st.sampled_from(ODDITIES)))
