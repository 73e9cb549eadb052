"""Is everything there that the backends need?"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable

from snn2chip import lava_environment
from snn2chip.errors import BackendError

_PACKAGES = ("numpy", "torch", "nir", "nirtorch", "onnx", "onnxruntime", "safetensors", "matplotlib", "scikit-learn")


def examine() -> tuple[bool, list[str]]:
    """(everything works, one line per part). Lava's environment is tried by running a small network there."""
    lines = [f"python       {sys.version.split()[0]}"]
    healthy = True
    for package in _PACKAGES:
        try:
            lines.append(f"{package:<12} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            healthy = False
            lines.append(f"{package:<12} MISSING: pip install {package}")
    try:
        lines.append(f"{'lava':<12} {lava_environment.check(lava_environment.require())}")
    except BackendError as error:
        healthy = False
        lines.append(f"{'lava':<12} MISSING: {error}")
    return healthy, lines


def fix_lava(kind: str, log: Callable[[str], None]) -> None:
    """Build Lava's environment where it is missing or broken.

    Args: kind, ``auto``, ``python310`` or ``current``; log is told each stage.
    Raises: BackendError or UserError where it cannot be built.
    """
    environment = lava_environment.find()
    if environment is not None and kind in ("auto", environment.kind):
        try:
            log(lava_environment.check(environment))
            return
        except BackendError as error:
            log(f"rebuilding: {error}")
    lava_environment.build(kind, log)


def fix_lava_dl(log: Callable[[str], None]) -> None:
    """Put lava-dl's network loader beside Lava's environment; BackendError where its wheel cannot be had."""
    from snn2chip.exporters.lava.netx import lava_dl

    lava_dl.install(log)
