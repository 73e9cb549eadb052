"""The compiler for inner loops."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """`function` as machine code, put in place where an `entry` calls it (calls cost a sixth of the time)."""
    return cast(_Function, numba.njit(error_model="numpy", forceinline=True)(function))


def entry(function: _Function) -> _Function:
    """`function` as machine code, compiled on its first call and kept on disk where that can be written to.

    What it calls has to stand in its own file, for a change elsewhere would not be noticed. Its arguments have to be of
    types that every version of this package has: arrays, numbers, and tuples of them. Only Python can call it.
    """
    unkept = compiled(function)  # compiles on its first call, which takes seconds each time
    try:
        kept = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder for compiled code can be written to
        return unkept

    @functools.wraps(function)
    def call(*arguments: Any) -> object:
        try:
            return kept(*arguments)
        except (OSError, EOFError, pickle.UnpicklingError):  # before it ran: the disk is full, or a file is cut off
            return unkept(*arguments)

    return cast(_Function, call)
