"""A small artifact, and the search for changes of its files that go unseen.

    python -m tests.artifact.every_bit

flips every bit of a NIR file, which takes 40 s: the tests flip one of each byte.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from snn2chip import api, artifact
from snn2chip.artifact import Samples
from snn2chip.errors import UserError
from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models.chip import load_chip
from snn2chip.ops import Input, Linear, MultiLevelIF, Readout, SpikingNeuron

BITS = 8


def one_neuron(neuron: SpikingNeuron, steps: int, folder: Path) -> Path:
    """Export a network of one `neuron` to `folder`, and return it."""
    nodes = (
        Node("x", Input((2,), 1)),
        Node("fc", Linear(frozen([[1, -1]], np.int8)), ("x",)),
        Node("if", neuron, ("fc",)),
        Node("head", Linear(frozen([[1]], np.int8)), ("if",)),
        Node("out", Readout(), ("head",)),
    )
    samples = Samples(np.array([[0, 1], [1, 0]], np.uint8), np.array([0, 0]))
    exported = api.write(api.Compiled(Graph(nodes, steps), "tiny", samples=samples), load_chip("loihi2"), folder)
    assert exported.certificate.verdict == "EXACT"
    return folder


def missed(path: Path, check: Callable[[], object], bits: int = BITS) -> list[int]:
    """Places of the bits of a file whose change `check` does not refuse, then lengths that it accepts, as negatives.

    `bits` of each byte are flipped, one after the other: which of them goes round from byte to byte.
    """
    whole, found = path.read_bytes(), []

    def refuses() -> bool:
        try:
            check()
        except UserError as error:
            return str(path) in str(error)
        return False

    with path.open("r+b", buffering=0) as file:
        for byte, content in enumerate(whole):
            for bit in sorted((byte + turn) % BITS for turn in range(bits)):
                file.seek(byte)
                file.write(bytes([content ^ 1 << bit]))
                found += [] if refuses() else [BITS * byte + bit]
            file.seek(byte)
            file.write(whole[byte : byte + 1])
        for length in reversed(range(len(whole))):
            file.truncate(length)
            found += [] if refuses() else [-length]
        file.seek(0)
        file.write(whole)
    check()
    return found


def missed_of_nir(folder: Path, bits: int = BITS) -> list[int]:
    """The same for model.nir of a new artifact in `folder`."""
    one_neuron(MultiLevelIF(frozen([1], np.int32), 2), 1, folder)
    entry = json.loads((folder / "manifest.json").read_text())["files"]["model.nir"]
    found = missed(folder / "model.nir", partial(artifact._check_file, folder, "model.nir", entry), bits)
    artifact.read(folder)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        unseen = missed_of_nir(Path(temporary) / "tiny-loihi2")
    sys.exit(f"model.nir: changes that go unseen: {unseen}" if unseen else 0)
