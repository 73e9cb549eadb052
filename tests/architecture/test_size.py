"""Small rooms: no long file, no long function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 50


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_are_short(modules: dict[str, Path]) -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules.items()}
    assert not {name: length for name, length in lengths.items() if length > FILE_LINES}


def test_functions_are_short(modules: dict[str, Path]) -> None:
    long = [
        f"{name}.{function}: {length} lines"
        for name, path in modules.items()
        for function, length in _functions(path)
        if length > FUNCTION_LINES
    ]
    assert not long, "\n".join(long)
