"""Where in a TOML file a key stands: tomllib does not say, and an error should."""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\s*\[\s*([A-Za-z0-9_.-]+)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.-]+)\s*=")


def line_of(text: str, section: str, key: str = "") -> int | None:
    """The line, from 1, on which ``section.key`` is set; without a key, on which the section or top-level key begins.

    Keys are found as people write them: ``[section]`` and ``key =``, or ``section.key =``. None for anything else.
    """
    wanted = f"{section}.{key}" if key else section
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            current = header[1]
            if current == wanted:
                return number
        elif found := _KEY.match(line):
            full = f"{current}.{found[1]}" if current else found[1]
            if full == wanted or full.startswith(f"{wanted}."):
                return number
    return None
