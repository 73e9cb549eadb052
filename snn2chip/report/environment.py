"""How the pages are made of their templates."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates() -> Environment:
    """The templates of this package: everything is escaped, and an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader("snn2chip.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["unbroken"] = _unbroken
    return environment


def _unbroken(sentence: str) -> str:
    """No line may end between a number and its unit."""
    return re.sub(r"(?<=\d) (?=(?:[fpnµmkMG]?[Js]|[kMG]|%)(?!\w))", "\N{NO-BREAK SPACE}", sentence)
