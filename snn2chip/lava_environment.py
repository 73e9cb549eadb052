"""Lava's own Python environment: where it is, how it is built, whether it works.

Lava (lava-nc 0.10.0, archived) pins Python 3.10 and NumPy < 2, so it never shares an environment with this project: a
worker process runs it, and PyTorch is kept out (lava-nc itself knows a fork after a torch operation to hang). Two kinds
are built. ``python310`` is what Lava was released for. ``current`` is the running Python, with the two changes of
``exporters/lava/compatibility.py``, for machines that have no Python 3.10.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from snn2chip.errors import BackendError, UserError

Kind = Literal["python310", "current", "external"]
Log = Callable[[str], None]

PYTHON_VARIABLE = "SNN2CHIP_LAVA_PYTHON"
PYTHON310_VARIABLE = "SNN2CHIP_PYTHON310"
MEND = "run `snn2chip doctor --fix lava`"
MARKER = ".ready"
#: Not `.lock`, which uv itself takes in an environment.
LOCK = ".building"
CHECK_SECONDS = 120

LAVA = "lava-nc==0.10.0"
#: All that lava-nc 0.10.0 imports, and what reads our artifacts; complete, so that nothing is resolved at install.
#: scikit-learn, which lava-nc names as a requirement, is imported nowhere in it.
PINS: dict[str, tuple[str, ...]] = {
    "python310": (
        LAVA,
        "numpy==1.26.4",
        "scipy==1.15.3",
        "networkx==2.8.7",
        "asteval==0.9.33",
        "h5py==3.14.0",
        "safetensors==0.5.3",
    ),
    "current": (
        LAVA,
        "numpy==2.2.6",
        "scipy==1.15.3",
        "networkx==3.4.2",
        "asteval==1.0.6",
        "h5py==3.14.0",
        "safetensors==0.5.3",
    ),
}

_PROBE = "import json, sys; print(json.dumps([sys.version_info[:3], sys.implementation.name]))"


@dataclass(frozen=True)
class LavaEnvironment:
    """A Python that can import Lava: its folder, interpreter, how it came to be, and version such as ``3.10.13``."""

    root: Path
    python: Path
    kind: Kind
    version: str


def default_root() -> Path:
    """Where the environment belongs: ``.venv-lava`` in a checkout, else ``snn2chip/venv-lava`` in the user's cache."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "exporters").is_dir():
        return checkout / ".venv-lava"
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "snn2chip" / "venv-lava"


def find(root: Path | None = None) -> LavaEnvironment | None:
    """The finished environment, or None where none was built or this version of snn2chip wants another one.

    ``SNN2CHIP_LAVA_PYTHON`` names an interpreter of the user's own and goes before everything else; UserError where
    that interpreter does not run.
    """
    if root is None and (own := os.environ.get(PYTHON_VARIABLE)):
        return _external(Path(own).expanduser().absolute())
    folder = root or default_root()
    try:
        state = json.loads((folder / MARKER).read_text())
        environment = LavaEnvironment(folder, _interpreter(folder), state["kind"], state["version"])
        current = state["pins"] == _pins_digest(state["kind"])
    except (OSError, ValueError, KeyError):
        return None
    return environment if current and _version(environment.python) == environment.version else None


def require() -> LavaEnvironment:
    """The finished environment; BackendError with the mend where there is none."""
    environment = find()
    if environment is None:
        raise BackendError(f"the Lava environment is not built at {default_root()}: {MEND}")
    return environment


def build(kind: str = "auto", log: Log = print, root: Path | None = None) -> LavaEnvironment:
    """Builds the environment anew and checks it; an interrupted build leaves no marker and counts as absent.

    Args: kind ``python310``, ``current`` or ``auto`` (Python 3.10 where one is found, else the running Python); log,
    called with one line per stage; root, the folder (`default_root` by default).
    Raises: UserError where no Python fits, BackendError where an installation or the check at the end fails.
    """
    if sys.platform == "win32":
        raise UserError(
            "Lava's runtime forks processes, which Windows cannot: use Linux, macOS or WSL for the Lava backend"
        )
    folder = root or default_root()
    chosen, base = _choose(kind)
    log(f"building {folder} on {base} ({chosen})")
    with _exclusive(folder):
        _empty(folder)
        _install(folder, base, PINS[chosen], log)
        version = _version(_interpreter(folder))
        if version is None:
            raise BackendError(
                f"the interpreter made at {_interpreter(folder)} does not run: remove {folder} and {MEND}"
            )
        environment = LavaEnvironment(folder, _interpreter(folder), chosen, version)
        log(check(environment))
        _mark(environment)
    return environment


