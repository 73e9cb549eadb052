"""Puts a model back into the state in which it was: tracing runs its forward, which may change its attributes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn


@contextlib.contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """On leaving, every attribute of every module is what it was, and so are the lists and dictionaries among them."""
    saved = [(module.__dict__, dict(module.__dict__), _contents(module.__dict__)) for module in model.modules()]
    try:
        yield
    finally:
        for attributes, before, contents in saved:
            attributes.clear()
            attributes.update(before)
            for name, content in contents.items():
                _restore(before[name], content)


def _contents(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value.copy() for name, value in attributes.items() if isinstance(value, (list, dict, set))}


def _restore(value: Any, content: Any) -> None:
    value.clear()
    if isinstance(value, list):
        value.extend(content)
    else:
        value.update(content)
