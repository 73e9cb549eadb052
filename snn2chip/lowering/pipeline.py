"""When each node computes: in the same step as everything else, or one step behind its sources, as on a chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from snn2chip.errors import UserError
from snn2chip.graph import Graph, Kind, Node
from snn2chip.ops import Add, MaxPool2d, Readout, SpikingNeuron, SumPool2d, Upsample2d

Timing = Literal["algorithmic", "pipelined"]


@dataclass(frozen=True)
class Schedule:
    """Steps are counted from 0, the one in which the first frame of a sample arrives.

    Attributes:
        start: by node, the step in which it computes its own step 0; it is active in ``start .. start + T - 1``.
        ready: by node, the step from which on others can use that result: `start`, or one later where a step ends
            with the node.
    """

    start: Mapping[str, int]
    ready: Mapping[str, int]

    def lag(self, source: str, target: str) -> int:
        """Steps between a value of `source` and its use by `target`; alignment needs a delay of ``start - ready``."""
        return self.start[target] - self.start[source]

    def delay(self, source: str, target: str) -> int:
        """Steps that a value of `source` waits for `target` beyond the pipeline's own; 0 where nothing is skipped."""
        return self.start[target] - self.ready[source]


def schedule(graph: Graph, timing: Timing) -> Schedule:
    """The schedule of `graph` in `timing`.

    ``algorithmic``: every node computes in the step in which the frame arrives. ``pipelined``: what sends events
    (`takes_a_step`) is one step behind the latest of its sources; synapses and what else stands before it compute
    as soon as their inputs are there. Every input of a node has the same own step as the node itself: an unaligned
    skip cannot be expressed.
    Raises: UserError for any other timing.
    """
    check_timing(timing)
    start: dict[str, int] = {}
    ready: dict[str, int] = {}
    for node in graph.nodes:
        start[node.name] = max((ready[source] for source in node.inputs), default=0)
        behind = timing == "pipelined" and takes_a_step(graph, node)
        ready[node.name] = start[node.name] + behind
    return Schedule(MappingProxyType(start), MappingProxyType(ready))


def check_timing(timing: str) -> None:
    """UserError where `timing` is none of `Timing`."""
    if timing not in get_args(Timing):
        raise UserError(f"timing {timing!r} is unknown: choose {' or '.join(get_args(Timing))}")


def depth(graph: Graph) -> int:
    """Pipeline stages between input and logits: with T steps, one sample takes ``T + depth - 1``."""
    return schedule(graph, "pipelined").ready[graph.output.name]


def takes_a_step(graph: Graph, node: Node) -> bool:
    """Whether `node` is computed by units of its own, whose events arrive one step later: neurons, the readout, and
    pools, relays and sums of spikes that do more than feed neurons. All else belongs to the synapses of its readers."""
    if isinstance(node.op, Add):
        return graph.signals[node.name].kind is Kind.SPIKE and not only_feeds_neurons(graph, node)
    if isinstance(node.op, (MaxPool2d, SumPool2d, Upsample2d)):
        return graph.signals[node.name].kind is Kind.SPIKE
    return isinstance(node.op, (Readout, SpikingNeuron))


def only_feeds_neurons(graph: Graph, node: Node) -> bool:
    """Whether a sum of spikes can be taken by the synapses of the neurons behind it."""
    readers = [graph[name] for name in graph.consumers[node.name]]
    return all(
        isinstance(reader.op, SpikingNeuron) or (isinstance(reader.op, Add) and only_feeds_neurons(graph, reader))
        for reader in readers
    )