def check(environment: LavaEnvironment) -> str:
    """Runs a network of two Lava processes there and compares; says what was found, or raises BackendError."""
    folders = {name: _package_folder(name) for name in ("snn2chip", "snn2chip.exporters")}
    script = Path(folders["snn2chip.exporters"]) / "lava" / "bootstrap.py"
    command = [str(environment.python), "-I", str(script), json.dumps(folders), "snn2chip.exporters.lava.selfcheck"]
    try:
        done = _run(command, timeout=CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        raise BackendError(
            f"the Lava environment {environment.root} gave no answer in {CHECK_SECONDS} s: {MEND}"
        ) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BackendError(f"the Lava environment {environment.root} does not work ({last}): {MEND}")
    return done.stdout.strip()


def _package_folder(name: str) -> str:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise BackendError(f"{name} is missing from this installation: install snn2chip again")
    return str(Path(spec.origin).parent)


def _interpreter(folder: Path) -> Path:
    return folder / "bin" / "python"


def _external(python: Path) -> LavaEnvironment:
    version = _version(python)
    if version is None:
        raise BackendError(
            f"{PYTHON_VARIABLE} names {python}, which does not run as a Python interpreter: correct or unset it"
        )
    return LavaEnvironment(python.parent.parent, python, "external", version)


def _version(python: Path) -> str | None:
    """Version of a CPython that really runs, such as ``3.10.13`` (pyenv leaves shims that only print an error)."""
    try:
        done = _run([str(python), "-I", "-c", _PROBE], timeout=20)
        numbers, implementation = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return ".".join(map(str, numbers)) if implementation == "cpython" else None


def _pins_digest(kind: str) -> str:
    return hashlib.sha256("\n".join(PINS[kind]).encode()).hexdigest()


def _choose(kind: str) -> tuple[Kind, Path]:
    if kind not in ("auto", "python310", "current"):
        raise UserError(f"unknown kind of Lava environment {kind!r}: choose auto, python310 or current")
    python310 = None if kind == "current" else find_python310()
    if python310 is not None:
        return "python310", python310
    if kind == "python310":
        raise UserError(
            f"no working Python 3.10 was found: install one or set {PYTHON310_VARIABLE}, or use kind current"
        )
    return "current", Path(sys.executable)


def find_python310() -> Path | None:
    """The first candidate that runs and is Python 3.10."""
    for candidate in _candidates():
        if (_version(candidate) or "").startswith("3.10."):
            return candidate
    return None


def _candidates() -> Iterator[Path]:
    if named := os.environ.get(PYTHON310_VARIABLE):
        yield Path(named).expanduser().absolute()
    if sys.version_info[:2] == (3, 10):
        yield Path(sys.executable)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and os.access(Path(folder) / "python3.10", os.X_OK):
            yield Path(folder) / "python3.10"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob("versions/3.10*/bin/python3.10"), reverse=True)
    yield from _uv_candidates()
    yield from _conda_candidates()


def _uv_candidates() -> Iterator[Path]:
    if uv := _uv():
        done = _run([*uv, "python", "find", "--no-python-downloads", "3.10"], timeout=30)
        if done.returncode == 0:
            yield Path(done.stdout.strip())


def _conda_candidates() -> Iterator[Path]:
    roots = [Path(value).parent.parent for value in [os.environ.get("CONDA_EXE")] if value]
    roots += [Path(value) for value in [os.environ.get("CONDA_PREFIX")] if value]
    for root in roots:
        yield from root.glob("bin/python3.10")
        yield from sorted(root.glob("envs/*/bin/python3.10"))


def _uv() -> list[str] | None:
    """How to call uv: the one in this environment, else one on PATH that runs."""
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    return [found] if found and _run([found, "--version"], timeout=20).returncode == 0 else None


def _install(folder: Path, base: Path, pins: tuple[str, ...], log: Log) -> None:
    uv = _uv()
    if uv is None:
        _install_with_pip(folder, base, pins, log)
        return
    try:
        _install_with_uv(uv, folder, base, pins, log)
    except BackendError as error:
        log(f"{error}; trying pip, which may be configured otherwise")
        _empty(folder)
        _install_with_pip(folder, base, pins, log)


def _install_with_pip(folder: Path, base: Path, pins: tuple[str, ...], log: Log) -> None:
    log(f"installing {len(pins)} packages with pip")
    _must([str(base), "-m", "venv", str(folder)])
    options = ["--no-deps", "--ignore-requires-python", "--no-warn-script-location", "--quiet"]
    _must([str(_interpreter(folder)), "-m", "pip", "install", *options, *pins])
    # Exit code 1: some file is no Python of this version, such as a template; the check that follows runs what matters.
    _must([str(_interpreter(folder)), "-m", "compileall", "-q", str(folder / "lib")], codes=(0, 1))


def _install_with_uv(uv: list[str], folder: Path, base: Path, pins: tuple[str, ...], log: Log) -> None:
    log(f"installing {len(pins)} packages with uv")
    _must([*uv, "venv", "--quiet", "--allow-existing", "--python", str(base), str(folder)])
    options = ["--quiet", "--no-deps", "--compile-bytecode", "--python", str(_interpreter(folder))]
    _must([*uv, "pip", "install", *options, *pins])


def _must(command: list[str], codes: tuple[int, ...] = (0,)) -> None:
    done = _run(command, timeout=1800)
    if done.returncode not in codes:
        tail = " ".join((done.stderr or done.stdout).split())[-400:]
        raise BackendError(f"`{' '.join(command[:5])} ...` failed with exit code {done.returncode}: {tail}")


def _run(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    # PYTHONHOME and PYTHONPATH belong to the running interpreter; another version of Python would read its modules.
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
    }
    return subprocess.run(
        command, env=inherited, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False
    )


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Holds a lock inside `folder`, so that two builders do not write into one another's work."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _empty(folder: Path) -> None:
    (folder / MARKER).unlink(missing_ok=True)
    for entry in folder.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _mark(environment: LavaEnvironment) -> None:
    state = {"kind": environment.kind, "version": environment.version, "pins": _pins_digest(environment.kind)}
    temporary = environment.root / f"{MARKER}.new"
    temporary.write_text(json.dumps(state) + "\n")
    temporary.replace(environment.root / MARKER)
