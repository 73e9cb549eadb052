"""What is built from the source tree holds everything, wherever it is installed."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

MAPPED = ("exporters", "hw_models")
CHECK = """
from importlib.resources import files
import snn2chip.exporters, snn2chip.hw_models
print(files("snn2chip.exporters"))
print(files("snn2chip.hw_models"))
print(*sorted(chip.name for chip in (files("snn2chip.hw_models") / "chips").iterdir()))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, project_files: list[Path], root: Path) -> Path:
    """A copy, since a build writes beside its sources."""
    copy = tmp_path_factory.mktemp("source")
    for path in project_files:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, copy / path, follow_symlinks=False)
    return copy


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, source: Path, output_of: Callable[..., str]) -> Path:
    """Built from the sdist, which is built from the source tree."""
    out = tmp_path_factory.mktemp("dist")
    constraints = source / "requirements" / "lock.txt"
    output_of(sys.executable, "-m", "uv", "build", "--out-dir", out, "--build-constraint", constraints, source)
    assert len(list(out.glob("*.tar.gz"))) == 1
    (built,) = out.glob("*.whl")
    return built


def _in_wheel(path: Path) -> str:
    return "/".join(("snn2chip", *path.parts) if path.parts[0] in MAPPED else path.parts)


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path, source: Path, project_files: list[Path]) -> None:
    folders = ("snn2chip", *MAPPED)
    files = [path for path in project_files if path.parts[0] in folders and not (source / path).is_symlink()]
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {_in_wheel(path) for path in files}, "package-data in pyproject.toml says which data files are taken"


def test_the_installed_wheel_works_from_anywhere(
    wheel: Path, root: Path, tmp_path: Path, output_of: Callable[..., str]
) -> None:
    site = tmp_path / "site"
    output_of(sys.executable, "-m", "uv", "pip", "install", "--no-deps", "--target", site, wheel)
    # PYTHONPATH goes before the editable installation of this environment, whose dependencies are still wanted.
    before_all = {**os.environ, "PYTHONPATH": str(site)}
    exporters, hw_models, chips = output_of(sys.executable, "-c", CHECK, cwd=tmp_path, env=before_all).splitlines()
    assert (exporters, hw_models) == (str(site / "snn2chip" / "exporters"), str(site / "snn2chip" / "hw_models"))
    assert chips.split() == sorted(chip.name for chip in (root / "hw_models" / "chips").glob("*.toml"))
