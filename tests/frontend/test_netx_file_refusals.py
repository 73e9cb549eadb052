"""What netx files hold and this project does not: one sentence each, naming the file, the layer and the mend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from snn2chip.errors import UserError
from snn2chip.frontend import netx_file
from snn2chip.frontend.netx_file import read_netx
from snn2chip.frontend.options import ImportOptions
from tests.frontend.netx_spec import Layer, write
from tests.frontend.test_netx_file import MAP, conv, dense, even, flatten, given_shape, neuron, without_neuron


def refusal(path: Path, **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        read_netx(path, ImportOptions(**{"steps": 4, **changes}))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message) < len(str(path)) + 300
    assert message.isprintable()
    return message


def of(type_: str, **fields: Any) -> Layer:
    return {"type": type_, "shape": np.array([5]), **fields}


LAYERS: dict[str, tuple[Sequence[Layer], str]] = {
    "delays": (
        [given_shape(12), dense(5, 12, delay=np.array([0, 0, 3, 0, 0], np.float32))],
        "layer 1 (dense) delays its spikes, which is not supported: train without delays",
    ),
    "recurrence": ([given_shape(12), of("dense_rec")], "layer 1 (dense_rec) is recurrent, which is not supported"),
    "transposed": ([given_shape(*MAP), of("convT")], "layer 1 (convT) is a transposed convolution"),
    "concatenation": ([given_shape(12), of("concat")], "layer 1 (concat) joins several layers"),
    "an unknown layer": (
        [given_shape(12), of("residual")],
        "layer 1 (residual) is of a type that lava-dl 0.6.0 does not write",
    ),
    "complex weights": (
        [given_shape(12), dense(5, 12, weight={"real": even(5, 12), "imag": even(5, 12)})],
        "layer 1 (dense) has complex weights",
    ),
    "sigma-delta neurons": (
        [given_shape(12), dense(5, 12, neuron={"type": "SDNN", "vThMant": 5})],
        "(neuron SDNN) is not supported: only CUBA and LOIHI are (sigma-delta neurons send changes, not spikes)",
    ),
    "adaptive neurons": ([given_shape(12), dense(5, 12, neuron=neuron(type="ALIF"))], "(its threshold adapts)"),
    "resonators": (
        [given_shape(12), dense(5, 12, neuron=neuron(type="RF_PHASE"))],
        "layer 1 (neuron RF_PHASE) is not supported",
    ),
    "neurons of endless type": (
        [given_shape(12), dense(5, 12, neuron=neuron(type="b\n" * 5000))],
        "layer 1 (neuron " + "b\\n" * 40 + "...) is not supported",
    ),
    "neurons of no type": ([given_shape(12), dense(5, 12, neuron={"vThMant": 5})], "layer 1 (neuron of unknown type)"),
    "graded spikes": (
        [given_shape(12), dense(5, 12, neuron=neuron(gradedSpike=True))],
        "layer 1 (neuron CUBA) has gradedSpike = 1, but only 0 is supported",
    ),
    "refractory periods": (
        [given_shape(12), dense(5, 12, neuron=neuron(refDelay=2))],
        "layer 1 (neuron CUBA) has refDelay = 2, but only 1 is supported",
    ),
    "weight exponents": (
        [given_shape(12), dense(5, 12, neuron=neuron(wgtExp=2))],
        "has wgtExp = 2, but only 0 is supported",
    ),
    "message bits": (
        [given_shape(12), dense(5, 12, neuron=neuron(messageBits=8))],
        "has a field 'messageBits', which is not known",
    ),
    "a decay above one": (
        [given_shape(12), dense(5, 12, neuron=neuron(potential=4097))],
        "in 0..4096 in its field 'vDecay'",
    ),
    "a decay below zero": (
        [given_shape(12), dense(5, 12, neuron=neuron(current=-1))],
        "in 0..4096 in its field 'iDecay'",
    ),
    "decays that do not fit": (
        [given_shape(12), dense(5, 12, neuron=neuron(potential=[1, 2, 3]))],
        "layer 1 (neuron CUBA) needs 1 or 5 numbers in 0..4096 in its field 'vDecay'",
    ),
    "a fractional decay": (
        [given_shape(12), dense(5, 12, neuron=neuron(potential=0.5))],
        "needs whole numbers in its field",
    ),
    "a threshold below zero": (
        [given_shape(12), dense(5, 12, neuron=neuron(-1))],
        "has vThMant = -1: a threshold must not",
    ),
    "fractional weights": (
        [given_shape(12), dense(5, 12, weight=even(5, 12) / 4)],
        "layer 1 (dense) needs whole numbers in its field 'weight'",
    ),
    "weights of NaN": (
        [given_shape(12), dense(5, 12, weight=np.full((5, 12), np.nan))],
        "layer 1 (dense) holds NaN or infinite numbers in its field 'weight'",
    ),
    "weights beyond Loihi's": (
        [given_shape(12), dense(5, 12, weight=np.full((5, 12), 256.0))],
        "layer 1 (dense) has weights in 256..256: 8 bits hold -127..127, or even ones in -254..254",
    ),
    "weights of another size": (
        [given_shape(12), dense(2, 12, weight=even(2, 2))],
        "layer 1 (dense) has 4 weights for 12 inputs and 2 outputs",
    ),
    "weights that 8 bits do not hold": (
        [given_shape(2), dense(2, 2, weight=np.array([[200.0, -3], [2, 2]]))],
        "layer 1 (dense) has weights in -3..200: 8 bits hold -127..127, or even ones in -254..254",
    ),
    "a bias that does not fit": (
        [given_shape(12), dense(5, 12, bias=[1, 2])],
        "needs 1 or 5 numbers of 17 bits in its field 'bias'",
    ),
    "a bias where nothing fires": (
        [given_shape(12), dense(5, 12, neuron=neuron(131071, current=2048), bias=[2])],
        "layer 1 (dense) has a bias that its currents cannot carry, and its neuron never fires: remove the bias",
    ),
    "a bias without neurons": (
        [given_shape(12), without_neuron(dense(5, 12, bias=[2]))],
        "layer 1 (dense) has a bias but no neuron: give it one that accumulates",
    ),
    "a hidden layer without neurons": (
        [given_shape(12), without_neuron(dense(5, 12)), dense(5, 5)],
        "layer 1 (dense) has no neuron, which only the last layer may lack",
    ),
    "maps where flat spikes belong": (
        [given_shape(*MAP), dense(5, 60)],
        "layer 1 (dense) reads a map of shape (2, 6, 5): put a flatten layer before it",
    ),
    "another shape than stated": (
        [given_shape(*MAP), conv(4, 2, (4, 5, 5))],
        "layer 1 (conv) says that it yields [4, 5, 5], but it yields [4, 6, 5]",
    ),
    "another flat shape than stated": (
        [given_shape(*MAP), flatten(61)],
        "says that it yields [1, 1, 61], but it yields [2, 6, 5]",
    ),
    "a kernel of three axes": (
        [given_shape(*MAP), {**conv(4, 2, (4, 6, 5)), "weight": even(4, 2, 3)}],
        "layer 1 (conv) has weights of shape (4, 2, 3): [outputs, inputs, height, width] is needed",
    ),
    "channels that do not fit": (
        [given_shape(3, 6, 5), conv(4, 2, (4, 6, 5))],
        "'layer1.synapses': weight (4, 2, 3, 3) with",
    ),
    "a pool of many kernels": (
        [given_shape(*MAP), {**conv(2, 2, (2, 6, 5)), "type": "pool"}],
        "layer 1 (pool) has a field 'groups', which is not known",
    ),
    "unequal groups": (
        [given_shape(12), dense(5, 12), {"type": "average", "shape": np.array([2, 1, 1])}],
        "layer 2 (average) averages (5,) neurons into 2: equal flat groups are needed",
    ),
    "an unknown field": (
        [given_shape(12), dense(5, 12, mask=[1])],
        "layer 1 (dense) has a field 'mask', which is not known",
    ),
    "two inputs": ([given_shape(12), given_shape(12)], "layer 1 (input) is not the first: only one input is supported"),
    "a first layer without a shape": (
        [conv(4, 2, (4, 6, 5))],
        "does not say the shape of its input: give it (--input-shape)",
    ),
    "an input of two axes": (
        [given_shape(6, 5)],
        "layer 0 (input) has a shape that is neither (features,) nor (channels",
    ),
    "an endless input": ([given_shape(2**20, 2**15, 2**15)], "too large"),
    "an endless border": ([given_shape(*MAP), conv(4, 2, (4, 6, 5), padding=[2**30, 2**30])], "too large"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_is_not_supported_is_named(name: str, tmp_path: Path) -> None:
    layers, sentence = LAYERS[name]
    assert sentence in refusal(write(tmp_path / "a.net", layers))


FILES: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "no layers": (
        lambda file: file.pop("layer"),
        "it is no netx file: its group 'layer' with 1 to 1024 layers is missing",
    ),
    "layers of numbers": (lambda file: [file.pop("layer"), file.create_dataset("layer", data=1)], "it is no netx file"),
    "a missing layer": (lambda file: file.move("layer/1", "layer/2"), "layer 1 is missing, or does not say its 'type'"),
    "a layer of another name": (lambda file: file.move("layer/1", "layer/head"), "layer 1 is missing"),
    "no type": (lambda file: file["layer/1"].pop("type"), "layer 1 is missing, or does not say its 'type'"),
    "no weights": (lambda file: file["layer/1"].pop("weight"), "layer 1 (dense) lacks its field 'weight'"),
    "no decay": (lambda file: file["layer/1/neuron"].pop("vDecay"), "layer 1 (neuron CUBA) lacks its field 'vDecay'"),
    "an endless type": (
        lambda file: [file["layer/1"].pop("type"), file["layer/1"].create_dataset("type", data="a\n" * 5000)],
        "layer 1 (" + "a\\n" * 40 + "...) is of a type that lava-dl 0.6.0 does not write",
    ),
    "a neuron that is a dataset": (
        lambda file: [file["layer/1"].pop("neuron"), file["layer/1"].create_dataset("neuron", data=1)],
        "layer 1 (dense) holds a dataset 'neuron' where a group belongs",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_netx_file_is_refused(name: str, tmp_path: Path) -> None:
    change, sentence = FILES[name]
    path = write(tmp_path / "a.net", [given_shape(12), dense(5, 12)])
    with h5py.File(path, "r+") as file:
        change(file)
    assert sentence in refusal(path)


def test_steps_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", [given_shape(12), dense(5, 12)], steps=64)
    assert "(it was trained on 64): give --steps" in refusal(path, steps=None)


def test_inputs_are_not_scaled(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", [given_shape(12), dense(5, 12)])
    assert "its inputs are whole numbers: scale the images yourself instead (--input-scale)" in refusal(
        path, input_scale=1 / 255
    )


def test_a_network_has_only_so_many_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.net", [given_shape(12), dense(5, 12)])
    monkeypatch.setattr(netx_file, "MOST_LAYERS", 1)
    assert "it is no netx file" in refusal(path)


def test_damaged_data_are_no_traceback(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", [given_shape(12), dense(5, 12)])
    with h5py.File(path, "r+") as file:
        weight = file["layer/1/weight"][()]
        del file["layer/1/weight"]
        stored = file["layer/1"].create_dataset("weight", data=weight, compression="gzip")
        file.flush()
        chunk = stored.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    assert "damaged" in refusal(path)
