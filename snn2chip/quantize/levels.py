"""What neurons compare their potentials with, as seen from the units of the currents that they read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import LIF, SpikingNeuron
from snn2chip.quantize.neurons import divisor
from snn2chip.quantize.units import SAME_UNIT, UnitClasses


def by_class(classes: UnitClasses, values: dict[str, Array]) -> dict[int, list[float]]:
    """The positive ones of real `values` (``[C]`` or ``[n, C]`` by current), each in terms of its class's unit."""
    result: dict[int, list[float]] = defaultdict(list)
    for name, found in values.items():
        ids, ratio = classes.of(name)
        for row in np.atleast_2d(found / ratio):
            for k, value in zip(ids.tolist(), row.tolist(), strict=True):
                if value > 0:
                    result[k].append(value)
    return result


def thresholds(network: Graph, classes: UnitClasses) -> dict[int, list[float]]:
    """Real thresholds and step sizes of the neurons that read the currents of each class, in terms of its unit."""
    return _of_neurons(network, classes, _compared)


def constants(network: Graph, classes: UnitClasses) -> dict[int, list[float]]:
    """`thresholds`, and the magnitudes of drives and floors: all that is rounded in the unit of the current."""
    return _of_neurons(network, classes, lambda op: [*_compared(op), *_added(op)])


def _of_neurons(
    network: Graph, classes: UnitClasses, values: Callable[[SpikingNeuron], list[Array]]
) -> dict[int, list[float]]:
    found: dict[str, list[Array]] = defaultdict(list)
    for node in _reading_currents(network, classes):
        assert isinstance(node.op, SpikingNeuron)
        found[node.inputs[0]] += values(node.op)
    return by_class(classes, {name: np.stack(arrays) for name, arrays in found.items()})


def _compared(op: SpikingNeuron) -> list[Array]:
    return [op.theta, *([op.step_size] if isinstance(op, LIF) else [])]


def _added(op: SpikingNeuron) -> list[Array]:
    return [np.abs(values) for values in (op.drive, op.floor) if values is not None] if isinstance(op, LIF) else []


def _reading_currents(network: Graph, classes: UnitClasses) -> list[Node]:
    return [node for node in network.of_kind(SpikingNeuron) if node.inputs[0] in classes]


class ShiftLevels:
    """The level of every class that is to become a power of two (``[classes]``, 0 where none is).

    Raises: GraphError where neurons read one current whose levels are no powers of two of one another, or where a level
    is a number of spikes that is no power of two.
    """

    def __init__(self, network: Graph, classes: UnitClasses, spikes: dict[str, Array]) -> None:
        self.level = np.zeros(classes.count)
        for node in network.of_kind(SpikingNeuron):
            assert isinstance(node.op, SpikingNeuron)
            if (level := divisor(node.op)) is None:
                continue
            source = node.inputs[0]
            if source not in classes:
                _check_power(node, np.rint(level / spikes[source]), "spikes")
                continue
            ids, ratio = classes.of(source)
            own = level / ratio
            known = self.level[ids]
            _check_power(node, np.where(known > 0, own / np.where(known > 0, known, 1), 1), "levels of another neuron")
            self.level[ids] = np.where(known > 0, known, own)

    def aligned(self, units: Array) -> Array:
        """The finest units no finer than `units` in which the levels are powers of two, or less than one unit."""
        shift = self._exponents(units)
        return np.where(shift >= 0, self.level / 2.0**shift, units)

    def _exponents(self, units: Array) -> Array:
        """``[classes]``: the shift of each class; -1 where its level is none, or less than one unit."""
        positive = np.where(self.level > 0, self.level, 1)
        exponents = np.floor(np.log2(positive / units) + SAME_UNIT)
        exponents[(self.level == 0) | (exponents < 0)] = -1
        return exponents


def _check_power(node: Node, ratio: Array, of_what: str) -> None:
    exponent = np.log2(ratio)
    if (wrong := np.abs(exponent - np.rint(exponent)) > SAME_UNIT).any():
        raise GraphError(
            f"node {node.name!r} ({node.kind}) cannot divide by a shift: its level is {ratio[wrong][0]:.6g} {of_what}, "
            "which is no power of two"
        )
