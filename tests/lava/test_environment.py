"""Finding, building and checking Lava's environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snn2chip import lava_environment
from snn2chip.errors import BackendError, UserError
from snn2chip.lava_environment import MARKER, LavaEnvironment


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lava_environment.PYTHON_VARIABLE, raising=False)
    monkeypatch.delenv(lava_environment.PYTHON310_VARIABLE, raising=False)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_ordinary_kind_works(environment: LavaEnvironment) -> None:
    built = "current" if lava_environment.find_python310() is None else "python310"
    assert environment.kind in (built, "external")  # external: whoever runs the tests named an interpreter
    assert "two processes gave the exact result" in lava_environment.check(environment)


def test_the_current_kind_works(current_environment: LavaEnvironment) -> None:
    assert current_environment.kind == "current"
    assert current_environment.version == ".".join(map(str, sys.version_info[:3]))
    assert "two processes gave the exact result" in lava_environment.check(current_environment)


@pytest.mark.parametrize("module", ["torch", "sklearn", "snn2chip"])
def test_what_must_not_be_there(
    environment: LavaEnvironment, current_environment: LavaEnvironment, module: str
) -> None:
    for one in (environment, current_environment):
        program = f"import importlib.util; print(importlib.util.find_spec({module!r}))"
        done = subprocess.run([one.python, "-I", "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "None"


def test_bytecode_is_compiled(environment: LavaEnvironment) -> None:
    assert list(environment.root.glob("lib/python*/site-packages/lava/magma/runtime/__pycache__/runtime.*.pyc"))


def test_an_unfinished_build_is_not_found(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "python", f'exec {sys.executable} "$@"')
    assert lava_environment.find(tmp_path) is None


def test_a_marker_for_other_pins_is_not_found(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "python", f'exec {sys.executable} "$@"')
    version = ".".join(map(str, sys.version_info[:3]))
    for digest, found in (("0" * 64, False), (lava_environment._pins_digest("current"), True)):
        (tmp_path / MARKER).write_text(f'{{"kind": "current", "version": "{version}", "pins": "{digest}"}}')
        assert (lava_environment.find(tmp_path) is not None) is found


def test_an_interpreter_that_went_away_is_not_found(tmp_path: Path) -> None:
    digest = lava_environment._pins_digest("current")
    (tmp_path / MARKER).write_text(f'{{"kind": "current", "version": "3.11.1", "pins": "{digest}"}}')
    assert lava_environment.find(tmp_path) is None


def test_a_killed_build_leaves_no_marker_and_is_built_again(tmp_path: Path) -> None:
    """The builder gets killed while packages go in; what it was building is then found unfinished, and rebuilt."""
    program = f"""
from pathlib import Path
from snn2chip import lava_environment
lava_environment.build("current", log=lambda line: print(line, flush=True), root=Path({str(tmp_path / "lava")!r}))
"""
    builder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, start_new_session=True)
    _wait_for(tmp_path / "lava" / "pyvenv.cfg")
    os.killpg(builder.pid, 9)
    builder.wait()
    assert lava_environment.find(tmp_path / "lava") is None
    lines: list[str] = []
    built = lava_environment.build("current", lines.append, tmp_path / "lava")
    assert lava_environment.find(tmp_path / "lava") == built
    assert "Lava works" in lines[-1]


def _wait_for(path: Path) -> None:
    limit = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_broken_environment_is_a_sentence(tmp_path: Path) -> None:
    python = script(tmp_path / "bin" / "python", f'exec {sys.executable} -S "$@"')  # -S: no site-packages
    with pytest.raises(BackendError, match=r"does not work .* run `snn2chip doctor --fix lava`"):
        lava_environment.check(LavaEnvironment(tmp_path, python, "external", "3"))


def test_a_missing_environment_names_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_environment, "default_root", lambda: tmp_path / "nowhere")
    with pytest.raises(BackendError, match="run `snn2chip doctor --fix lava`"):
        lava_environment.require()


def test_the_variable_goes_first(monkeypatch: pytest.MonkeyPatch, environment: LavaEnvironment, tmp_path: Path) -> None:
    monkeypatch.setenv(lava_environment.PYTHON_VARIABLE, str(environment.python))
    found = lava_environment.find()
    assert found is not None
    assert (found.kind, found.python) == ("external", environment.python)
    monkeypatch.setenv(lava_environment.PYTHON_VARIABLE, str(tmp_path / "python"))
    with pytest.raises(UserError, match="does not run as a Python interpreter"):
        lava_environment.find()


def test_a_shim_that_only_complains_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = script(tmp_path / "bin" / "python3.10", "echo 'pyenv: command not found' >&2; exit 127")
    named = script(tmp_path / "named", """echo '[[3, 9, 1], "cpython"]'""")
    other = script(tmp_path / "versions" / "3.10.99" / "bin" / "python3.10", """echo '[[3, 10, 99], "cpython"]'""")
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    monkeypatch.setenv(lava_environment.PYTHON310_VARIABLE, str(named))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    candidates = list(lava_environment._candidates())
    assert candidates.index(named) < candidates.index(shim) < candidates.index(other)
    found = lava_environment.find_python310()
    assert found is not None
    assert found not in (shim, named)


def test_without_python310_the_current_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_environment, "_candidates", lambda: iter(()))
    assert lava_environment._choose("auto") == ("current", Path(sys.executable))
    with pytest.raises(UserError, match="SNN2CHIP_PYTHON310"):
        lava_environment.build("python310")
    with pytest.raises(UserError, match="choose auto, python310 or current"):
        lava_environment.build("newest")


def test_the_folder_outside_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert lava_environment.default_root().name == ".venv-lava"
    monkeypatch.setattr(lava_environment, "__file__", str(tmp_path / "site-packages/snn2chip/lava_environment.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert lava_environment.default_root() == tmp_path / "cache" / "snn2chip" / "venv-lava"
