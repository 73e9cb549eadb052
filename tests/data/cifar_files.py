"""Small files in CIFAR's binary format, with random pixels: the originals are not at hand."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np

from snn2chip.data.cifar import Edition

PER_FILE = 20


def contents(edition: Edition, per_file: int = PER_FILE) -> dict[str, bytes]:
    """The files of `edition`, with so many random records each, of all classes in turn."""
    generator = np.random.default_rng(0)
    made = {}
    for name in (*edition.train, *edition.test):
        records = generator.integers(0, 256, (per_file, edition.label_bytes + 3072), dtype=np.uint8)
        records[:, 0] = generator.integers(0, 20, per_file)  # what CIFAR-100 has there: a superclass
        records[:, edition.label_bytes - 1] = np.arange(per_file) % edition.classes
        made[name] = records.tobytes()
    made[edition.names] = "\n".join(f"class{number}" for number in range(edition.classes)).encode() + b"\n\n"
    return made


def folder(edition: Edition, root: Path, per_file: int = PER_FILE) -> Path:
    target = root / edition.folder
    target.mkdir()
    for name, content in contents(edition, per_file).items():
        (target / name).write_bytes(content)
    return target


def archive(edition: Edition, root: Path, members: dict[str, bytes] | None = None) -> Path:
    target = root / edition.archive
    with tarfile.open(target, "w:gz") as stream:
        for name, content in (members or contents(edition)).items():
            entry = tarfile.TarInfo(f"{edition.folder}/{name}")
            entry.size = len(content)
            stream.addfile(entry, io.BytesIO(content))
    return target
