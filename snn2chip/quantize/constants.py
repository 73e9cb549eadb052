"""What rounding did to the constants of neurons: thresholds, step sizes, drives and floors in units of their currents.

A constant of two or three units cannot be said finely, and networks whose constants are that small behave otherwise
than they were trained to. `coarse_constants` names those that moved by more than `COARSE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import LIF, SpikingNeuron
from snn2chip.quantize.branches import Approximation
from snn2chip.quantize.integer import Rounding, rounded
from snn2chip.spec import MEMBRANE_LIMIT

#: A constant that moved by more than this part of itself is named.
COARSE = 0.05
#: Drives and floors whose change, added up over the T steps, stays below this part of a threshold change no spike worth
#: a line.
_NOTICED = 0.01
#: What rounding up moves at most, in units.
_ROUNDING = 1
#: Constants this close to whole numbers of units are meant to be whole.
_WHOLE = 1e-6


@dataclass(frozen=True)
class Change:
    """The constant of one neuron layer in the channel where it moved most.

    Attributes:
        node, constant: ``theta``, ``step_size``, ``drive`` or ``floor`` of which node.
        channel: where it moved most.
        wanted: the trained value there, in integer units of the potential.
        found: the integer.
        relative: how far it moved, as a part of the trained value.
    """

    node: str
    constant: str
    channel: int
    wanted: float
    found: int
    relative: float


def coarse_constants(rounding: Rounding, reference: Graph) -> tuple[Approximation, ...]:
    """What rounding moved by more than `COARSE`.

    Thresholds may have moved further, or been trained as integers: on purpose, by correction and fine-tuning.

    Args: reference, the prepared float graph as it was trained, whose nodes are called as those of `rounding`.
    """
    return tuple(
        Approximation(
            change.node,
            f"{change.constant} of channel {change.channel}: {change.found} units instead of {change.wanted:.2f}",
            change.relative,
        )
        for node in rounding.network.of_kind(SpikingNeuron)
        for change in changes(rounding, reference, node)
        if change.relative > COARSE
        and abs(change.found - change.wanted) <= _ROUNDING
        and not (change.constant == "theta" and node.name in rounding.choices.thetas)
    )


def changes(rounding: Rounding, reference: Graph, node: Node) -> Iterator[Change]:
    """How far each constant of a neuron of ``rounding.network`` moved from what `reference` has there."""
    real, integer = reference[node.name].op, rounded(rounding, node)
    assert isinstance(real, SpikingNeuron)
    assert isinstance(integer, SpikingNeuron)
    unit = np.broadcast_to(rounding.unit(node.inputs[0]), real.theta.shape)
    unit = unit / 2 ** rounding.fraction_bits.get(node.name, 0)
    level = real.theta if not isinstance(real, LIF) else np.minimum(real.theta, real.step_size)
    for constant in ("theta", "step_size", "drive", "floor"):
        wanted, found = getattr(real, constant, None), getattr(integer, constant, None)
        if wanted is None or found is None:
            continue
        wanted = np.maximum(wanted / unit, -MEMBRANE_LIMIT)  # no potential falls below that
        moved = np.abs(found - wanted)
        if constant == "theta" and isinstance(real, LIF):  # compared with whole numbers: 'above 2' is 'from 3 on'
            moved = np.where(np.abs(wanted - np.rint(wanted)) <= _WHOLE * np.maximum(1, wanted), 0, moved)
        elif constant in ("drive", "floor"):
            moved = np.where(moved * reference.steps > _NOTICED * level / unit, moved, 0)
        yield _worst(node.name, constant, wanted, found, moved)


def _worst(node: str, constant: str, wanted: Array, found: Array, moved: Array) -> Change:
    size = np.abs(wanted)
    relative = np.divide(moved, size, out=np.where(moved > 0, 1.0, 0.0), where=size > 0)
    channel = int(relative.argmax())
    return Change(node, constant, channel, float(wanted[channel]), int(found[channel]), float(relative[channel]))
