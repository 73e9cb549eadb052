"""Ctrl-C, whenever it comes: the files are as they were, and the program says so in one sentence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snn2chip import artifact, cli, zoo


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.pt and what exporting it makes, to the byte what the interrupted exports would make."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copyfile(zoo.path("sparse-n4-t1"), folder / "model.pt")
    assert cli.main(["export", str(folder / "model.pt"), "--out", str(folder / "build" / "model-loihi2")]) == 0
    return folder


def waiting(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """The program with a command whose `execute` `text` defines."""
    command = """
import signal, time
from snn2chip import cli

class Command:
    @staticmethod
    def add(commands):
        commands.add_parser("wait").set_defaults(execute=execute, debug=False)

cli.COMMANDS = (Command,)
cli.entry()
"""
    (folder / "program.py").write_text(text + command)
    return subprocess.run([sys.executable, "-m", "program", "wait"], cwd=folder, capture_output=True, text=True)


def test_an_interrupt_inside_executed_text_still_ends_with_130(tmp_path: Path) -> None:
    """As when Ctrl-C falls into a dataclass that is being made: Python then remembers the interrupt as unhandled."""
    done = waiting(tmp_path, "execute = lambda options: exec('raise KeyboardInterrupt')")
    assert done.returncode == 130, done.stderr


FINALIZER = """
class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def execute(options):
    Interrupted()
    time.sleep(20)
    return 0
"""


def test_an_interrupt_inside_a_finalizer_is_not_lost(tmp_path: Path) -> None:
    """As when Ctrl-C falls into a weak reference's callback while modules load: Python prints it and goes on."""
    done = waiting(tmp_path, FINALIZER)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("snn2chip: interrupted"), done.stderr


@pytest.mark.parametrize("delay", [0.2, 1.5, 3.0, 4.5, 6.0])
def test_interrupting_an_export_leaves_the_old_artifact_whole(project: Path, tmp_path: Path, delay: float) -> None:
    """Ctrl-C at several moments, from start-up to the certificate."""
    shutil.copytree(project, tmp_path / "project")
    folder = tmp_path / "project"
    before = artifact.read(folder / "build/model-loihi2").manifest["digest"]
    process = subprocess.Popen(
        [sys.executable, "-m", "snn2chip", "export", "model.pt"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert artifact.read(folder / "build/model-loihi2").manifest["digest"] == before
    assert [path.name for path in (folder / "build").iterdir()] == ["model-loihi2"]
    assert "Traceback" not in errors or delay < 1  # before that, Python itself may still be starting
    if process.returncode == 0:  # a fast machine was done by then
        assert "certificate: EXACT" in output
    elif delay > 1:
        assert process.returncode == 130, errors
        assert errors.startswith("snn2chip: interrupted"), errors
