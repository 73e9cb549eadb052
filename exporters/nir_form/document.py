"""What a NIR file says of the graph that it was written from, so that our own reader finds the same graph again.

The metadata of the file hold the nodes and all parameters that NIR has no place for. Weights and biases are not written
twice: they are read back from the nodes that carry them.
"""

from __future__ import annotations

import json
from typing import Any

from snn2chip import graph_io
from snn2chip.graph import Graph, Node
from snn2chip.ops import Conv2d, Flatten, Linear, SumPool2d

#: The longest text that is written; readers of metadata need not be made for more.
MOST_CHARACTERS = 2**22


def graph_document(graph: Graph) -> dict[str, Any] | None:
    """The graph as JSON: `graph_io.to_document`, plus ``tensors`` and ``synapses``; None where it would be too long.

    ``tensors`` are lists by ``node/field``; ``synapses`` are the shapes of the weights that lie in NIR nodes, and
    whether there is a bias beside them.
    """
    document, tensors = graph_io.to_document(graph)
    carried = {node.name: synapses for node in graph.nodes if (synapses := _carried(graph, node))}
    fields = {f"{name}/{field}" for name in carried for field in ("weight", "bias")}
    written = {key: array.tolist() for key, array in tensors.items() if key not in fields}
    nodes = [{key: value for key, value in node.items() if key != "output"} for node in document["nodes"]]
    whole = {**document, "nodes": nodes, "tensors": written, "synapses": carried}
    return whole if len(json.dumps(whole)) <= MOST_CHARACTERS else None


def _carried(graph: Graph, node: Node) -> dict[str, Any] | None:
    """What is to be known of weights that a NIR node holds; those behind a pool are spread over its windows."""
    op = node.op
    if not isinstance(op, (Conv2d, Linear)):
        return None
    source = graph[node.inputs[0]]
    flat = isinstance(op, Linear) and isinstance(source.op, Flatten)
    if flat and isinstance(graph[source.inputs[0]].op, SumPool2d):
        return None
    return {"shape": op.weight.shape, "bias": op.bias is not None}
