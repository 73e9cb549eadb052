"""pyproject.toml lists the packages by hand: the list is held against the folders (test_wheel.py does so for data)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER_OF = {"snn2chip.exporters": "exporters", "snn2chip.hw_models": "hw_models"}


@pytest.fixture(scope="module")
def setuptools_table(root: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    return table


def test_the_list_names_every_package(setuptools_table: dict[str, Any], modules: dict[str, Path]) -> None:
    on_disk = sorted(name for name, path in modules.items() if path.name == "__init__.py")
    assert sorted(setuptools_table["packages"]) == on_disk


def test_every_folder_with_python_files_is_a_package(modules: dict[str, Path]) -> None:
    bare = {path.parent for path in modules.values() if not (path.parent / "__init__.py").exists()}
    assert not bare, f"these folders need an __init__.py: {sorted(map(str, bare))}"


def test_root_folders_are_mapped_and_linked(setuptools_table: dict[str, Any], root: Path) -> None:
    assert setuptools_table["package-dir"] == {"snn2chip": "snn2chip", **FOLDER_OF}
    for folder in FOLDER_OF.values():
        link = root / "snn2chip" / folder
        assert link.readlink() == Path("..", folder), f"{link} must be a relative symlink"


def test_nothing_is_importable_at_the_top_level_but_snn2chip(output_of: Callable[..., str], tmp_path: Path) -> None:
    script = (
        "import sys, importlib.util, snn2chip.exporters, snn2chip.hw_models\n"
        "taken = [n for n in ('exporters', 'hw_models') if n in sys.modules or importlib.util.find_spec(n)]\n"
        "assert not taken, taken\n"
    )
    output_of(sys.executable, "-c", script, cwd=tmp_path)


def test_the_test_process_sees_one_copy_of_each_package() -> None:
    import snn2chip.exporters
    import snn2chip.hw_models

    assert snn2chip.exporters.__name__ == "snn2chip.exporters"
    assert snn2chip.hw_models.__name__ == "snn2chip.hw_models"
    assert "exporters" not in sys.modules
    assert "hw_models" not in sys.modules
