"""The trained checkpoints that come with snn2chip; made by ``examples/digits/train_zoo.py``."""

from __future__ import annotations

from pathlib import Path

from snn2chip.errors import UserError

DIGITS = Path(__file__).parent / "digits"

# The names that stand for a baseline on the command line, and the checkpoint behind each.  All share one
# network shape and one training budget with sparse-n4-t1.
FAIR_SET = {"binary": "binary-t4", "binary-t1": "binary-t1", "sew": "sew-n4-t1", "qann": "qann-3bit"}


def names() -> list[str]:
    """The networks there are checkpoints of, sorted: ``binary-t1``, ``binary-t4``, ..."""
    return sorted({file.stem.rpartition("-seed")[0] for file in DIGITS.glob("*-seed*.pt")})


def path(name: str, seed: int = 0) -> Path:
    """The checkpoint of ``name`` that was trained from ``seed``.

    Raises:
        UserError: there is none.
    """
    file = DIGITS / f"{name}-seed{seed}.pt"
    if not file.is_file():
        raise UserError(f"No shipped checkpoint {name!r} with seed {seed}; known are {', '.join(names())}.")
    return file
