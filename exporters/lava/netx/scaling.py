"""Brings the thresholds of a layer's channels to one: netx has a single threshold a layer, in units of a weight of 1.

A channel may be multiplied by a whole number g. Its potentials are whole, so it fires at ``v >= theta`` exactly where
``g * v > mantissa``, if ``g * (theta - 1) <= mantissa < g * theta``.
"""

from __future__ import annotations

import numpy as np

from snn2chip.graph import Array

#: Thresholds of netx have 17 bits, and the largest one means that a neuron never fires.
LARGEST_MANTISSA = 2**17 - 2
#: Mantissas that are tried at once.
_CHUNK = 2**12


def common_threshold(theta: Array, most: Array) -> tuple[int, Array] | None:
    """The smallest threshold that all channels can share, and the factor of each; None where there is none.

    Args: theta, ``[C]`` positive: the least whole potential that fires; most, ``[C]``: the largest factor of each.
    """
    theta, most = theta.astype(np.int64), most.astype(np.int64)
    first = int(theta.max()) - 1
    last = min(int((most * theta).min()) - 1, LARGEST_MANTISSA)
    for start in range(first, last + 1, _CHUNK):
        mantissa = np.arange(start, min(start + _CHUNK, last + 1))[:, None]
        factor = mantissa // theta + 1
        fits = ((factor * (theta - 1) <= mantissa) & (factor <= most)).all(axis=1)
        if fits.any():
            index = int(np.argmax(fits))
            return int(mantissa[index, 0]), factor[index]
    return None
