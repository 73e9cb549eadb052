"""From an integer graph to the layers of a netx file, or the reason why netx cannot express it.

What the numbers mean, and that lava-dl's loader computes with them as they are, stands in ``docs/netx.md``. Sources:
lava-dl 0.6.0 (`netx.hdf5.Network`, `netx.utils.optimize_weight_bits`) and lava-nc 0.10.0 (`PyLifResetModelBitAcc`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from snn2chip.exporters.lava.netx.neurons import LARGEST_WEIGHT, Neuron, Scaled, Synapses, firing, potential, refusal
from snn2chip.graph import Array, Graph, Node, Shape, frozen
from snn2chip.ops import Conv2d, Flatten, LeakyIntegrator, Linear, SpikingNeuron
from snn2chip.spec import check_integer

#: Where a weight passes 127, all of its layer are even: signed synapses of 8 bits hold their halves.
LARGEST_EVEN_WEIGHT = 254


@dataclass(frozen=True)
class Layer:
    """One entry of ``/layer``.

    Attributes:
        kind: ``input``, ``flatten``, ``conv`` or ``dense``.
        node: the node of the graph that yields what the layer yields; for the last layer, the readout.
        shape: of what it yields, ``(C, H, W)`` or ``(F,)``.
        synapses: the weights (int16) and the bias of the file, or None.
        neuron: how its neurons work, or None.
        inputs: features of a dense layer's source, channels of a convolution's.
    """

    kind: str
    node: str
    shape: Shape
    synapses: Conv2d | Linear | None = None
    neuron: Neuron | None = None
    inputs: int = 0


def lower(graph: Graph) -> tuple[Layer, ...]:
    """The layers of `graph`. Raises: GraphError naming the node that netx cannot express, or a broken rule."""
    check_integer(graph)
    _check_chain(graph)
    layer, used = _input_layer(graph)
    layers = [layer]
    # Readers flatten what comes last by themselves.
    end = len(graph.nodes) - (2 if isinstance(graph.nodes[-2].op, Flatten) else 1)
    while used < end:
        layer, taken = _next_layer(graph, graph.nodes[used:end])
        layers.append(layer)
        used += taken
    if all(layer.synapses is None for layer in layers):
        raise refusal(
            graph.output, "reads the input without a conv or dense layer, of which lava-dl's loader needs one"
        )
    return tuple(layers)


def _check_chain(graph: Graph) -> None:
    for before, node in zip(graph.nodes, graph.nodes[1:], strict=False):
        if len(node.inputs) > 1:
            raise refusal(node, "joins several layers: lava-dl's loader chains each layer to the one before")
        if len(graph.consumers[before.name]) > 1 or node.inputs != (before.name,):
            raise refusal(before, "is read by several layers: lava-dl's loader chains each layer to the one before")


def _input_layer(graph: Graph) -> tuple[Layer, int]:
    """The input, with the neurons that take it as their current, and how many nodes that is."""
    node, behind = graph.nodes[0], graph.nodes[1]
    shape = graph.signals[node.name].shape
    if not isinstance(behind.op, SpikingNeuron):
        return Layer("input", node.name, shape), 1
    scaled = firing(graph, Synapses.of(graph, node), None, behind)
    if scaled.bias is not None or (scaled.factors != 1).any():
        raise refusal(behind, "has a bias, or thresholds that differ, and no weights before it")
    return Layer("input", behind.name, shape, neuron=scaled.neuron), 2


def _next_layer(graph: Graph, rest: Sequence[Node]) -> tuple[Layer, int]:
    """The layer that begins with ``rest[0]``, and how many nodes it takes."""
    node = rest[0]
    if isinstance(node.op, Flatten):
        return Layer("flatten", node.name, graph.signals[node.name].shape), 1
    if not isinstance(node.op, (Conv2d, Linear)):
        raise refusal(node, "has no layer in netx, whose loader knows conv, dense and flatten, each with its neurons")
    integrator = rest[1] if len(rest) > 1 and isinstance(rest[1].op, LeakyIntegrator) else None
    used = 1 if integrator is None else 2
    synapses = Synapses.of(graph, node)
    if len(rest) > used and isinstance(rest[used].op, SpikingNeuron):
        cell = rest[used]
        return _synaptic_layer(graph, node, cell.name, firing(graph, synapses, integrator, cell)), used + 1
    if len(rest) > used or isinstance(node.op, Conv2d):
        raise refusal(node, "has no neurons behind it: in netx, only a last dense layer may be read without")
    return _synaptic_layer(graph, node, graph.output.name, potential(graph, synapses, integrator)), used


def _synaptic_layer(graph: Graph, node: Node, name: str, scaled: Scaled) -> Layer:
    op = node.op
    assert isinstance(op, (Conv2d, Linear))
    weight = op.weight.astype(np.int64) * scaled.factors.reshape(-1, *(1,) * (op.weight.ndim - 1))
    largest = int(np.abs(weight).max(initial=0))
    if largest > LARGEST_EVEN_WEIGHT or (largest > LARGEST_WEIGHT and (weight % 2).any()):
        raise refusal(node, f"needs weights up to {largest}: netx holds -127..127, or even ones in -254..254")
    shape, inputs = graph.signals[name].shape, graph.signals[node.inputs[0]].shape[0]
    if isinstance(op, Linear):
        _check_dense(node, weight)
        return Layer("dense", name, shape, Linear(frozen(weight, np.int16), scaled.bias), scaled.neuron, inputs)
    conv = replace(op, weight=frozen(weight, np.int16), bias=scaled.bias)
    return Layer("conv", name, shape, conv, scaled.neuron, inputs)


def _check_dense(node: Node, weight: Array) -> None:
    """Where `optimize_weight_bits` fails, or shifts a weight out of what its synapses hold."""
    if not weight.any():
        raise refusal(node, "has no weight but zeros, on which lava-dl's loader fails: remove the layer")
    least = -int(weight.min())
    if weight.max() < 0 and least & (least - 1) == 0:
        raise refusal(node, f"has negative weights alone, down to -{least}, which lava-dl's loader clips")
