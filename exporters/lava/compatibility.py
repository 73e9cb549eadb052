"""Two changes that let lava-nc 0.10.0 (released for Python 3.10 and NumPy < 2) run on current versions.

Apply them with `prepare()` before the first import of lava; where they are not needed, nothing is changed.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def prepare() -> None:
    """Makes ``import lava`` work, here and from now on; ImportError where lava-nc is not installed."""
    if sys.version_info >= (3, 11):
        with _hashable_defaults():
            importlib.import_module("lava.magma.compiler.var_model")
    if sys.version_info >= (3, 12):
        # Lava forks its processes after its own helper threads have started; those threads hold no locks meanwhile.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork.*", category=DeprecationWarning)
    _reshape_by_position()


@contextmanager
def _hashable_defaults() -> Iterator[None]:
    """Dataclasses of lava are hashable while they are defined.

    Python 3.11 refuses unhashable objects as defaults of dataclass fields; ``var_model.py`` uses some, and never
    changes them.
    """
    original: Callable[..., Any] = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        if cls is None:
            return lambda decorated: dataclass(decorated, **options)
        if cls.__module__.startswith("lava.") and not options.get("frozen") and "__hash__" not in vars(cls):
            options.setdefault("unsafe_hash", True)
        return original(cls, **options)

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = original


def _reshape_by_position() -> None:
    """``np.reshape(newshape=...)`` is gone from NumPy: reshaped ports pass the shape by position instead."""
    ports = importlib.import_module("lava.magma.core.process.ports.ports")
    port = ports.ReshapePort
    port.get_transform_func_fwd = lambda self: functools.partial(_reshape, shape=self.shape)
    port.get_transform_func_bwd = lambda self: functools.partial(_reshape, shape=self.old_shape)


def _reshape(values: Any, shape: tuple[int, ...]) -> Any:
    return values.reshape(shape)
