"""Runs NIR files in one library and writes down what comes out: ``python worker.py JOBS.json``, in any Python.

JOBS.json: ``{"consumer": KEY, "jobs": [{"model": FILE, "frames": X.npy, "answer": STEM}, ...]}``. Each job leaves
``STEM.npy``, float32 ``[B, T, values]``, or ``STEM.txt``: the class of the error, and the first line of its message.
Without an argument: what is installed here, by distribution, as JSON.

Of this project only the folder that this file is in has to be there, installed or not.
"""

from __future__ import annotations

import json
import sys
import types
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ("nir", "nirtorch", "norse", "sinabs", "snntorch", "spikingjelly", "torch")


def _reach() -> None:
    """Makes `snn2chip.interop` importable from its folder, and nothing of what lies beside it.

    Python puts the folder of a script first on its path, but the modules in ours are called like the libraries.
    """
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
    package = types.ModuleType("snn2chip")
    package.__path__ = [str(HERE.parent)]
    sys.modules["snn2chip"] = package


def _installed() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _answer(consumer: str, model: Path, frames: Path, stem: Path) -> None:
    try:
        import numpy as np

        from snn2chip.interop.readers import outputs  # where a library is broken, that is an answer, too

        found = outputs(consumer, model, np.load(frames))
    except Exception as error:  # noqa: BLE001 - a library of others may raise anything, and the table names it
        lines = str(error).strip().splitlines()
        temporary = stem.with_suffix(".part")
        temporary.write_text(f"{type(error).__name__}: {lines[0] if lines else 'no message'}", encoding="utf-8")
        temporary.replace(stem.with_suffix(".txt"))
        return
    temporary = stem.with_suffix(".part.npy")
    np.save(temporary, found)
    temporary.replace(stem.with_suffix(".npy"))


def _work(document: Path) -> None:
    asked = json.loads(document.read_text(encoding="utf-8"))
    for job in asked["jobs"]:
        _answer(asked["consumer"], Path(job["model"]), Path(job["frames"]), Path(job["answer"]))


if __name__ == "__main__":
    _reach()
    if len(sys.argv) > 1:
        _work(Path(sys.argv[1]))
    else:
        sys.stdout.write(json.dumps(_installed()))
