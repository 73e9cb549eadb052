"""The leak that neurons and integrators share."""

from __future__ import annotations

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array


def leaked(values: Array, decay: Array) -> Array:
    """What is left of ``values [C]`` after one step: real where `decay` is, else floored."""
    if decay.dtype.kind == "f":
        real: Array = values * decay
        return real
    return kernels.leak(values, decay)


def check_decay(decay: Array) -> None:
    """GraphError where a decay is no fraction: 0..1 in a float graph, 0..4096 (12 fraction bits) in an integer one."""
    largest = 1 if decay.dtype.kind == "f" else kernels.DECAY_ONE
    if not ((decay >= 0) & (decay <= largest)).all():
        raise GraphError(f"decay must lie in 0..{largest} in every channel")
    if decay.dtype.kind != "f" and not np.issubdtype(decay.dtype, np.integer):
        raise GraphError(f"decay has dtype {decay.dtype}")
