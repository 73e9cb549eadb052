"""Weight bits per layer under an average: where a bit saves the most error, it goes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snn2chip.errors import UserError
from snn2chip.graph import Array, Node
from snn2chip.quantize.branches import is_identity
from snn2chip.quantize.choices import FEWEST_BITS, MOST_BITS, Precision, weight_limit
from snn2chip.quantize.integer import Rounding
from snn2chip.quantize.rows import Rows
from snn2chip.quantize.scales import as_matrix, rounded_matrix

_WIDTHS = range(FEWEST_BITS, MOST_BITS + 1)
#: Parts of the largest weight that are tried as the largest representable one, for every width.
_PARTS = np.linspace(1, 0.2, 17)


def assign_bits(rounding: Rounding, rows: Mapping[str, Rows], average: float) -> Precision:
    """Bits of every layer, `average` per weight at most; layers that the precision names keep theirs.

    The error of a layer is that of its current on `rows`, relative to the current, at the best scale for each width.
    Starting from 2 bits, the next bit goes to the layer whose sum of errors falls most per bit of memory.
    Raises: UserError where the average lies outside 2..8, or the named layers alone exceed it.
    """
    if not FEWEST_BITS <= average <= MOST_BITS:
        raise UserError(f"--average-bits {average:g}: weights take 2 to 8 bits")
    free, fixed = _split(rounding)
    weights = {layer.name: int(np.size(layer.op.weight)) for layer in rounding.classes.layers}  # type: ignore[attr-defined]
    budget = average * sum(weights.values()) - sum(weights[name] * bits for name, bits in fixed.items())
    errors = {layer.name: layer_errors(rounding, layer, rows[layer.name]) for layer in free}
    bits = dict.fromkeys(errors, FEWEST_BITS)
    left = budget - sum(weights[name] * FEWEST_BITS for name in bits)
    if left < 0:
        raise UserError(
            f"--average-bits {average:g} cannot be kept: the layers of --layer-bits and identities take more already"
        )
    while affordable := [name for name, width in bits.items() if width < MOST_BITS and weights[name] <= left]:
        best = max(affordable, key=lambda name: _saving(errors[name], bits[name]) / weights[name])
        bits[best] += 1
        left -= weights[best]
    return Precision(rounding.precision.weight_bits, {**rounding.precision.layer_bits, **bits})


def _split(rounding: Rounding) -> tuple[list[Node], dict[str, int]]:
    """Layers whose bits are free, and the bits of all others."""
    free, fixed = [], {}
    for layer in rounding.classes.layers:
        if is_identity(layer.op) or rounding.precision.names(layer.name):
            fixed[layer.name] = rounding.bits(layer)
        else:
            free.append(layer)
    return free, fixed


def _saving(errors: Array, bits: int) -> float:
    return float(errors[bits - FEWEST_BITS] - errors[bits + 1 - FEWEST_BITS])


def layer_errors(rounding: Rounding, layer: Node, rows: Rows) -> Array:
    """``[7]``: variance of the current's error relative to that of the current, for 2..8 bits (a mean is a bias)."""
    real = as_matrix(rounding.real_weight(layer))
    largest = np.maximum(real.abs().amax(dim=1).numpy(), np.finfo(np.float32).tiny)
    expected = rows.product(real)
    scale = float(expected.var(dim=(0, 1)).sum()) or 1.0
    errors = []
    for bits in _WIDTHS:
        limit = weight_limit(bits)
        units = np.outer(_PARTS, largest) / limit
        rounded = [rounded_matrix(real, unit, limit) for unit in units]
        wrong = np.stack([((found - real) ** 2).sum(dim=1).numpy() for found in rounded])
        best = wrong.argmin(axis=0)
        chosen = rounded_matrix(real, np.take_along_axis(units, best[None], axis=0)[0], limit)
        errors.append(float((rows.product(chosen) - expected).var(dim=(0, 1)).sum()) / scale)
    return np.minimum.accumulate(np.array(errors))
