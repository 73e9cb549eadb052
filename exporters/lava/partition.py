"""Which node runs in which Lava process, and what travels between the processes.

A *layer* is one neuron node with everything that feeds it and no earlier layer: its synapses, pooling and residual
sums. The readout is the last layer, and the input belongs to the first. Layers follow the graph's topological order, so
every value travels from a lower to a higher layer, and fusing neighbours keeps that true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Graph, Node, Signal
from snn2chip.lowering.pipeline import schedule
from snn2chip.ops import Conv2d, Linear, SpikingNeuron

Stages = Literal["per-layer"] | int
FORMAT = "snn2chip-lava-2"

#: What an element of a layer without weights costs, in multiply-accumulates: weighs stages against one another.
NEURON_COST = 20


@dataclass(frozen=True)
class Link:
    """One value that travels: the port is named ``out_<index>`` at its source and ``in_<index>`` at every target.

    `bits` is the payload that its proven interval needs; `dtype` is what carries it.
    """

    index: int
    value: str
    source: int
    targets: tuple[int, ...]
    dtype: str
    bits: int

    @property
    def out_port(self) -> str:
        return f"out_{self.index}"

    @property
    def in_port(self) -> str:
        return f"in_{self.index}"


@dataclass(frozen=True)
class Partition:
    """`stages` lists node names per process, in graph order; `links` the values that cross from one to another."""

    stages: tuple[tuple[str, ...], ...]
    links: tuple[Link, ...]

    def incoming(self, stage: int) -> tuple[Link, ...]:
        return tuple(link for link in self.links if stage in link.targets)

    def outgoing(self, stage: int) -> tuple[Link, ...]:
        return tuple(link for link in self.links if link.source == stage)

    @cached_property
    def home(self) -> Mapping[str, int]:
        """By node, its stage."""
        return {name: index for index, names in enumerate(self.stages) for name in names}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One name per stage: its last node, which is a neuron or the readout."""
        return tuple(nodes[-1] for nodes in self.stages)


def partition(graph: Graph, stages: Stages = "per-layer") -> Partition:
    """One stage per layer, or at most `stages` stages of neighbouring layers with about equal work.

    Raises: UserError where `stages` is neither ``per-layer`` nor a positive number.
    """
    layers = _layers(graph)
    if stages == "per-layer":
        return _linked(graph, layers)
    if isinstance(stages, bool) or not isinstance(stages, int) or stages < 1:
        raise UserError(f"stages is {stages!r}: give per-layer or a positive number of processes")
    return _linked(graph, _fused(graph, layers, stages))


def payload_dtype(signal: Signal) -> str:
    """The narrowest of uint8, uint16, int16 and int32 that holds the proven interval."""
    low, high = signal.interval.min, signal.interval.max
    for dtype in ("uint8", "uint16", "int16"):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return dtype
    return "int32"


def _layers(graph: Graph) -> list[list[str]]:
    owners = [node.name for node in graph.of_kind(SpikingNeuron)] + [graph.output.name]
    layer = {name: index for index, name in enumerate(owners)}
    for node in reversed(graph.nodes):
        if node.name not in layer:
            layer[node.name] = min(layer[reader] for reader in graph.consumers[node.name])
    members: list[list[str]] = [[] for _ in owners]
    for node in graph.nodes:
        members[layer[node.name]].append(node.name)
    return members


def _linked(graph: Graph, stages: Sequence[Sequence[str]]) -> Partition:
    home = {name: index for index, names in enumerate(stages) for name in names}
    links: list[Link] = []
    for node in graph.nodes:
        targets = sorted({home[reader] for reader in graph.consumers[node.name]} - {home[node.name]})
        if targets:
            signal = graph.signals[node.name]
            payload = payload_dtype(signal), signal.interval.bits
            links.append(Link(len(links), node.name, home[node.name], tuple(targets), *payload))
    return Partition(tuple(map(tuple, stages)), tuple(links))


def _fused(graph: Graph, layers: list[list[str]], count: int) -> list[list[str]]:
    """Neighbouring layers joined into `count` groups: each is closed as soon as it holds its share of the work."""
    costs = [sum(_cost(graph, graph[name]) for name in names) for names in layers]
    count = min(count, len(layers))
    groups: list[list[str]] = [[]]
    done = 0
    for index, (names, cost) in enumerate(zip(layers, costs, strict=True)):
        due = done + cost / 2 > sum(costs) * len(groups) / count
        forced = len(layers) - index <= count - len(groups)
        if groups[-1] and len(groups) < count and (due or forced):
            groups.append([])
        groups[-1].extend(names)
        done += cost
    return groups


def _cost(graph: Graph, node: Node) -> int:
    size = graph.signals[node.name].size
    if isinstance(node.op, (Conv2d, Linear)):
        return size * int(np.prod(node.op.weight.shape[1:]))
    return size * NEURON_COST


def to_document(graph: Graph, parts: Partition) -> dict[str, Any]:
    """The partition as a JSON document, with shapes and payload widths for people who read it."""
    return {
        "format": FORMAT,
        "graph_digest": graph.digest,
        "pipelined": _pipelined_document(graph),
        "stages": [{"name": name, "nodes": list(nodes)} for name, nodes in zip(parts.names, parts.stages, strict=True)],
        "links": [_link_document(graph, parts, link) for link in parts.links],
    }


def _pipelined_document(graph: Graph) -> dict[str, Any]:
    plan = schedule(graph, "pipelined")
    delays = {(edge.source, edge.target): plan.delay(edge.source, edge.target) for edge in graph.edges}
    return {
        "depth": plan.ready[graph.output.name],
        "start": dict(plan.start),
        "delays": [
            {"from": source, "to": target, "steps": steps} for (source, target), steps in delays.items() if steps
        ],
    }


def _link_document(graph: Graph, parts: Partition, link: Link) -> dict[str, Any]:
    signal = graph.signals[link.value]
    return {
        "value": link.value,
        "from": parts.names[link.source],
        "to": [parts.names[target] for target in link.targets],
        "dtype": link.dtype,
        "payload_bits": link.bits,
        "shape": list(signal.shape),
    }


def from_document(graph: Graph, document: Mapping[str, Any]) -> Partition:
    """The partition that `to_document` wrote; GraphError where it does not describe `graph`, whole and in order."""
    if document.get("format") != FORMAT:
        raise GraphError(f"partition.json has format {document.get('format')!r}, but this version reads {FORMAT!r}")
    try:
        stages = [[str(name) for name in stage["nodes"]] for stage in document["stages"]]
    except (KeyError, TypeError) as error:
        raise GraphError(f"partition.json is malformed: {type(error).__name__} {error}") from None
    rank = {node.name: index for index, node in enumerate(graph.nodes)}
    if sorted(name for names in stages for name in names) != sorted(rank) or not all(stages):
        raise GraphError("partition.json does not hold every node of graph.json exactly once: export the model again")
    parts = _linked(graph, [sorted(names, key=rank.__getitem__) for names in stages])
    if any(link.source > min(link.targets) for link in parts.links) or to_document(graph, parts) != dict(document):
        raise GraphError("partition.json does not fit graph.json: export the model again")
    return parts
