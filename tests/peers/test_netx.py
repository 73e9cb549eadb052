"""lava-dl's own networks give the spikes that lava-dl stored beside them, every one.

What was stored is in the chip's time: a layer is one step behind its source, and works on a sample from then on for as
many steps as the sample has.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.errors import GraphError
from snn2chip.frontend.netx_file import read_netx
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Array, Graph
from snn2chip.ops import LIF

STEPS = 16


def stored(folder: Path, name: str, depth: int) -> Array:
    """``[T, C, H, W]`` or ``[T, F]`` of a sample, from files of ``[W, H, C, T]`` or ``[F, T]`` in the chip's time."""
    spikes: Array = np.load(folder / f"{name}.npy").astype(np.uint8).T
    return spikes[depth : depth + STEPS]


def tiny(folder: Path, name: str) -> Array:
    """``[T, C, H, W]``, from files of ``[1, C, H, W, T]`` that begin one step before the sample."""
    spikes: Array = np.moveaxis(np.load(folder / "gts" / "tinynet" / f"{name}.npy")[0], -1, 0)
    return spikes[1:].astype(np.uint8)


def fired(graph: Graph, currents: Path) -> dict[str, Array]:
    """What every layer emits, ``[T, ...]``, for the input that is stored as ``[W, H, C]``."""
    recorder = interpreter.Recorder()
    interpreter.run(graph, np.load(currents).transpose(2, 1, 0).astype(np.uint8)[None], [recorder])
    return {name: tensor[0] for name, tensor in recorder.tensors.items()}


def test_tiny_net_fires_as_stored(lava_dl_networks: Path) -> None:
    graph = read_netx(lava_dl_networks / "tiny.net", ImportOptions(steps=15))
    found = fired(graph, lava_dl_networks / "gts/tinynet/input_bias.npy")
    for index, name in enumerate(["input", "layer1", "output"]):
        expected = tiny(lava_dl_networks, name)
        np.testing.assert_array_equal(found[f"layer{index}"], expected)
        assert expected.any()


#: Layers of PilotNet by what lava-dl calls their spikes; layer 6 only flattens.
PILOTNET = dict(
    zip(
        [0, 1, 2, 3, 4, 5, 7, 8, 9],
        ["input", *(f"conv-{i}" for i in range(5)), *(f"fc-{i}" for i in range(3))],
        strict=True,
    )
)


def test_pilotnet_fires_as_stored(lava_dl_networks: Path) -> None:
    folder = lava_dl_networks / "gts" / "pilotnet_lif"
    graph = read_netx(folder / "network.net", ImportOptions(steps=STEPS))
    found = fired(graph, folder / "image.npy")
    for depth, (index, name) in enumerate(PILOTNET.items()):
        expected = stored(folder, name, depth)
        np.testing.assert_array_equal(found[f"layer{index}"], expected)
        assert expected.any()


def test_mnist_net_imports_with_its_logits(lava_dl_networks: Path) -> None:
    graph = read_netx(lava_dl_networks / "mnist.net", ImportOptions(steps=STEPS))
    assert graph.signals[graph.output.name].shape == (10,)
    assert [node.name for node in graph.of_kind(LIF)] == ["layer0", "layer1", "layer2"]
    logits = interpreter.logits(graph, np.random.default_rng(0).integers(0, 141, (4, 784)).astype(np.uint8))
    assert len(np.unique(logits)) > 10


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("gts/ntidigits/ntidigits.net", r"layer 2 \(dense\) delays its spikes, which is not supported"),
        ("gts/pilotnet_sdnn/network.net", r"layer 0 \(neuron SDNN\) is not supported: only CUBA and LOIHI are"),
        ("gts/pilotnet_sdnn/square_network.net", r"layer 0 \(neuron SDNN\) is not supported"),
    ],
)
def test_what_is_not_supported_is_named(network: str, sentence: str, lava_dl_networks: Path) -> None:
    with pytest.raises(GraphError, match=sentence):
        read_netx(lava_dl_networks / network, ImportOptions(steps=STEPS))
