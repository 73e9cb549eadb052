"""The compiler for inner loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """`function` as machine code, put in place where an `entry` calls it (calls cost a sixth of the time)."""
    return cast(_Function, numba.njit(error_model="numpy", forceinline=True)(function))


def entry(function: _Function) -> _Function:
    """`function` as machine code, compiled on its first call and kept on disk where that can be written to.

    What it calls has to stand in its own file, for a change elsewhere would not be noticed. Its arguments have to be of
    types that every version of this package has: arrays, numbers, and tuples of them.
    """
    try:
        return cast(_Function, numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:  # no folder for compiled code can be written to: compiling takes seconds each time
        return compiled(function)
