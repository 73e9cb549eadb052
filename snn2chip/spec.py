"""What a legal integer graph is. Every rule is stated in ``docs/semantics.md``; each refusal names the node."""

from __future__ import annotations

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Interval, Kind, Node
from snn2chip.ops import LIF, Conv2d, Input, LeakyIntegrator, Linear, Readout, SpikingNeuron
from snn2chip.ops.base import BaseOp

#: Signed width of a neuron's membrane, as Lava declares it for Loihi 2's fixed-point neurons.
MEMBRANE_BITS = 24
MEMBRANE_LIMIT = 2 ** (MEMBRANE_BITS - 1) - 1
INT32_LIMIT = 2**31 - 1
#: Largest weight magnitude: signed and symmetric, 8 bits.
WEIGHT_LIMIT = 127


def check_integer(graph: Graph) -> None:
    """Raise GraphError, naming the node, where `graph` breaks a rule of an integer graph."""
    _check_ends(graph)
    for node in graph.nodes:
        op = node.op
        if isinstance(op, BaseOp) and not op.integer:
            raise GraphError(f"node {node.name!r} ({node.kind}) belongs in float graphs only: quantize the graph first")
        if isinstance(op, (Conv2d, Linear)):
            _check_synapses(graph, node, op)
        if isinstance(op, SpikingNeuron):
            _check_neuron(graph, node, op)
        elif isinstance(op, LeakyIntegrator):
            _check_integrator(graph, node, op)
        elif not _within(graph.signals[node.name].interval, INT32_LIMIT):
            raise GraphError(f"node {node.name!r} ({node.kind}) may leave 32 bits: {_range(graph, node.name)}")
    logits = graph.signals[graph.output.name].interval
    if max(-logits.min, logits.max) * graph.steps > INT32_LIMIT:
        raise GraphError(f"node {graph.output.name!r}: logits summed over {graph.steps} steps may leave 32 bits")


def broken_rule(graph: Graph) -> str | None:
    """The rule that `graph` breaks, as `check_integer` words it; None for a legal integer graph."""
    try:
        check_integer(graph)
    except GraphError as error:
        return str(error)
    return None


def _check_ends(graph: Graph) -> None:
    inputs, outputs = graph.of_kind(Input), graph.of_kind(Readout)
    if len(inputs) != 1 or inputs[0] is not graph.input:
        raise GraphError("a network has exactly one Input, its first node")
    if len(outputs) != 1 or outputs[0] is not graph.output:
        raise GraphError("a network has exactly one Readout, its last node")
    for node in graph.nodes[:-1]:
        if not graph.consumers[node.name]:
            raise GraphError(f"node {node.name!r} ({node.kind}) is read by nobody: remove it")


def _check_synapses(graph: Graph, node: Node, op: Conv2d | Linear) -> None:
    source = graph.signals[node.inputs[0]]
    if source.kind is not Kind.SPIKE:
        raise GraphError(f"node {node.name!r} ({node.kind}) reads currents of {node.inputs[0]!r}: put a neuron between")
    if op.weight.dtype != np.int8:
        raise GraphError(f"node {node.name!r} ({node.kind}) has {op.weight.dtype} weights, but int8 is needed")
    if int(op.weight.min(initial=0)) < -WEIGHT_LIMIT:
        raise GraphError(f"node {node.name!r} ({node.kind}) has a weight of -128: weights are symmetric, -127..127")
    if op.bias is not None and op.bias.dtype != np.int32:
        raise GraphError(f"node {node.name!r} ({node.kind}) has a {op.bias.dtype} bias, but int32 is needed")
    current, bias = graph.signals[node.name].interval, 0 if op.bias is None else op.bias.astype(np.int64)
    # Executors form the product first: it has to fit even where the bias would bring the current back into range.
    if not _within(Interval(current.low - bias, current.high - bias), INT32_LIMIT):
        raise GraphError(f"node {node.name!r} ({node.kind}) may leave 32 bits before its bias is added")


def _check_neuron(graph: Graph, node: Node, op: SpikingNeuron) -> None:
    _check_int32(node, "thresholds", op.theta)
    if (most := int(op.saturation.max())) > MEMBRANE_LIMIT:
        raise GraphError(f"node {node.name!r} saturates at N*theta = {most}, beyond 24 bits")
    if isinstance(op, LIF):
        _check_lif(node, op)
    membrane = op.membrane(graph.signals[node.inputs[0]].interval, graph.steps)
    if not _within(membrane, MEMBRANE_LIMIT):
        raise GraphError(
            f"node {node.name!r}: its membrane may reach [{membrane.min}, {membrane.max}] over {graph.steps} steps, "
            f"beyond {MEMBRANE_BITS} bits: use fewer weight bits or fewer steps"
        )


def _check_lif(node: Node, op: LIF) -> None:
    for name, values in (
        ("step sizes", op.step_size),
        ("decays", op.decay),
        ("drives", op.drive),
        ("floors", op.floor),
    ):
        if values is not None:
            _check_int32(node, name, values)
    if op.strict:
        raise GraphError(f"node {node.name!r} (LIF) is strict: an integer neuron fires at v >= theta")
    if op.floor is not None and int(op.floor.min()) < -MEMBRANE_LIMIT:
        raise GraphError(f"node {node.name!r} (LIF) has a floor of {int(op.floor.min())}, beyond 24 bits")
    if int(op.step_size.max()) > MEMBRANE_LIMIT:
        raise GraphError(f"node {node.name!r} (LIF) has a step size of {int(op.step_size.max())}, beyond 24 bits")


def _check_integrator(graph: Graph, node: Node, op: LeakyIntegrator) -> None:
    _check_int32(node, "decays", op.decay)
    if not _within(graph.signals[node.name].interval, MEMBRANE_LIMIT):
        raise GraphError(f"node {node.name!r} ({node.kind}) may leave 24 bits: {_range(graph, node.name)}")


def _check_int32(node: Node, what: str, values: Array) -> None:
    if values.dtype != np.int32:
        raise GraphError(f"node {node.name!r} ({node.kind}) has {values.dtype} {what}, but int32 is needed")


def _within(interval: Interval, limit: int) -> bool:
    return -limit <= interval.min and interval.max <= limit


def _range(graph: Graph, name: str) -> str:
    interval = graph.signals[name].interval
    return f"[{interval.min}, {interval.max}]"
