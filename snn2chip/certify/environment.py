"""With what a certificate was made: versions of every program, and the machine.

Kept apart from the certificate, which is the same for the same artifact on every machine
(``docs/decisions/0006-the-certificate-names-no-machine.md``).
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from typing import Any

import snn2chip
from snn2chip import lava_environment
from snn2chip.errors import UserError

FORMAT = "snn2chip-environment-1"

_LAVA_VERSIONS = (
    "import importlib.metadata as m, json;"
    "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions() if d.metadata['Name']}))"
)


def environment() -> dict[str, Any]:
    """Versions of snn2chip, Python, every package that snn2chip needs, and Lava's environment; the machine."""
    return {
        "format": FORMAT,
        "snn2chip": snn2chip.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": _packages(),
        "lava": _lava(),
        "machine": {
            "system": platform.platform(),
            "architecture": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count() or 1,
        },
    }


def sentence(found: dict[str, Any]) -> str:
    """The programs that run forms, and the machine, in one line."""
    shown = ("numpy", "torch", "nir", "nirtorch", "onnx", "onnxruntime")
    versions = [f"{name} {found['packages'][name]}" for name in shown if name in found["packages"]]
    lava = found["lava"]
    versions.append(f"lava-nc {lava['packages'].get('lava-nc', '?')} (Python {lava['python']})" if lava else "no Lava")
    machine = found["machine"]
    return f"{found['python']}, {', '.join(versions)}; {machine['processor']}, {machine['system']}"


def _packages() -> dict[str, str]:
    """What snn2chip requires, as installed here."""
    wanted = importlib.metadata.requires("snn2chip") or []
    names = sorted({match.group() for line in wanted if (match := re.match(r"[A-Za-z0-9._-]+", line))})
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # such as tomli, which new Pythons do without
            continue
    return found


def _lava() -> dict[str, Any] | None:
    try:
        lava = lava_environment.find()
    except UserError:  # the user's own interpreter does not run: no form ran in it either
        return None
    if lava is None:
        return None
    done = subprocess.run([lava.python, "-I", "-c", _LAVA_VERSIONS], capture_output=True, text=True, check=False)
    packages = {} if done.returncode else dict(sorted(_loaded(done.stdout).items()))
    return {"python": lava.version, "kind": lava.kind, "packages": packages}


def _loaded(text: str) -> dict[str, str]:
    import json

    return {str(name): str(version) for name, version in json.loads(text).items()}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123  # not a file of ours
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
