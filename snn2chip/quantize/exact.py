"""Units in which nothing has to be rounded, where there are any.

Networks whose weights are whole numbers already (of other tools' integers, or of spikes that only become currents) have
a unit in which every weight, bias and threshold of a channel is whole: it is the greatest common divisor of them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import LIF, LeakyIntegrator
from snn2chip.quantize.branches import is_identity
from snn2chip.quantize.levels import by_class, constants
from snn2chip.quantize.units import UnitClasses
from snn2chip.spec import WEIGHT_LIMIT

#: A remainder below this part of the divisor is the rounding of float numbers.
_NOTHING = 1e-6
#: Errors below this are as good as none.
_EXACT = 1e-9


def exact_units(network: Graph, classes: UnitClasses, real: Mapping[str, Array], finest: Array) -> Array:
    """``[classes]``: the coarsest unit in which weights, biases and thresholds are whole; 0 where there is none.

    Where only identities meet, the unit that comes as close to it as 8 bits allow is taken. Where potentials leak, they
    are no whole numbers anyway, and thresholds are left out of account.

    Args: real, the weights of every layer ``[O, ...]`` per count of its input; finest, the units ``[classes]`` below
    which a weight would be clipped.
    """
    levels = constants(network, classes)
    leaky = _leaky(network, classes)
    units = np.zeros(classes.count)  # which any number divides
    for layer in classes.layers:
        ids, ratio = classes.of(layer.name)
        rows = _row_divisors(layer, real[layer.name] / _column(ratio, real[layer.name]), ratio, finest[ids])
        _merge(units, ids, rows, finest)
    for k in np.flatnonzero((units > 0) & np.isfinite(units)).tolist():
        for level in () if k in leaky else levels.get(k, ()):
            _merge(units, np.array([k]), np.array([level]), finest)
    exact = np.where(np.isfinite(units), units, 0)
    for k, scales in _identity_classes(classes, real).items():
        if k in leaky or not exact[k]:
            exact[k] = _closest(scales, levels.get(k, ()), finest=k in leaky)
    return exact


def _leaky(network: Graph, classes: UnitClasses) -> set[int]:
    """Classes whose currents a leaking potential integrates."""
    found: set[int] = set()
    for node in network.of_kind(LIF, LeakyIntegrator):
        assert isinstance(node.op, (LIF, LeakyIntegrator))
        rounds = ((node.op.decay > 0) & (node.op.decay < 1)).any()  # all or nothing is kept exactly
        if rounds and node.inputs[0] in classes:
            found.update(classes.of(node.inputs[0])[0].tolist())
    return found


def _column(values: Array, like: Array) -> Array:
    return values.reshape((-1,) + (1,) * (like.ndim - 1))


def _row_divisors(layer: Node, real: Array, ratio: Array, least: Array) -> Array:
    """``[O]``: the greatest number that divides all weights and the bias of an output; infinite where too small."""
    bias = getattr(layer.op, "bias", None)
    divisors = np.zeros(len(real)) if bias is None else np.abs(bias / ratio)
    for column in real.reshape(len(real), -1).T:
        divisors = common_divisor(divisors, np.abs(column), least)
        if not np.isfinite(divisors).any():
            break
    return divisors


def _merge(units: Array, ids: Array, values: Array, least: Array) -> None:
    """Make ``units[ids]`` divide `values` as well; a class may stand several times in `ids`."""
    if len(np.unique(ids)) == len(ids):
        units[ids] = common_divisor(units[ids], values, least[ids])
        return
    for k, value in zip(ids.tolist(), values.tolist(), strict=True):
        units[k] = common_divisor(units[k : k + 1], np.array([value]), least[k : k + 1])[0]


def common_divisor(first: Array, second: Array, least: Array) -> Array:
    """Greatest common divisors of real numbers, by Euclid; infinite where they are below `least`, or a number is."""
    larger, smaller = np.maximum(first, second), np.minimum(first, second)
    least = least * (1 - _EXACT)
    while (going := (smaller > 0) & np.isfinite(larger)).any():
        divisor = np.where(going, smaller, 1)
        rest = np.abs(larger - np.rint(np.where(going, larger, 0) / divisor) * divisor)
        rest = np.where(rest > _NOTHING * divisor, rest, 0)
        larger, smaller = np.where(going, divisor, larger), np.where(going, rest, smaller)
        larger = np.where(going & (larger < least), np.inf, larger)
    return np.where((larger > 0) & (larger < least), np.inf, larger)


def _identity_classes(classes: UnitClasses, real: Mapping[str, Array]) -> dict[int, list[float]]:
    """Classes that only identities belong to, and the real current of one spike of each."""
    identities = [layer for layer in classes.layers if is_identity(layer.op)]
    if not identities:
        return {}
    names = {layer.name for layer in identities}
    others = {int(k) for layer in classes.layers if layer.name not in names for k in classes.of(layer.name)[0]}
    scales = {
        layer.name: np.abs(real[layer.name]).reshape(len(real[layer.name]), -1).max(axis=1) for layer in identities
    }
    return {k: found for k, found in by_class(classes, scales).items() if k not in others}


def _closest(scales: Sequence[float], levels: Sequence[float], finest: bool) -> float:
    """The largest scale over n in 1..127: the smallest n of those with the least error, or, where potentials leak, the
    largest, because a leak rounds at every step."""
    wanted = np.unique(np.array([*scales, *levels]))
    units = max(scales) / np.arange(1, WEIGHT_LIMIT + 1)
    whole = np.maximum(1, np.rint(wanted[None, :] / units[:, None])) * units[:, None]
    errors = np.abs(whole / wanted[None, :] - 1).max(axis=1)
    best = np.flatnonzero(errors <= errors.min() + _EXACT)
    return float(units[best[-1] if finest else best[0]])
