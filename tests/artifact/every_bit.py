"""A small artifact, and the search for changes of its files that go unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from snn2chip import api
from snn2chip.artifact import Samples
from snn2chip.errors import UserError
from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models.chip import load_chip
from snn2chip.ops import Input, Linear, Readout, SpikingNeuron


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
