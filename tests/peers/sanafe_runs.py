"""SANA-FE as a program of its own: what it is given, and what it found."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snn2chip.hw_models.sanafe import Description

ENVIRONMENT = Path(__file__).parents[2] / ".venv-sanafe"
PROGRAM = Path(__file__).with_name("sanafe_program.py")


def call(folder: Path, *arguments: str) -> None:
    """`sanafe_program` with these arguments, in `folder`."""
    python = ENVIRONMENT / "bin" / "python"
    assert python.exists(), f"{ENVIRONMENT.name} is missing: requirements/install_sanafe.sh (make test-peers) builds it"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [str(python), str(PROGRAM), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]


def simulated(descriptions: Sequence[Description], folder: Path, timing: str = "simple") -> list[dict[str, Any]]:
    """What SANA-FE found for each."""
    jobs = [{**asdict(description), "timing": timing} for description in descriptions]
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    call(folder, "run", "jobs.json", "results.json")
    found: list[dict[str, Any]] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found
