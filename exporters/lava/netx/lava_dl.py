"""lava-dl's network loader beside a Lava environment: where it is, and how it gets there.

lava-dl 0.6.0 pins Python 3.10, NumPy 1 and PyTorch 2.3, and its wheel installs 100 MB of its own tests. Its loader
needs none of that, so that package alone is taken out of the wheel.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from snn2chip.errors import BackendError
from snn2chip.lava_environment import LavaEnvironment, require

PACKAGE = "lava-dl==0.6.0"
WHEEL_SHA256 = "bcb448f2bb85dc0da4b4dbbbae16543d2a978c1da7279acc522ad621fc68c437"
LOADER = "lava/lib/dl/netx"
MEND = "run `snn2chip doctor --fix lava-dl`"


def folder(environment: LavaEnvironment) -> Path:
    """What is to be added to the environment's import path; it holds `LOADER` once `install` has run."""
    return environment.root / "share" / "lava-dl"


def installed(environment: LavaEnvironment) -> bool:
    """Whether the loader is there: put there by `install`, or by the user's own installation of lava-dl."""
    places = (folder(environment), *environment.root.glob("lib/python*/site-packages"))
    return any((place / LOADER / "hdf5.py").is_file() for place in places)


def install(log: Callable[[str], None] = print) -> None:
    """Takes the loader out of lava-dl's wheel; BackendError where Lava's environment or the wheel cannot be had."""
    environment = require()
    if installed(environment):
        log(f"{PACKAGE}: its network loader is there already")
        return
    log(f"downloading {PACKAGE} for its network loader")
    with tempfile.TemporaryDirectory(prefix="snn2chip-lava-dl-") as temporary:
        wheel = _download(Path(temporary))
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(f"{LOADER}/") or name.endswith("LICENSE")]
            archive.extractall(Path(temporary) / "files", names)
        target = folder(environment)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(temporary) / "files", target)
    log(f"{PACKAGE}: its network loader is in {target}")


def _download(target: Path) -> Path:
    options = ["--quiet", "--no-deps", "--ignore-requires-python", "--only-binary", ":all:", "--dest", str(target)]
    command = [sys.executable, "-m", "pip", "download", *options, PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(target.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        last = " ".join(done.stderr.split())[-300:]
        raise BackendError(f"{PACKAGE} cannot be downloaded ({last}): connect to a package index and try again")
    if hashlib.sha256(wheels[0].read_bytes()).hexdigest() != WHEEL_SHA256:
        raise BackendError(
            f"{wheels[0].name} is not the file that this version knows: use an index that has the released one"
        )
    return wheels[0]
