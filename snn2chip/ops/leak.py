"""The leak that neurons and integrators share."""

from __future__ import annotations

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array


def leaked(values: Array, decay: Array, toward_zero: bool = False) -> Array:
    """What is left of ``values [C]`` after one step: real where `decay` is, else rounded down or toward zero."""
    if decay.dtype.kind == "f":
        real: Array = values * decay
        return real
    return kernels.leak(values, decay, toward_zero)


def check_leak(decay: Array, fraction_bits: int, toward_zero: bool) -> None:
    """GraphError where a decay is no fraction (0..1 in a float graph, 0..4096 in an integer one)."""
    largest = 1 if decay.dtype.kind == "f" else kernels.DECAY_ONE
    if not ((decay >= 0) & (decay <= largest)).all():
        raise GraphError(f"decay must lie in 0..{largest} in every channel")
    if decay.dtype.kind != "f" and not np.issubdtype(decay.dtype, np.integer):
        raise GraphError(f"decay has dtype {decay.dtype}")
    if type(toward_zero) is not bool:
        raise GraphError("toward_zero must be true or false")
    if type(fraction_bits) is not int or not 0 <= fraction_bits <= kernels.DECAY_BITS:
        raise GraphError(f"fraction_bits is {fraction_bits}: it must be a whole number in 0..{kernels.DECAY_BITS}")
    if decay.dtype.kind == "f" and fraction_bits:
        raise GraphError("fraction_bits are for integer graphs: real numbers have as many as they like")
