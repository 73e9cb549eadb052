"""A graph as a JSON document and a table of tensors, and back. Reading trusts nothing: unknown names are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Node, attributes, frozen, parameters
from snn2chip.ops import OPS

FORMAT = "snn2chip-graph-1"
#: Attributes are sizes of maps and kernels: what passes 32 bits is no network.
_INT_LIMIT = 2**31


def _is_int(value: Any) -> bool:
    return type(value) is int and abs(value) < _INT_LIMIT


def _is_ints(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(_is_int, value))


#: What a file may give for a field of an operation, by the field's annotation.
_FITS: Mapping[str, Callable[[Any], bool]] = {
    "int": _is_int,
    "bool": lambda value: type(value) is bool,
    "float": lambda value: type(value) in (int, float),
    "Reset": lambda value: isinstance(value, str),
    "tuple[int, int]": lambda value: _is_ints(value) and len(value) == 2,
    "tuple[int, ...]": _is_ints,
    "Array": lambda value: isinstance(value, np.ndarray),
    "float | Array": lambda value: type(value) in (int, float) or isinstance(value, np.ndarray),
    "Array | None": lambda value: value is None or isinstance(value, np.ndarray),
}


def to_document(graph: Graph) -> tuple[dict[str, Any], dict[str, Array]]:
    """(JSON-ready document, tensors by ``node/field``). Units are stored as tensors ``node/unit``."""
    tensors: dict[str, Array] = {}
    for node in graph.nodes:
        tensors.update({f"{node.name}/{name}": array for name, array in parameters(node.op).items()})
        if node.unit is not None:
            tensors[f"{node.name}/unit"] = np.atleast_1d(np.asarray(node.unit, dtype=np.float64))
    nodes = [_node_document(graph, node) for node in graph.nodes]
    return {"format": FORMAT, "steps": graph.steps, "digest": graph.digest, "nodes": nodes}, tensors


def _node_document(graph: Graph, node: Node) -> dict[str, Any]:
    signal = graph.signals[node.name]
    return {
        "name": node.name,
        "op": node.kind,
        "inputs": list(node.inputs),
        "attributes": attributes(node.op),
        "output": {
            "shape": list(signal.shape),
            "kind": signal.kind.value,
            "low": signal.interval.min,
            "high": signal.interval.max,
        },
    }


def from_document(document: Mapping[str, Any], tensors: Mapping[str, Array]) -> Graph:
    """The graph that `to_document` wrote.

    Raises: GraphError where the format is unknown, a node or tensor is missing or malformed, or the digest differs.
    """
    if document.get("format") != FORMAT:
        raise GraphError(f"its format is {document.get('format')!r}, but this version reads {FORMAT!r}")
    try:
        nodes = tuple(read_node(entry, tensors) for entry in document["nodes"])
        if not _is_int(document["steps"]):
            raise GraphError(f"steps is {document['steps']!r}, but T is a whole number")
        graph = Graph(nodes, document["steps"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GraphError(f"the graph document is malformed: {type(error).__name__} {error}") from None
    if graph.digest != document.get("digest"):
        raise GraphError("the graph's digest differs from the one that is written down: it was changed after export")
    return graph


def read_node(entry: Mapping[str, Any], tensors: Mapping[str, Array]) -> Node:
    """One node: `entry` holds its name, op, inputs and attributes, `tensors` its parameters as ``name/field``."""
    name, kind, inputs = entry["name"], entry["op"], entry["inputs"]
    if not (isinstance(name, str) and isinstance(inputs, list) and all(isinstance(source, str) for source in inputs)):
        raise GraphError(f"node {name!r}: its name and inputs must be strings")
    if kind not in OPS:
        raise GraphError(f"node {name!r} has the unknown operation {kind!r}: it was written by a newer version")
    given = {key: _tuples(value) for key, value in entry["attributes"].items()}
    op_fields = {f.name: f for f in fields(OPS[kind])}  # type: ignore[arg-type]  # every op is a dataclass
    for key, field in op_fields.items():
        if f"{name}/{key}" in tensors:
            given[key] = frozen(tensors[f"{name}/{key}"])
        elif key not in given and field.default is MISSING:
            raise GraphError(f"node {name!r} ({kind}) has no {key}")
        if key in given and not _FITS[str(field.type)](given[key]):
            raise GraphError(f"node {name!r} ({kind}): {key} is no {field.type}")
    if unknown := set(given) - set(op_fields):
        raise GraphError(f"node {name!r} ({kind}) has unknown fields {sorted(unknown)}")
    unit = tensors.get(f"{name}/unit")
    return Node(name, OPS[kind](**given), tuple(inputs), None if unit is None else frozen(unit))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
