"""When QLinearConv's float32 rescaling is the floor of an integer division: scales, and the proof by its edges.

QLinearConv yields ``saturate(round(float32(a) * s))`` for the integer accumulator a, here ``a = v - step // 2`` of a
potential v. Conversion, product and rounding never decrease as a grows. So the result, clipped to 0..N, is
``clip(floor(v / step), 0, N)`` for *every* v if and only if, for every k in 1..N, ``v = k * step`` gives at least k and
``v = k * step - 1`` less than k: 2 N points a channel, which `floor_scales` computes in float32 and checks.
"""

from __future__ import annotations

import numpy as np

from snn2chip.graph import Array

#: How many float32 neighbours a product must stay away from a half: whatever the rule for ties, and should a runtime
#: round the scale or the product once more.
_MARGIN = 2


def floor_scales(step: Array, levels: int) -> Array | None:
    """Scales ``[C]`` float32 that turn rounding into the floor of a division by `step` ``[C]``; None where none does.

    For each k the scale must lie between ``(k - 1/2) / (k * step - step // 2)`` and ``(k - 1/2) / (k * step - 1 -
    step // 2)``; the one in the (geometric) middle of what all k allow is furthest from both ends.
    """
    counts = np.arange(1, levels + 1, dtype=np.int64)[:, None]
    reached = counts * step.astype(np.int64) - step // 2
    low = ((counts - 0.5) / reached).max(axis=0)
    with np.errstate(divide="ignore"):
        high = np.minimum(((counts - 0.5) / (reached - 1)).min(axis=0, where=reached > 1, initial=np.inf), 2 * low)
    scales = np.sqrt(low * high).astype(np.float32)
    at_least = _moved(reached.astype(np.float32) * scales, -np.inf) > counts - 0.5
    below = _moved((reached - 1).astype(np.float32) * scales, np.inf) < counts - 0.5
    return scales if at_least.all() and below.all() else None


def _moved(products: Array, towards: float) -> Array:
    for _ in range(_MARGIN):
        products = np.nextafter(products, np.float32(towards))
    return products
