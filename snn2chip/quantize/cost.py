"""What quantization cost: weights, thresholds and spikes, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from snn2chip.graph import Array, Node
from snn2chip.ops import LIF, SpikingNeuron
from snn2chip.quantize.agreement import Agreement, LayerAgreement
from snn2chip.quantize.branches import Approximation
from snn2chip.quantize.constants import changes
from snn2chip.quantize.post_training import Quantized

Counting = Literal["comparison", "shift", "division"]


@dataclass(frozen=True)
class LayerCost:
    """Weights of one layer.

    Attributes:
        name, kind: of the node.
        weights: how many.
        bits: of each.
        sqnr_db: power of the real weights over that of their error, in dB; None where there is no error.
        clipped: fraction of weights beyond the largest integer.
        bias_error: largest error of a rounded bias, in units of the current; 0 where there is none.
    """

    name: str
    kind: str
    weights: int
    bits: int
    sqnr_db: float | None
    clipped: float
    bias_error: float


@dataclass(frozen=True)
class NeuronCost:
    """Thresholds and spikes of one layer of neurons.

    Attributes:
        name, kind, levels: of the node.
        theta_low, theta_high: smallest and largest integer threshold of its channels.
        theta_bits: that the largest takes.
        theta_change: how far a threshold lies from the trained one at most, as a part of it: rounding, correction and
            fine-tuning together.
        counting: how spikes are counted: by a ``comparison`` (one level), by ``shift``, or by ``division``.
        spikes: agreement with the float network, or None where it was not measured.
    """

    name: str
    kind: str
    levels: int
    theta_low: int
    theta_high: int
    theta_bits: int
    theta_change: float
    counting: Counting
    spikes: LayerAgreement | None


@dataclass(frozen=True)
class Cost:
    """What quantization cost, layer by layer and in all.

    Attributes:
        layers, neurons: in graph order.
        approximations: numbers of the network that integers could not say, or only coarsely.
        average_bits: per weight.
        agreement: with the float network, or None where it was not measured.
    """

    layers: Sequence[LayerCost]
    neurons: Sequence[NeuronCost]
    approximations: Sequence[Approximation]
    average_bits: float
    agreement: Agreement | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        document = asdict(self)
        overall = document.pop("agreement")
        if overall is not None:
            overall.pop("layers")  # they are with the neurons
        return {**document, "agreement": overall}


def cost(quantized: Quantized, agreement: Agreement | None = None) -> Cost:
    """The account of a quantized network; `agreement` as measured by `snn2chip.quantize.agreement`."""
    layers = [_layer(quantized, node) for node in quantized.rounding.classes.layers]
    spikes: Mapping[str, LayerAgreement] = {} if agreement is None else agreement.layers
    neurons = [_neuron(quantized, node, spikes) for node in quantized.graph.of_kind(SpikingNeuron)]
    bits = sum(layer.bits * layer.weights for layer in layers) / sum(layer.weights for layer in layers)
    return Cost(layers, neurons, quantized.approximations, bits, agreement)


def _layer(quantized: Quantized, layer: Node) -> LayerCost:
    rounding, name = quantized.rounding, layer.name
    unit = rounding.unit(name)
    integers: Any = quantized.graph[name].op
    real, column = rounding.real_weight(quantized.state.reference[name]), _rows(unit, integers.weight.ndim)
    error = float(((real - integers.weight * column) ** 2).sum())
    power = float((real**2).sum())
    bias = getattr(layer.op, "bias", None)
    return LayerCost(
        name=name,
        kind=layer.kind,
        weights=int(real.size),
        bits=rounding.bits(layer),
        sqnr_db=10 * math.log10(power / error) if error > 0 and power > 0 else None,
        clipped=float(np.mean(np.abs(real / column) > rounding.limit(layer) + 0.5)),
        bias_error=0.0 if bias is None else float(np.abs(integers.bias - bias / unit).max()),
    )


def _rows(values: Array, rank: int) -> Array:
    return values.reshape((-1,) + (1,) * (rank - 1))


def _neuron(quantized: Quantized, node: Node, spikes: Mapping[str, LayerAgreement]) -> NeuronCost:
    op, rounding = node.op, quantized.rounding
    assert isinstance(op, SpikingNeuron)
    moved = changes(rounding, quantized.state.reference, rounding.network[node.name])
    return NeuronCost(
        name=node.name,
        kind=node.kind,
        levels=op.levels,
        theta_low=int(op.theta.min()),
        theta_high=int(op.theta.max()),
        theta_bits=int(op.theta.max()).bit_length(),
        theta_change=next(change.relative for change in moved if change.constant == "theta"),
        counting=counting(op),
        spikes=spikes.get(node.name),
    )


def counting(op: SpikingNeuron) -> Counting:
    """How an integer neuron counts its spikes: of one level it only compares, else it divides, at best by a shift."""
    if op.levels == 1:
        return "comparison"
    divisor = op.step_size if isinstance(op, LIF) else op.theta
    return "shift" if _powers_of_two(divisor) else "division"


def _powers_of_two(values: Array) -> bool:
    return bool(((values & (values - 1)) == 0).all())
