"""From neurons of a graph to those of a netx file: binary, leaky, set to zero when they fire, one threshold a layer.

Sources: lava-nc 0.10.0 (`PyLifResetModelBitAcc`) and lava-dl 0.6.0 (`netx.hdf5.Network.get_neuron_params`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.exporters.lava.netx.scaling import LARGEST_MANTISSA, common_threshold
from snn2chip.graph import Array, Graph, Interval, Node, frozen
from snn2chip.kernels import DECAY_ONE
from snn2chip.ops import LIF, Conv2d, LeakyIntegrator, Linear, SpikingNeuron

#: Loihi's currents and potentials have 6 fraction bits beside a weight of 1 (`act_shift`, `vth_shift`), and 24 bits.
FRACTION_BITS = 6
PARTS = 2**FRACTION_BITS
STATE_LIMIT = 2**23 - 1
#: A neuron with this threshold never fires: its potential is read.
NO_THRESHOLD = 2**17 - 1
#: What lava-nc documents for `bias_mant`: 13 bits with the sign; lava-dl fixes its exponent to 6.
LEAST_BIAS, LARGEST_BIAS = -(2**12), 2**12 - 1
LARGEST_WEIGHT = 127


@dataclass(frozen=True)
class Neuron:
    """``vThMant``, ``iDecay`` and ``vDecay``; a spike where the potential passes the threshold in units of a weight."""

    threshold: int
    current_decay: int
    voltage_decay: int


@dataclass(frozen=True)
class Synapses:
    """What drives a layer of neurons.

    Attributes:
        node: the convolution, dense layer or input.
        largest: ``[C]``, the largest magnitude among the weights of each channel.
        bias: ``[C]`` int64.
        sums: bounds of the weighted sums, without the bias.
    """

    node: Node
    largest: Array
    bias: Array
    sums: Interval

    @classmethod
    def of(cls, graph: Graph, node: Node) -> Synapses:
        """Those of a Conv2d or Linear; an input has no weights that could be made larger."""
        interval = graph.signals[node.name].interval
        if not isinstance(node.op, (Conv2d, Linear)):
            return cls(
                node, np.full(len(interval.low), LARGEST_WEIGHT), np.zeros(len(interval.low), np.int64), interval
            )
        weight = np.abs(node.op.weight.astype(np.int64)).reshape(len(node.op.weight), -1)
        bias = np.zeros(len(weight), np.int64) if node.op.bias is None else node.op.bias.astype(np.int64)
        sums = Interval(interval.low - bias, interval.high - bias)
        return cls(node, weight.max(axis=1, initial=0), bias, sums)


@dataclass(frozen=True)
class Scaled:
    """A layer in the file: `factors` ``[C]`` of its weights, `bias` ``[C]`` int32 or None, and its neuron."""

    factors: Array
    bias: Array | None
    neuron: Neuron


def refusal(node: Node, reason: str) -> GraphError:
    """The error that names a node."""
    return GraphError(f"node {node.name!r} ({node.kind}) {reason}")


def firing(graph: Graph, synapses: Synapses, integrator: Node | None, cell: Node) -> Scaled:
    """A layer whose neurons fire. Raises: GraphError naming the node that netx cannot express."""
    op, fading = _plain(cell), _integrator(integrator)
    left = _uniform(cell, op.decay)
    lasting, bits = 0, op.fraction_bits
    if integrator is not None and fading is not None:
        lasting, bits = _uniform(integrator, fading.decay), bits + fading.fraction_bits
    if lasting and synapses.bias.any():
        raise refusal(synapses.node, "has a bias that lasts with its current, but netx adds biases to potentials")
    theta, drive = op.theta.astype(np.int64), synapses.bias << bits
    drive = drive if op.drive is None else drive + op.drive
    exact = _as_it_is(theta, drive, bits)
    for node, kept, toward_zero in ((cell, left, op.toward_zero), (integrator, lasting, fading and fading.toward_zero)):
        if node is not None and kept not in (0, DECAY_ONE) and (exact is None or not toward_zero):
            raise refusal(
                node, "leaks otherwise than Loihi's neurons: in parts of 1/64 of a weight, rounded toward zero"
            )
    factors, bias, mantissa = exact or _brought_together(cell, synapses, theta, drive, bits)
    _check_bias(synapses.node, bias)
    _check_states(graph, synapses, integrator, cell, factors)
    neuron = Neuron(mantissa, DECAY_ONE - lasting, DECAY_ONE - left)
    return Scaled(factors, frozen(bias, np.int32) if bias.any() else None, neuron)


def potential(graph: Graph, synapses: Synapses, integrator: Node | None) -> Scaled:
    """A last dense layer whose potential is read: neurons that never fire. Raises: GraphError as `firing` does."""
    fading, kept, factor = _integrator(integrator), DECAY_ONE, 1
    interval, reach_over = graph.signals[synapses.node.name].interval, graph.steps * PARTS
    if integrator is not None and fading is not None:
        kept = _uniform(integrator, fading.decay)
        interval, reach_over = graph.signals[integrator.name].interval, 1
        if fading.fraction_bits < FRACTION_BITS or not fading.toward_zero:
            raise refusal(
                integrator, "leaks otherwise than Loihi's neurons: in parts of 1/64 of a weight, rounded toward zero"
            )
        factor = 2 ** (fading.fraction_bits - FRACTION_BITS)
    bias = synapses.bias * factor
    _check_bias(synapses.node, bias)
    if (reach := max(-interval.min, interval.max, 0) * reach_over) > NO_THRESHOLD * PARTS:
        raise refusal(
            synapses.node, f"may bring a potential to {reach} parts of 1/64 in {graph.steps} steps, beyond 24 bits"
        )
    neuron = Neuron(NO_THRESHOLD, DECAY_ONE, DECAY_ONE - kept)
    return Scaled(np.full(len(bias), factor), frozen(bias, np.int32) if bias.any() else None, neuron)


def _plain(cell: Node) -> LIF:
    """The neuron, if it is one that netx has."""
    op = cell.op
    assert isinstance(op, SpikingNeuron)
    if op.levels > 1:
        raise refusal(cell, f"sends 0..{op.levels}, but netx neurons send one bit: choose 1 level")
    if not isinstance(op, LIF) or op.reset != "zero":
        raise refusal(cell, "is not reset to zero, but netx neurons are: choose that reset")
    if op.delayed:
        raise refusal(cell, "is reset a step after its spike, but netx neurons are at once: choose that reset")
    if op.floor is not None:
        raise refusal(cell, "has a floor under its potential, which netx neurons lack")
    return op


def _integrator(node: Node | None) -> LeakyIntegrator | None:
    return node.op if node is not None and isinstance(node.op, LeakyIntegrator) else None


def _uniform(node: Node, decays: Array) -> int:
    if (decays != decays[0]).any():
        raise refusal(node, "has different decays in its channels, but netx has one a layer")
    return int(decays[0])


def _as_it_is(theta: Array, drive: Array, bits: int) -> tuple[Array, Array, int] | None:
    """Numbers in Loihi's own parts, as they come from a netx file: they go back unchanged."""
    mantissa = int(theta[0] - 1) // PARTS
    if bits < FRACTION_BITS or (theta != mantissa * PARTS + 1).any() or (drive % PARTS).any():
        return None
    return (np.full(len(theta), 2 ** (bits - FRACTION_BITS)), drive // PARTS, mantissa)


def _brought_together(
    cell: Node, synapses: Synapses, theta: Array, drive: Array, bits: int
) -> tuple[Array, Array, int]:
    """Factors that make the potentials of all channels whole and their thresholds one."""
    step = np.gcd(2**bits, drive)  # every potential of a channel is a multiple of it
    finer, bias, least = 2**bits // step, drive // step, -(-theta // step)
    most = LARGEST_WEIGHT // np.maximum(finer * synapses.largest, 1)
    found = common_threshold(least, np.minimum(most, LARGEST_MANTISSA)) if most.min() > 0 else None
    if found is None:
        raise refusal(
            cell,
            f"has thresholds in {theta.min()}..{theta.max()}, but netx has one of 17 bits a layer, and no factors of "
            "its weights bring the channels together: quantize with fewer weight bits, or with one threshold a layer",
        )
    mantissa, factors = found
    return factors * finer, factors * bias, mantissa


def _check_bias(node: Node, bias: Array) -> None:
    if bias.min() < LEAST_BIAS or bias.max() > LARGEST_BIAS:
        raise refusal(node, f"needs biases in {bias.min()}..{bias.max()}, but netx biases have 13 bits with their sign")


def _check_states(graph: Graph, synapses: Synapses, integrator: Node | None, cell: Node, factors: Array) -> None:
    """Loihi's currents wrap and its potentials saturate at 24 bits: neither may happen."""
    assert isinstance(cell.op, LIF)
    fading, source = _integrator(integrator), graph.signals[cell.inputs[0]].interval
    bits = fading.fraction_bits if fading is not None else 0
    states: list[tuple[Node, Interval, int]] = [(synapses.node, synapses.sums, 0)]
    states += [(integrator, source, bits)] if integrator is not None else []
    states += [(cell, cell.op.membrane(source, graph.steps), bits + cell.op.fraction_bits)]
    for node, interval, own in states:
        largest = np.maximum(np.abs(interval.low), np.abs(interval.high)).astype(np.int64)
        reach = -int((-largest * factors * PARTS // 2**own).min(initial=0))
        if reach > STATE_LIMIT:
            raise refusal(
                node, f"may reach {reach} parts of 1/64 of a netx weight, beyond 24 bits: use fewer weight bits"
            )
