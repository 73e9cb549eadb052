"""How fine the potentials of leaky neurons and integrators are.

A leak rounds at every step. With few weight bits a threshold is a few units of current, and rounding to whole units
would shift potentials by a large part of it: fraction bits below the unit of the current make that small.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import LIF, LeakyIntegrator, SpikingNeuron
from snn2chip.quantize.neurons import wanted_fraction_bits
from snn2chip.quantize.units import UnitClasses


def integrator_bits(network: Graph, classes: UnitClasses, class_units: Array) -> dict[str, int]:
    """Fraction bits of every `LeakyIntegrator` that one neuron alone reads; the others keep whole units."""
    found: dict[str, int] = {}
    for node in network.of_kind(LeakyIntegrator):
        readers = [network[name].op for name in network.consumers[node.name]]
        if len(readers) == 1 and isinstance(readers[0], SpikingNeuron) and node.inputs[0] in classes:
            unit = classes.unit(node.inputs[0], class_units)
            interval = network.signals[node.name].interval
            bound = np.maximum(np.abs(interval.low), np.abs(interval.high)) / unit
            found[node.name] = wanted_fraction_bits(node.op.decay, readers[0].theta / unit, bound)  # type: ignore[attr-defined]
    return found


def neuron_bits(network: Graph, unit: Callable[[str], Array]) -> dict[str, int]:
    """Fraction bits of every `LIF`; `unit` gives the real value of one unit of what a node emits."""
    return {node.name: _neuron_bits(network, node, unit(node.inputs[0])) for node in network.of_kind(LIF)}


def _neuron_bits(network: Graph, node: Node, unit: Array) -> int:
    op = node.op
    assert isinstance(op, LIF)
    membrane = op.membrane(network.signals[node.inputs[0]].interval, network.steps)
    bound = np.maximum(np.maximum(np.abs(membrane.low), np.abs(membrane.high)), op.theta + op.levels * op.step_size)
    unit = np.broadcast_to(unit, op.theta.shape)
    return wanted_fraction_bits(op.decay, op.theta / unit, bound / unit)
