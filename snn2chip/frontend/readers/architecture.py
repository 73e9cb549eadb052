"""The network that a state_dict belongs to: built by a function that the user names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.user_code import current_folder_importable, find

_LITERALS = {"True": True, "False": False, "None": None}


def parse_keywords(assignments: Sequence[str]) -> dict[str, Any]:
    """``k=v`` as on the command line: v is JSON where it reads as JSON (numbers, true, lists, ...), else a string.

    Raises: UserError naming the assignment that has no key, or whose key is there twice.
    """
    keywords: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key.isidentifier():
            raise UserError(f"--arch-kw {assignment!r}: give it as name=value, such as classes=10")
        if key in keywords:
            raise UserError(f"--arch-kw {assignment!r}: {key} is given twice: give it once")
        keywords[key] = _value(text)
    return keywords


def _value(text: str) -> Any:
    if text in _LITERALS:
        return _LITERALS[text]
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text


def _no_json(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def build(arch: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """The module that `arch` names: an architecture of `snn2chip.nn`, or ``package.module:factory``.

    The factory is called with `kwargs`; a module that lies ready under that name is taken as it is. Modules in the
    current folder can be imported.

    Raises: UserError naming `arch` where there is no such factory, it fails, or what it returns is no module.
    """
    if ":" not in arch:
        return build_own(arch, kwargs)
    with current_folder_importable():
        factory = find(arch, "--arch")
        if isinstance(factory, nn.Module) and not kwargs:
            return factory
        try:
            model = factory(**kwargs)
        except (Exception, SystemExit) as error:  # somebody's code may raise anything
            detail = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UserError(f"--arch {arch!r}: calling it failed ({detail}): check --arch-kw") from error
    if not isinstance(model, nn.Module):
        raise UserError(f"--arch {arch!r}: it returned a {type(model).__name__}: name one that returns a torch module")
    return model


def build_own(arch: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """A network of `snn2chip.nn`, on the meta device: no memory is taken for weights that a file is about to bring.

    Raises: UserError naming `arch` where it is unknown, or `kwargs` are not what it takes.
    """
    if arch not in networks.ARCHITECTURES:
        known = ", ".join(sorted(networks.ARCHITECTURES))
        raise UserError(f"Unknown architecture {arch[:80]!r}: it is none of {known}, nor package.module:factory")
    try:
        with torch.device("meta"):
            return networks.build(arch, dict(kwargs))
    except (RuntimeError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"architecture {arch!r} cannot be built ({detail}): check its arguments") from None
