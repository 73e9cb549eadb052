"""Compiled code that is kept on disk, where the disk does not play along."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SOURCE = """
from snn2chip.hw_models.compiled import compiled, entry


@compiled
def doubled(value):
    return 2 * value


@entry
def double(values):
    for place in range(len(values)):
        values[place] = doubled(values[place])
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "doubling.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def loaded(source: Path) -> ModuleType:
    """The module as a new process sees it."""
    spec = importlib.util.spec_from_file_location("doubling", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(source: Path) -> None:
    values = np.array([1, 2, 3])
    loaded(source).double(values)
    assert values.tolist() == [2, 4, 6]


@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("left", [0, 60])
def test_files_that_were_cut_off_are_compiled_anew(source: Path, kind: str, left: int) -> None:
    check(source)
    (found,) = source.parent.rglob(kind)
    assert found.stat().st_size > left
    os.truncate(found, left)
    check(source)


def test_a_file_that_cannot_be_written_is_no_obstacle(source: Path) -> None:
    """Where the index should be stands a folder."""
    check(source)
    (index,) = source.parent.rglob("*.nbi")
    index.unlink()
    index.mkdir()
    (index / "full").touch()
    check(source)
