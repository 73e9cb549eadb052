"""The trained checkpoints that come with snn2chip; made by ``examples/digits/train_zoo.py``."""

from __future__ import annotations

from pathlib import Path

from snn2chip.errors import UserError

#: A folder a data set; ``results.json`` in it says what every checkpoint reached.
FOLDERS = {name: Path(__file__).parent / name for name in ("digits", "event-digits")}
DIGITS = FOLDERS["digits"]

#: The names that stand for a baseline on the command line, by data set, and the checkpoint behind each. All of a data
#: set share one network shape and one training budget with its sparse-n4-t1.
FAIR_SETS = {
    "digits": {
        "binary": "binary-t4",
        "binary-t1": "binary-t1",
        "sew": "sew-n4-t1",
        "qann": "qann-3bit",
        "ms": "ms-n4-t1",
        "spiking": "spiking-n4-t1",
        "barrier-surrogate": "barrier-surrogate-n4-t1",
    },
    "event-digits": {"binary": "binary-t10"},
}


def names(dataset: str = "digits") -> list[str]:
    """The networks there are checkpoints of, sorted: ``binary-t1``, ``binary-t4``, ..."""
    return sorted({file.stem.rpartition("-seed")[0] for file in FOLDERS[dataset].glob("*-seed*.pt")})


def path(name: str, seed: int = 0, dataset: str = "digits") -> Path:
    """The checkpoint of ``name`` that was trained on ``dataset`` from ``seed``.

    Raises:
        UserError: there is none.
    """
    if dataset not in FOLDERS:
        raise UserError(f"No shipped checkpoints of {dataset!r}; known data sets are {', '.join(FOLDERS)}.")
    file = FOLDERS[dataset] / f"{name}-seed{seed}.pt"
    if not file.is_file():
        known = ", ".join(names(dataset))
        raise UserError(f"No shipped checkpoint {name!r} with seed {seed} of {dataset!r}; known are {known}.")
    return file
