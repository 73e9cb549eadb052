"""Batch-norm folding: float graph to float graph with the same function."""

from __future__ import annotations

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Node, frozen
from snn2chip.ops import BatchNorm2d, Conv2d


def fold_batch_norms(graph: Graph) -> Graph:
    """Merge every `BatchNorm2d` into the convolution before it; the folded node keeps the convolution's name.

    Raises: GraphError where a batch norm follows anything but a convolution that it alone reads.
    """
    renamed: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if isinstance(node.op, BatchNorm2d):
            (source,) = inputs
            conv = nodes[source].op
            if not isinstance(conv, Conv2d) or graph.consumers[node.inputs[0]] != (node.name,):
                raise GraphError(f"node {node.name!r} (BatchNorm2d) must follow a Conv2d that nothing else reads")
            nodes[source] = Node(source, _folded(conv, node.op), nodes[source].inputs)
            renamed[node.name] = source
        else:
            nodes[node.name] = Node(node.name, node.op, inputs)
    return Graph(tuple(nodes.values()), graph.steps)


def _folded(conv: Conv2d, norm: BatchNorm2d) -> Conv2d:
    weight = conv.weight * norm.gain[:, None, None, None]
    bias = norm.offset if conv.bias is None else conv.bias * norm.gain + norm.offset
    geometry = (conv.stride, conv.padding, conv.dilation, conv.groups)
    return Conv2d(frozen(weight, np.float64), frozen(bias, np.float64), *geometry)
