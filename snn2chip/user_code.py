"""Functions and classes of the user's, named as ``package.module:name``."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from snn2chip.errors import UserError


def find(named: str, option: str) -> Callable[..., Any]:
    """What ``package.module:name`` names; ``option``, such as ``--arch``, is where the user said so.

    Call it, and what it returned, within `current_folder_importable`: both may import more.

    Raises: UserError naming option and name where it cannot be imported, is not there, or cannot be called.
    """
    where = f"{option} {named!r}"
    module_name, _, path = named.partition(":")
    if not module_name or not path:
        raise UserError(f"{where}: write it as package.module:name")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # importing runs somebody's code, which may raise anything
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"{where}: {module_name} cannot be imported ({detail}): start snn2chip in the folder that holds it"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise UserError(f"{where}: {module_name} has no {path!r}: name a class or function in it")
        found = getattr(found, name)
    if not callable(found):
        raise UserError(f"{where}: it is a {type(found).__name__}: name a class or function")
    return found  # type: ignore[no-any-return]


@contextlib.contextmanager
def current_folder_importable() -> Iterator[None]:
    """Modules in the current folder come first, as for ``python script.py``; afterwards the path is as it was."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)
