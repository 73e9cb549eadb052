"""The source tree as the architecture tests see it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE_FOLDERS = ("snn2chip", "exporters", "hw_models")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def project_files(output_of: Callable[..., str]) -> list[Path]:
    """Every file that git tracks, or would track if it were added, relative to the checkout."""
    listing = output_of("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return [Path(name) for name in listing.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="session")
def modules(project_files: list[Path]) -> dict[str, Path]:
    """Dotted module name -> file, for every Python file of the package (``exporters/x.py`` is snn2chip.exporters.x)."""
    found = [path for path in project_files if path.suffix == ".py" and path.parts[0] in PACKAGE_FOLDERS]
    return {_module_name(path): ROOT / path for path in found}


@pytest.fixture(scope="session")
def output_of() -> Callable[..., str]:
    """Runs a command that must succeed: what it wrote to stdout. Takes the keywords of `subprocess.run`."""

    def run(*command: str | Path, **options: Any) -> str:
        line = [str(part) for part in command]
        done = subprocess.run(line, capture_output=True, check=False, encoding="utf-8", **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    return run


def _module_name(path: Path) -> str:
    parts = list(path.with_suffix("").parts)
    if parts[0] != "snn2chip":
        parts.insert(0, "snn2chip")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)
