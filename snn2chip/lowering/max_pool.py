"""Maxima of currents turned into maxima of spikes, where there is one step: chips cannot send currents."""

from __future__ import annotations

from dataclasses import replace

from snn2chip.graph import Graph, Kind, Node
from snn2chip.ops import MaxPool2d, SpikingNeuron


def neurons_before_maxima(graph: Graph) -> Graph:
    """The same integers at every neuron's reader, with neurons in front of the maxima of currents that they read.

    A neuron starts at rest and counts the levels of its current, more for more: at T = 1 the largest current gives the
    largest count. The pool gets the neuron's name and the neuron is called ``<name>.each``. Over several steps what the
    neurons keep would differ, and the graph is returned as it is.
    """
    if graph.steps > 1:
        return graph
    moved = {node.name: node.inputs[0] for node in graph.nodes if _reads_maxima(graph, node)}
    pools = set(moved.values())
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in moved:
            pool = graph[moved[node.name]]
            each = f"{node.name}.each"
            nodes += [replace(node, name=each, inputs=pool.inputs), replace(node, op=pool.op, inputs=(each,))]
        elif node.name not in pools:
            nodes.append(node)
    return Graph(tuple(nodes), graph.steps)


def _reads_maxima(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, SpikingNeuron):
        return False
    source = graph[node.inputs[0]]
    if not isinstance(source.op, MaxPool2d) or graph.signals[source.name].kind is not Kind.CURRENT:
        return False
    return graph.consumers[source.name] == (node.name,) and f"{node.name}.each" not in graph
