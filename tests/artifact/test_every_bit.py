"""No flipped bit and no truncation goes unseen: every bit of every file of a small artifact, and every length."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from snn2chip import artifact
from snn2chip.errors import UserError
from snn2chip.graph import frozen
from snn2chip.ops import LIF
from tests.artifact.every_bit import missed, one_neuron


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One leaky neuron, T = 2: without NIR, whose large file has test_every_bit_of_nir.py."""
    one = frozen([1], np.int32)
    return one_neuron(LIF(one, one, frozen([4000], np.int32)), 2, tmp_path_factory.mktemp("tiny") / "tiny-loihi2")


def test_every_bit_and_every_length_of_every_file(tiny: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "artifact"))
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert present == {*listed, "manifest.json"}
    assert {"model.onnx", "lava/tensors.safetensors", "samples.npz", "certificate.json"} <= present
    assert sum((folder / name).stat().st_size for name in present) < 40_000
    for name, entry in listed.items():
        # Of one file alone, since hashing all of them for each bit would take minutes: `read` calls it for every one.
        assert missed(folder / name, partial(artifact._check_file, folder, name, entry)) == []
    assert missed(folder / "manifest.json", partial(artifact._read_manifest, folder)) == []
    artifact.read(folder)


def test_the_whole_reading_refuses_them_too(tiny: Path, tmp_path: Path) -> None:
    """One bit in 1009 and one length in 101, through `read` itself."""
    folder = Path(shutil.copytree(tiny, tmp_path / "artifact"))
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for place in range(0, 8 * len(whole), 1009):
            changed = bytearray(whole)
            changed[place // 8] ^= 1 << place % 8
            path.write_bytes(changed)
            with pytest.raises(UserError, match=path.name):
                artifact.read(folder)
        for length in range(0, len(whole), 101):
            path.write_bytes(whole[:length])
            with pytest.raises(UserError, match=path.name):
                artifact.read(folder)
        path.write_bytes(whole)
    artifact.read(folder)


def test_a_bit_that_is_not_looked_at_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"ab")

    def careless() -> None:
        if (tmp_path / "file").read_bytes()[:1] != b"a":
            raise UserError(f"{tmp_path / 'file'}: changed")

    assert missed(tmp_path / "file", careless) == [8, 9, 10, 11, 12, 13, 14, 15, -1]
