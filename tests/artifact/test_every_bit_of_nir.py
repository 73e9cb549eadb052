"""No byte of a NIR file can be changed unseen, and none be missing; `make fuzz` flips every bit of it."""

from __future__ import annotations

from pathlib import Path

from tests.artifact.every_bit import missed_of_nir


def test_every_byte_and_every_length_of_a_nir_file(tmp_path: Path) -> None:
    assert missed_of_nir(tmp_path / "tiny-loihi2", bits=1) == []
