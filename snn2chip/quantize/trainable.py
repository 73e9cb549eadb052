"""A float graph that computes what its integer graph will compute, with gradients.

Weights, biases, thresholds and the units of currents are real parameters; every forward pass rounds them as
`snn2chip.quantize.integer` does and runs on the integers, held in floats that hold them exactly. Units are learned as
step sizes are (Esser et al., "Learned step size quantization", arXiv 1902.08153): what is trained is what is exported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Interval, Node, Op, frozen
from snn2chip.kernels import FLOAT32_EXACT
from snn2chip.ops import LIF, Conv2d, LeakyIntegrator, Linear, MultiLevelIF, SpikingNeuron
from snn2chip.quantize.branches import is_identity
from snn2chip.quantize.choices import Choices, Precision
from snn2chip.quantize.fold import per_input
from snn2chip.quantize.integer import Rounding
from snn2chip.quantize.integer_run import IntegerRun
from snn2chip.quantize.neurons import rounded_neuron
from snn2chip.quantize.straight_through import round_through


class Trainable(nn.Module):
    """A prepared float graph (`snn2chip.quantize.integer.prepare`) as a module that computes its integers.

    Shape: frames ``[B, T, *shape]`` of whole numbers -> real logits ``[B, classes]``, the mean over the T steps.
    Raises: GraphError where an integer graph cannot be had from `network`.
    """

    def __init__(self, network: Graph, precision: Precision, choices: Choices) -> None:
        super().__init__()
        self.network = network
        self.rounding = Rounding(network, precision, choices)
        self.integer = self.rounding.graph()  # coarsens the units that need it
        self.dtype = _float_type(self.integer)
        self.log_units = nn.Parameter(self.tensor(np.log(self.rounding.class_units)))
        self._layers = {node.name: _Layer(self, node) for node in self.rounding.classes.layers}
        synapses = {
            node.name: node.op
            for node in self.rounding.classes.layers
            if isinstance(node.op, (Conv2d, Linear)) and not is_identity(node.op)  # an identity has nothing to learn
        }
        self._weights = nn.ParameterDict({_key(n): self._parameter(op.weight) for n, op in synapses.items()})
        self._biases = nn.ParameterDict(
            {_key(n): self._parameter(op.bias) for n, op in synapses.items() if op.bias is not None}
        )
        self._free = {
            node.name: node for node in network.of_kind(MultiLevelIF) if node.inputs[0] in self.rounding.classes
        }
        self._constant = [
            node.name for node in network.of_kind(MultiLevelIF, LeakyIntegrator) if node.name not in self._free
        ]
        thresholds = {name: node.op.theta for name, node in self._free.items() if isinstance(node.op, MultiLevelIF)}
        self._log_thresholds = nn.ParameterDict({_key(n): self._parameter(np.log(v)) for n, v in thresholds.items()})

    def parameter_groups(self, learning_rate: float, unit_rate: float) -> list[dict[str, object]]:
        """For an optimiser: weights and biases; units and thresholds, whose logarithms move at `unit_rate`."""
        slow = [self.log_units, *self._log_thresholds.values()]
        quick = [*self._weights.values(), *self._biases.values()]
        return [{"params": quick, "lr": learning_rate}, {"params": slow, "lr": unit_rate}]

    def _parameter(self, values: Array) -> nn.Parameter:
        return nn.Parameter(self.tensor(values))

    def tensor(self, values: Array) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=self.dtype)

    def unit(self, name: str) -> Tensor:
        """The unit ``[O]`` of a current, as a function of the learned units."""
        classes, ratio = self.rounding.classes.of(name)
        return self.log_units.exp()[torch.from_numpy(classes)] * self.tensor(ratio)

    def integers(self) -> dict[str, Tensor]:
        """The integers of the present parameters by ``node/field`` (weight, bias, theta), differentiable."""
        found: dict[str, Tensor] = {}
        for name, layer in self._layers.items():
            unit = self.unit(name)
            weight = self._weights.get(_key(name), layer.weight)
            found[f"{name}/weight"] = layer.rounded(weight, unit)
            if _key(name) in self._biases:
                found[f"{name}/bias"] = round_through(self._biases[_key(name)] / unit)
        for name, node in self._free.items():
            theta = self._log_thresholds[_key(name)].exp() / self.unit(node.inputs[0])
            found[f"{name}/theta"] = round_through(theta).clamp_min(1)
        return found

    def forward(self, frames: Tensor) -> Tensor:
        logits = self.counts(frames) * self._readout_unit()
        return logits / self.network.steps

    def counts(self, frames: Tensor) -> Tensor:
        """Integer logits ``[B, classes]``, summed over the T steps: those of the exported network."""
        run = IntegerRun(self.network, self.integers(), self._others(), self.dtype)
        steps = (run.step(frames[:, t].to(self.dtype)) for t in range(self.network.steps))
        return reduce(torch.add, steps)

    def _others(self) -> dict[str, Op]:
        """The integer operations of neurons and integrators whose parameters are not learned, at the present units."""
        found: dict[str, Op] = {name: self.integer[name].op for name in self._constant}
        for node in self.network.of_kind(LIF):
            assert isinstance(node.op, LIF)
            source = node.inputs[0]
            free = source in self.rounding.classes
            unit = self.unit(source).detach().double().numpy() if free else self.rounding.spikes[source]
            bits = self.rounding.fraction_bits.get(node.name, 0)
            found[node.name] = rounded_neuron(node.op, unit, fraction_bits=bits)
        return found

    def _readout_unit(self) -> Tensor:
        source = self.network.output.inputs[0]
        return self.unit(source) if source in self.rounding.classes else self.tensor(self.rounding.spikes[source])

    def export(self) -> tuple[Graph, Choices]:
        """A float graph, and choices with which it rounds to exactly the integers of the present parameters."""
        with torch.no_grad():
            integers = {name: value.double().numpy() for name, value in self.integers().items()}
            units = {name: self.unit(name).double().numpy() for name in self._layers}
        nodes = tuple(self._exported(node, integers, units) for node in self.network.nodes)
        thetas = {name: frozen(integers[f"{name}/theta"]) for name in self._free}
        chosen = {name: frozen(unit) for name, unit in units.items()}
        return Graph(nodes, self.network.steps), Choices(chosen, thetas, self.rounding.fraction_bits)

    def _exported(self, node: Node, integers: Mapping[str, Array], units: Mapping[str, Array]) -> Node:
        op = node.op
        if not isinstance(op, (Conv2d, Linear)) or is_identity(op):
            return node
        unit, source = units[node.name], self._layers[node.name].source_unit
        weight = integers[f"{node.name}/weight"] * unit.reshape((-1,) + (1,) * (op.weight.ndim - 1)) / source
        bias = None if op.bias is None else frozen(integers[f"{node.name}/bias"] * unit)
        return replace(node, op=replace(op, weight=frozen(weight), bias=bias))


class _Layer:
    """What a convolution or linear layer needs in order to round its weights."""

    def __init__(self, owner: Trainable, node: Node) -> None:
        assert isinstance(node.op, (Conv2d, Linear))
        self.limit = owner.rounding.limit(node)
        self.source_unit = per_input(node.op, owner.rounding.spikes[node.inputs[0]])
        self.weight = torch.tensor(node.op.weight, dtype=torch.float64)
        self._source = torch.tensor(np.asarray(self.source_unit), dtype=torch.float64)
        self._dtype = owner.dtype

    def rounded(self, weight: Tensor, unit: Tensor) -> Tensor:
        """In float64, as `Rounding` does it: an identity's weight is rounded there once more."""
        counts = weight.double() * self._source / unit.double().reshape((-1,) + (1,) * (weight.ndim - 1))
        return round_through(counts.clamp(-self.limit, self.limit)).to(self._dtype)


def _float_type(integer: Graph) -> torch.dtype:
    """float32 where every integer of the network is far below what it holds exactly, so that training may move it."""
    largest = max(_magnitude(signal.interval) for signal in integer.signals.values())
    for node in integer.of_kind(Conv2d, Linear, SpikingNeuron):
        source = integer.signals[node.inputs[0]].interval
        if isinstance(node.op, SpikingNeuron):
            largest = max(largest, _magnitude(node.op.membrane(source, integer.steps)), int(node.op.saturation.max()))
        elif isinstance(node.op, (Conv2d, Linear)):
            taps = math.prod(node.op.weight.shape[1:])
            bias = 0 if node.op.bias is None else int(np.abs(node.op.bias.astype(np.int64)).max(initial=0))
            largest = max(largest, 127 * taps * _magnitude(source) + bias)
    return torch.float32 if 4 * largest < FLOAT32_EXACT else torch.float64


def _magnitude(interval: Interval) -> int:
    return max(-interval.min, interval.max)


def _key(name: str) -> str:
    """Parameter names of torch hold no dots."""
    if "|" in name:
        raise GraphError(f"node {name!r}: its name holds a '|', rename it")
    return name.replace(".", "|")
