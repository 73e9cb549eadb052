"""Whether a float graph spikes as the framework does: every neuron, every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from snn2chip import interpreter
from snn2chip.graph import Array, Graph, Node
from snn2chip.ops.neuron import SpikingNeuron


@dataclass(frozen=True)
class Difference:
    """The first one, by step and then by layer: `ties` of the `count` differing neurons there are rounding ties."""

    layer: str
    step: int
    count: int
    ties: int

    def __str__(self) -> str:
        return f"layer {self.layer!r}, step {self.step}: {self.count} neurons differ, {self.ties} of them by rounding"


@dataclass(frozen=True)
class Agreement:
    """How many spike counts were compared, how many differ, and where they first do."""

    compared: int
    differing: int
    first: Difference | None

    @property
    def explained(self) -> bool:
        """Whether nothing differs, or what differs first are rounding ties."""
        return self.first is None or self.first.ties == self.first.count


@dataclass
class _Tensors:
    """An observer that keeps chosen tensors as they are."""

    names: frozenset[str]
    kept: dict[tuple[str, int], Array] = field(default_factory=dict)

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        if node.name in self.names:
            self.kept[node.name, step] = tensor.copy()


def compare(graph: Graph, inputs: Array, expected: Mapping[str, Array], tie: float) -> Agreement:
    """Run `graph`, a float graph, on uint8 `inputs` and compare the neurons named in `expected` (``[B, T, ...]``).

    Every neuron layer of the graph must be among them, and each must spike at least once: silence proves nothing. A
    potential that close to a threshold (`tie`, relative to the threshold) is decided by rounding.
    """
    nodes = graph.of_kind(SpikingNeuron)
    assert {node.name for node in nodes} == set(expected), "the graph's neuron layers are not the framework's"
    names = {node.name for node in nodes} | {node.inputs[0] for node in nodes}
    seen = _Tensors(frozenset(names))
    interpreter.run(graph, inputs, [seen], batch_size=len(inputs))
    differing, first = 0, None
    for step in range(graph.steps):
        for node in nodes:
            wrong = seen.kept[node.name, step] != expected[node.name][:, step]
            differing += int(wrong.sum())
            if first is None and wrong.any():
                ties = _ties(graph, node, seen, step, expected[node.name][:, step], tie)
                first = Difference(node.name, step, int(wrong.sum()), int((ties & wrong).sum()))
    silent = [name for name, counts in expected.items() if not counts.any()]
    assert not silent, f"these layers never spike: {silent}"
    return Agreement(sum(counts.size for counts in expected.values()), differing, first)


def _ties(graph: Graph, node: Node, seen: _Tensors, step: int, expected: Array, tie: float) -> Array:
    """Where a current that is different by `tie` of the threshold would have given what the framework gives."""
    op = node.op
    assert isinstance(op, SpikingNeuron)
    state = op.initial_state(graph.signals[node.name], len(expected))
    for earlier in range(step):
        _, state = op.step((seen.kept[node.inputs[0], earlier],), state)
    current = seen.kept[node.inputs[0], step]
    small = tie * op.theta.reshape(-1, *[1] * (current.ndim - 2))
    above, _ = op.step((current + small,), state)
    below, _ = op.step((current - small,), state)
    found: Array = (above == expected) | (below == expected)
    return found
