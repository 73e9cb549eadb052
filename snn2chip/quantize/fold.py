"""Batch-norm folding: float graph to float graph with the same function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Kind, Node, Op, frozen
from snn2chip.ops import Add, AvgPool2d, BatchNorm2d, Conv2d, Linear, Scale


def fold_batch_norms(graph: Graph) -> Graph:
    """Merge every `BatchNorm2d` into the weights before it; what was folded keeps the name of the weights.

    It follows a convolution or linear layer, a sum of such currents (folded into each of them) or an average over them,
    which it alone reads; or it reads spikes, and weights without padding are all that reads it. One that only scales,
    by positive gains, becomes a `Scale`.
    Raises: GraphError naming the batch norm where none of this holds.
    """
    folding = _Folding(graph)
    for node in graph.nodes:
        folding.add(node)
    return Graph(tuple(folding.nodes.values()), graph.steps)


class _Folding:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._renamed: dict[str, str] = {}
        #: Batch norms on spikes, which wait for the weights that read them.
        self._waiting: dict[str, BatchNorm2d] = {}
        self.nodes: dict[str, Node] = {}

    def add(self, node: Node) -> None:
        if isinstance(node.op, BatchNorm2d):
            self._fold(node, node.op)
            return
        op = node.op
        if isinstance(op, (Conv2d, Linear)) and node.inputs[0] in self._waiting:
            op = _after(op, self._waiting[node.inputs[0]])
        inputs = tuple(self._renamed.get(name, name) for name in node.inputs)
        self.nodes[node.name] = Node(node.name, op, inputs)

    def _fold(self, node: Node, norm: BatchNorm2d) -> None:
        (source,) = node.inputs
        target = self._renamed.get(source, source)
        if self._graph.signals[source].kind is Kind.SPIKE:
            self._check_readers(node)
            self._waiting[node.name] = norm
        elif (layers := self._layers(target, norm, node, node.name)) is not None:
            for layer, share in layers:
                self.nodes[layer.name] = replace(layer, op=_before(layer.op, share))
        elif not norm.offset.any() and (norm.gain > 0).all():  # only another unit
            self.nodes[node.name] = Node(node.name, Scale(norm.gain), (target,))
            return
        else:
            raise GraphError(
                f"node {node.name!r} (BatchNorm2d) reads {target!r} ({self.nodes[target].kind}): it must follow a "
                "Conv2d or Linear, or a sum or average of such, that nothing else reads"
            )
        self._renamed[node.name] = target

    def _check_readers(self, node: Node) -> None:
        for name in self._graph.consumers[node.name]:
            op = self._graph[name].op
            if not isinstance(op, (Conv2d, Linear)) or (isinstance(op, Conv2d) and op.padding != (0, 0)):
                raise GraphError(
                    f"node {node.name!r} (BatchNorm2d) normalises spikes, and {name!r} that reads it is no convolution "
                    "without padding: put the batch norm after the convolution"
                )

    def _readers(self, name: str, before: str) -> set[str]:
        """What reads `name`, or a batch norm that was folded into it; `before` is the batch norm at hand."""
        folded = {found for found, into in self._renamed.items() if into == name} - {before}
        return {reader for found in folded | {name} for reader in self._graph.consumers[found]} - folded

    def _layers(self, name: str, norm: BatchNorm2d, node: Node, reader: str) -> list[tuple[Node, BatchNorm2d]] | None:
        """The weights to scale and shift so that what `name` emits is normalised; None where that cannot be."""
        target = self.nodes[name]
        if self._readers(name, before=node.name) != {reader}:
            return None
        if isinstance(target.op, (Conv2d, Linear)):
            return [(target, norm)]
        if isinstance(target.op, AvgPool2d) and target.op.padding == (0, 0):
            return self._layers(target.inputs[0], norm, node, name)
        if not isinstance(target.op, Add) or len(set(target.inputs)) < len(target.inputs):
            return None
        found: list[tuple[Node, BatchNorm2d]] = []
        for k, operand in enumerate(target.inputs):  # the offset is added once
            share = norm if k == 0 else BatchNorm2d(norm.gain, frozen(np.zeros_like(norm.offset)))
            layers = self._layers(operand, share, node, name)
            if layers is None:
                return None
            found += layers
        return found


def _before(op: Op, norm: BatchNorm2d) -> Conv2d | Linear:
    """The weights whose output is normalised."""
    assert isinstance(op, (Conv2d, Linear))
    weight = op.weight * norm.gain.reshape((-1,) + (1,) * (op.weight.ndim - 1))
    bias = norm.offset if op.bias is None else op.bias * norm.gain + norm.offset
    return replace(op, weight=frozen(weight, np.float64), bias=frozen(bias, np.float64))


def _after(op: Conv2d | Linear, norm: BatchNorm2d) -> Conv2d | Linear:
    """The weights whose input is normalised."""
    gain, offset = per_input(op, norm.gain), per_input(op, norm.offset)
    axes = tuple(range(1, op.weight.ndim))
    bias = (op.weight * offset).sum(axis=axes) + (0 if op.bias is None else op.bias)
    return replace(op, weight=frozen(op.weight * gain, np.float64), bias=frozen(bias, np.float64))


def per_input(op: Conv2d | Linear, values: Array) -> Array:
    """Values of the input channels (``[C]``, or ``[1]`` for all), shaped to broadcast over `op`'s weights."""
    if len(values) == 1:
        return values
    if isinstance(op, Linear):
        return values[None, :]
    per_group = values.reshape(op.groups, -1)
    group = np.arange(op.outputs) // (op.outputs // op.groups)
    shaped: Array = per_group[group][:, :, None, None]
    return shaped
