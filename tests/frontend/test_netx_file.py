"""What `read_netx` makes of a file computes what Loihi's arithmetic makes of it, spike by spike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn2chip import graph_io, interpreter, spec
from snn2chip.errors import GraphError
from snn2chip.frontend.netx_file import read_netx
from snn2chip.frontend.netx_layers import NO_THRESHOLD
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Array, Graph
from snn2chip.ops import LIF, Conv2d, Input, LeakyIntegrator, Linear
from tests.frontend.netx_spec import Layer, Loihi, write

STEPS = 7
MAP = (2, 6, 5)


def neuron(threshold: int = 20, current: Any = 4096, potential: Any = 2048, **changes: Any) -> Layer:
    fields = {"type": "CUBA", "iDecay": current, "vDecay": potential, "vThMant": threshold, "refDelay": 1}
    return {**fields, "gradedSpike": False, **changes}


def even(*shape: int, seed: int = 0, largest: int = 12) -> Array:
    """Even weights, as lava-dl writes them, float32."""
    return (2 * np.random.default_rng(seed).integers(-largest, largest + 1, shape)).astype(np.float32)


def given_shape(*shape: int, **neurons: Any) -> Layer:
    return {"type": "input", "shape": np.array(shape), **neurons}


def conv(outputs: int, inputs: int, shape: tuple[int, ...], **changes: Any) -> Layer:
    fields: Layer = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1, "kernelSize": [3, 3]}
    fields |= {"inChannels": inputs, "outChannels": outputs, "neuron": neuron(), **changes}
    weight = even(outputs, inputs // fields["groups"], *fields["kernelSize"])
    return {"type": "conv", "shape": np.array(shape), "weight": weight, **fields}


def dense(outputs: int, inputs: int, seed: int = 1, **changes: Any) -> Layer:
    fields = {"inFeatures": inputs, "outFeatures": outputs, "weight": even(outputs, inputs, seed=seed)}
    return {"type": "dense", "shape": np.array([outputs, 1, 1]), **fields, "neuron": neuron(), **changes}


def flatten(features: int) -> Layer:
    return {"type": "flatten", "shape": np.array([1, 1, features])}


def without_neuron(layer: Layer) -> Layer:
    return {name: value for name, value in layer.items() if name != "neuron"}


CONVOLUTIONAL = [
    given_shape(*MAP),
    conv(4, 2, (4, 6, 5), bias=even(4, seed=3)),
    conv(6, 4, (6, 3, 5), stride=[2, 1], groups=2, neuron=neuron(30, current=2048)),
    flatten(90),
    dense(8, 90, neuron=neuron(25, potential=0)),
    dense(3, 8, neuron=neuron(15)),
]
NETWORKS: dict[str, list[Layer]] = {
    "convolutions": CONVOLUTIONAL,
    "time as a fifth axis": [given_shape(*MAP), {**conv(4, 2, (4, 6, 5)), "weight": even(4, 2, 3, 3, 1)}],
    "dilation": [given_shape(*MAP), conv(4, 2, (4, 2, 5), dilation=[2, 1], padding=[0, 1])],
    "pool": [
        given_shape(*MAP),
        {
            "type": "pool",
            "shape": np.array([2, 3, 2]),
            "weight": np.full((1, 1, 2, 2, 1), 14, np.float32),
            "kernelSize": [2, 2],
            "stride": [2, 2],
            "padding": [0, 0],
            "dilation": [1, 1],
            "neuron": neuron(30),
        },
    ],
    "average": [given_shape(12), dense(12, 12), {"type": "average", "shape": np.array([4, 1, 1])}],
    "potentials of a layer without a neuron": [given_shape(12), dense(9, 12), without_neuron(dense(3, 9, seed=2))],
    "potentials that no threshold reaches": [
        given_shape(12),
        dense(9, 12),
        dense(3, 9, neuron=neuron(NO_THRESHOLD, 4096, 0)),
    ],
    "neurons at the input": [given_shape(*MAP, neuron=neuron(3), weight=[36.0], bias=[34.0]), conv(4, 2, (4, 6, 5))],
    "decays per channel": [given_shape(12), dense(4, 12, neuron=neuron(9, np.full(4, 4096), [4096, 2048, 0, 2048]))],
    "currents that never fade": [given_shape(12), dense(5, 12, neuron=neuron(60, current=0, potential=4096))],
    "a bias that fires alone": [given_shape(12), dense(5, 12, bias=np.array([40, 2, 0, -6, 22], np.float32))],
    "weights in a row": [given_shape(12), {**dense(5, 12), "weight": even(5, 12).reshape(-1)}],
    "no input layer": [dense(5, 12)],
}


def read(path: Path, **changes: Any) -> Graph:
    return read_netx(path, ImportOptions(**{"steps": STEPS, "largest": 3, **changes}))


def frames(graph: Graph, seed: int = 0, largest: int = 3) -> Array:
    op = graph.input.op
    assert isinstance(op, Input)
    drawn = np.random.default_rng(seed).integers(0, largest + 1, (2, graph.steps, *op.shape))
    return drawn.astype(np.uint8)


def assert_follows(path: Path, graph: Graph, inputs: Array) -> Array:
    """Spikes of every layer, and the output in weights, equal Loihi's; returns the output."""
    recorder = interpreter.Recorder()
    outputs = interpreter.run(graph, inputs, [recorder])
    assert graph.output.unit is not None
    for sample, images in enumerate(inputs):
        loihi = Loihi(path)
        expected = loihi.run(images).reshape(len(images), -1)
        np.testing.assert_array_equal(outputs[sample] * graph.output.unit, expected)
        for index, spikes in loihi.spikes.items():
            np.testing.assert_array_equal(recorder.tensors[f"layer{index}"][sample], np.stack(spikes))
    return outputs


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_fires_as_on_loihi(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", NETWORKS[name])
    graph = read(path)
    spec.check_integer(graph)
    assert len(np.unique(assert_follows(path, graph, frames(graph)))) > 1


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_decay_and_threshold_is_followed(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Small weights, so that potentials meet their thresholds, and negative ones, which decay towards zero."""

    def drawn(inputs: int, outputs: int, seed: int) -> Layer:
        decays = st.lists(st.integers(0, 4096), min_size=outputs, max_size=outputs)
        fields = neuron(data.draw(st.integers(0, 12)), data.draw(decays | st.just(4096)), data.draw(decays))
        weight, bias = even(outputs, inputs, seed=seed, largest=4), even(outputs, seed=seed, largest=1)
        return dense(outputs, inputs, weight=weight, bias=bias, neuron=fields)

    layers = [given_shape(8), drawn(8, 12, 1), drawn(12, 6, 2), drawn(6, 3, 3)]
    path = write(tmp_path_factory.mktemp("netx") / "a.net", layers)
    graph = read(path, steps=12)
    assert_follows(path, graph, frames(graph, seed=data.draw(st.integers(0, 99))))


def test_decays_round_toward_zero(tmp_path: Path) -> None:
    """A weight of -1, once: -64 parts, then ceil(-64 * 3/4) and so on; a floor would end at -1 and stay there."""
    last = dense(1, 1, weight=[[-1]], neuron=neuron(NO_THRESHOLD, potential=1024))
    graph = read(write(tmp_path / "a.net", [given_shape(1), last]), steps=16)
    once = np.zeros((1, 16, 1), np.uint8)
    once[0, 0] = 1
    parts = interpreter.run(graph, once)[0, :, 0].tolist()
    assert parts == [-64, -48, -36, -27, -20, -15, -11, -8, -6, -4, -3, -2, -1, 0, 0, 0]
    assert graph.output.unit == 1 / 64


@pytest.mark.parametrize("kind", ["LOIHI", "CUBA"])
def test_both_names_of_the_neuron_mean_the_same(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", [given_shape(12), dense(5, 12, neuron=neuron(type=kind))])
    assert_follows(path, read(path), frames(read(path)))


def test_a_potential_on_the_threshold_does_not_fire(tmp_path: Path) -> None:
    """One weight of 20: v = 20, 30, 35, ... meets a threshold of 20 at the first step, and passes it at the second."""
    row = dense(1, 1, weight=[[20]], neuron=neuron(20))
    path = write(tmp_path / "a.net", [given_shape(1), row])
    ones = np.ones((1, STEPS, 1), np.uint8)
    assert assert_follows(path, read(path), ones)[0, :, 0].tolist() == [0, 1, 0, 1, 0, 1, 0]


def test_the_numbers_of_the_file_are_kept(tmp_path: Path) -> None:
    graph = read(write(tmp_path / "a.net", CONVOLUTIONAL))
    synapses, cells = graph["layer1.synapses"].op, graph["layer1"].op
    assert isinstance(synapses, Conv2d)
    assert isinstance(cells, LIF)
    np.testing.assert_array_equal(synapses.weight, CONVOLUTIONAL[1]["weight"])
    np.testing.assert_array_equal(cells.drive, CONVOLUTIONAL[1]["bias"] * 64)
    assert (cells.theta == 20 * 64 + 1).all()
    assert (cells.decay == 2048).all()
    assert (cells.fraction_bits, cells.toward_zero, cells.reset) == (6, True, "zero")
    assert [node.name for node in graph.of_kind(LeakyIntegrator)] == ["layer2.current"]
    units = {name: graph[name].unit for name in ("input", "layer1.synapses", "layer1", "layer2.current", "output")}
    assert units == {"input": 1, "layer1.synapses": 1, "layer1": 1, "layer2.current": 1 / 64, "output": 1}


@pytest.mark.parametrize("where", ["hidden", "last"])
def test_weights_beyond_seven_bits_are_kept_as_halves(where: str, tmp_path: Path) -> None:
    wide = dense(6, 12, weight=even(6, 12, largest=127), neuron=neuron(300))
    layers = [given_shape(12), wide, dense(3, 6)] if where == "hidden" else [given_shape(12), without_neuron(wide)]
    path = write(tmp_path / "a.net", layers)
    graph = read(path)
    synapses = graph["layer1.synapses"]
    assert isinstance(synapses.op, Linear)
    np.testing.assert_array_equal(synapses.op.weight.astype(int) * 2, wide["weight"])
    assert synapses.unit == 2
    assert_follows(path, graph, frames(graph))


def test_odd_weights_of_seven_bits_are_kept(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).integers(-127, 128, (6, 12))
    path = write(tmp_path / "a.net", [given_shape(12), dense(6, 12, weight=weight, neuron=neuron(200))])
    assert_follows(path, read(path), frames(read(path)))


def test_what_may_leave_24_bits_is_an_error(tmp_path: Path) -> None:
    last = dense(1, 64, weight=np.full((1, 64), -254), neuron=neuron(potential=0))
    path = write(tmp_path / "a.net", [given_shape(64), last])
    read(path, largest=1, steps=8)
    with pytest.raises(GraphError, match=r"node 'layer1': its membrane may reach .* beyond 24 bits"):
        read(path, largest=1, steps=9)


def test_what_was_read_goes_through_every_form(tmp_path: Path) -> None:
    """The graph is an integer graph as any other: written as a document and read back, it is the same."""
    graph = read(write(tmp_path / "a.net", CONVOLUTIONAL))
    document, tensors = graph_io.to_document(graph)
    assert graph_io.from_document(document, tensors).digest == graph.digest
