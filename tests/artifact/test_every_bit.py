"""No flipped bit and no truncation goes unseen: every bit of every file of a small artifact, and every length."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from snn2chip import api, artifact
from snn2chip.artifact import Samples
from snn2chip.errors import UserError
from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models.chip import load_chip
from snn2chip.ops import LIF, Input, Linear, Readout


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One leaky neuron, T = 2: NIR refuses it, whose files have 70 kB even for one neuron and would take a minute."""
    one = frozen([1], np.int32)
    neuron = LIF(one, one, frozen([4000], np.int32))
    nodes = (
        Node("x", Input((2,), 1)),
        Node("fc", Linear(frozen([[1, -1]], np.int8)), ("x",)),
        Node("if", neuron, ("fc",)),
        Node("head", Linear(frozen([[1]], np.int8)), ("if",)),
        Node("out", Readout(), ("head",)),
    )
    folder = tmp_path_factory.mktemp("tiny") / "tiny-loihi2"
    samples = Samples(np.array([[0, 1], [1, 0]], np.uint8), np.array([0, 0]))
    exported = api.write(api.Compiled(Graph(nodes, 2), "tiny", samples=samples), load_chip("loihi2"), folder)
    assert exported.certificate.verdict == "EXACT"
    return folder


def missed(path: Path, check: Callable[[], object]) -> list[int]:
    """Places of the bits of a file whose change `check` does not refuse, then lengths that it accepts, as negatives."""
    whole, found = path.read_bytes(), []

    def refuses() -> bool:
        try:
            check()
        except UserError as error:
            return str(path) in str(error)
        return False

    with path.open("r+b", buffering=0) as file:
        for place in range(8 * len(whole)):
            byte, bit = divmod(place, 8)
            file.seek(byte)
            file.write(bytes([whole[byte] ^ 1 << bit]))
            found += [] if refuses() else [place]
            file.seek(byte)
            file.write(whole[byte : byte + 1])
        for length in reversed(range(len(whole))):
            file.truncate(length)
            found += [] if refuses() else [-length]
        file.seek(0)
        file.write(whole)
    check()
    return found


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
