"""Commands of the command line, given as a user types them: in the process of the test, or in one of their own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snn2chip import cli


def process(*arguments: str, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """The program itself; where not the process is what is tested, `Command` spares starting Python and PyTorch."""
    line = [sys.executable, "-m", "snn2chip", *arguments]
    return subprocess.run(line, cwd=cwd, text=True, timeout=300, check=False, **{**PIPES, **options})


PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@dataclass(frozen=True)
class Command:
    """Runs commands in this process: (exit code, standard output, standard error)."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        return code, *self.capture.readouterr()

    def done(self, *arguments: str) -> str:
        """The standard output of a command that does what it should, and has nothing to complain about."""
        code, output, errors = self(*arguments)
        assert (code, errors) == (0, "")
        return output

    def refused(self, *arguments: str, code: int = 2) -> str:
        """The one sentence on standard error, which is all that a refused command says."""
        found, output, sentence = self(*arguments)
        assert (found, output) == (code, ""), sentence
        return one_sentence(sentence)


def one_sentence(errors: str) -> str:
    assert errors.startswith("snn2chip: ")
    assert errors.count("\n") == 1, errors
    return errors
