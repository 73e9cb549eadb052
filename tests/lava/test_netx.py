"""netx files say what the graph says: read back they compute the same, and what they cannot say is refused by name.

That lava-dl's own loader agrees is for tests/peers/test_netx_form.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn2chip import interpreter, lava_environment
from snn2chip.errors import BackendError, GraphError
from snn2chip.exporters.lava.netx.exporter import NetxExporter, arguments
from snn2chip.exporters.lava.netx.file import FILE
from snn2chip.exporters.lava.netx.scaling import LARGEST_MANTISSA, common_threshold
from snn2chip.frontend.netx_file import read_netx
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.ops import Add, Conv2d, Flatten, Input, LeakyIntegrator, Linear, MultiLevelIF, Readout, SumPool2d
from tests.lava.netx_networks import FADE, NETWORKS, cell, chain, conv, dense, images

RNG = np.random.default_rng(0)


def written(graph: Graph, folder: Path) -> Path:
    """The file of a graph, in a new folder."""
    folder.mkdir()
    NetxExporter().write(graph, folder)
    return folder / FILE


def read(path: Path, graph: Graph) -> Graph:
    assert isinstance(graph.input.op, Input)
    return read_netx(path, ImportOptions(steps=graph.steps, largest=graph.input.op.largest))


@pytest.mark.parametrize("frames", [False, True], ids=["images", "frames"])
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_read_back_it_fires_alike(make: Callable[[], Graph], frames: bool, tmp_path: Path) -> None:
    graph = make()
    found = read(written(graph, tmp_path / "a"), graph)
    x = images(graph, frames=frames)
    wanted, got = interpreter.Recorder(), interpreter.Recorder()
    np.testing.assert_array_equal(interpreter.run(found, x, [got]), interpreter.run(graph, x, [wanted]))
    neurons = [[node.name for node in one.nodes if node.kind == "LIF"] for one in (graph, found)]
    for name, counterpart in zip(*neurons, strict=True):
        np.testing.assert_array_equal(got.tensors[counterpart], wanted.tensors[name])
        assert 0 < np.count_nonzero(wanted.tensors[name]) < wanted.tensors[name].size


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_network_that_was_read_is_written_as_it_was(make: Callable[[], Graph], tmp_path: Path) -> None:
    first = written(make(), tmp_path / "a")
    graph = read(first, make())
    second = written(graph, tmp_path / "b")
    assert read(second, graph).digest == graph.digest
    assert second.read_bytes() == first.read_bytes()


def test_what_the_loader_has_to_be_told() -> None:
    made = {name: arguments(make()) for name, make in NETWORKS.items()}
    assert made["convolutional"] == {"reset_interval": 4, "reset_offset": 1, "input_message_bits": 5}
    assert made["spikes_read"] == {"reset_interval": 3, "reset_offset": 1, "input_message_bits": 0}
    assert made["neurons_at_the_input"] == {"reset_interval": 4, "reset_offset": 0, "input_message_bits": 0}


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=4))
def test_common_thresholds_are_the_smallest(channels: list[tuple[int, int]]) -> None:
    theta, most = (np.array(values) for values in zip(*channels, strict=True))

    def factor(mantissa: int, least: int, largest: int) -> int | None:
        """Some g at which ``g * v > mantissa`` exactly where ``v >= least``."""
        return next((g for g in range(1, largest + 1) if g * (least - 1) <= mantissa < g * least), None)

    wanted = next(
        (m for m in range(40 * 12) if all(factor(m, *channel) is not None for channel in channels)),
        None,
    )
    found = common_threshold(theta, most)
    assert (None if found is None else found[0]) == wanted
    if found is not None:
        mantissa, factors = found
        assert ((factors >= 1) & (factors <= most)).all()
        assert (factors * (theta - 1) <= mantissa).all()
        assert (factors * theta > mantissa).all()


def test_thresholds_have_17_bits() -> None:
    assert common_threshold(np.array([LARGEST_MANTISSA + 2]), np.array([9])) is None
    assert common_threshold(np.array([LARGEST_MANTISSA + 1]), np.array([9])) is not None


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.booleans())
def test_random_networks(tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, leaks: bool) -> None:
    """Weights of a few bits, thresholds and drives per channel, fraction bits; refused or alike."""
    rng = np.random.default_rng(seed)
    bits = int(rng.integers(0, 4))
    theta = rng.integers(1, 60, 4) << bits
    first = cell(theta, 4, 0 if leaks else 4096, bits, drive=frozen(rng.integers(-5, 6, 4), np.int32))
    graph = chain(
        steps,
        (2, 4, 5),
        conv(rng, 2, 4, 3, stride=(1, 2), padding=(1, 1)),
        first,
        Flatten(),
        dense(rng, 4 * 4 * 3, 5, 3),
        cell(rng.integers(1, 30, 5), 5),
        dense(rng, 5, 3),
        largest=int(rng.integers(1, 6)),
    )
    if reason := NetxExporter().refusal(graph):
        assert "no factors of its weights bring the channels together" in reason
        return
    found = read(written(graph, tmp_path_factory.mktemp("netx") / "a"), graph)
    x = images(graph, 6)
    np.testing.assert_array_equal(interpreter.run(found, x), interpreter.run(graph, x))


def two_dense(first: Linear, neuron: Any, last: Linear | None = None, steps: int = 3, largest: int = 16) -> Graph:
    """Two dense layers with neurons between them; the second, of one class, reads every neuron."""
    outputs = len(first.weight)
    chosen = last or Linear(frozen(np.ones((1, outputs)), np.int8))
    return chain(steps, (first.weight.shape[1],), first, neuron, chosen, largest=largest)


def skipping() -> Graph:
    nodes = (
        Node("x", Input((4,), 1)),
        Node("fc1", dense(RNG, 4, 4), ("x",)),
        Node("if1", cell(20, 4), ("fc1",)),
        Node("fc2", dense(RNG, 4, 4), ("if1",)),
        Node("if2", cell(20, 4), ("fc2",)),
        Node("sum", Add(), ("if2", "if1")),
        Node("fc3", dense(RNG, 4, 2), ("sum",)),
        Node("logits", Readout(), ("fc3",)),
    )
    return Graph(nodes, 2)


def ones(value: int, outputs: int = 2, inputs: int = 3, bias: int | None = None) -> Linear:
    weight = frozen(np.full((outputs, inputs), value), np.int8)
    return Linear(weight, None if bias is None else frozen(np.full(outputs, bias), np.int32))


def theta(*values: int) -> Array:
    return frozen(values, np.int32)


REFUSED: dict[str, tuple[Graph, str]] = {
    "levels": (two_dense(ones(1), MultiLevelIF(theta(3, 3), 4)), "node 'multilevelif1' (MultiLevelIF) sends 0..4, but"),
    "soft resets": (two_dense(ones(1), MultiLevelIF(theta(3, 3), 1)), "is not reset to zero, but netx neurons are"),
    "late resets": (two_dense(ones(1), cell(3, 2, delayed=True)), "is reset a step after its spike"),
    "floors": (two_dense(ones(1), cell(3, 2, floor=theta(0, -1))), "has a floor under its potential"),
    "leaks": (two_dense(ones(1), cell(3, 2, FADE)), "node 'lif1' (LIF) leaks otherwise than Loihi's neurons"),
    "leaks that round down": (
        two_dense(ones(1), cell(65, 2, FADE, 6, toward_zero=False)),
        "leaks otherwise than Loihi",
    ),
    "decays by channel": (
        two_dense(ones(1), replace(cell(3, 2), decay=theta(4096, 0))),
        "node 'lif1' (LIF) has different decays in its channels, but netx has one a layer",
    ),
    "thresholds": (
        two_dense(ones(127), cell([300, 500], 2)),
        "node 'lif1' (LIF) has thresholds in 300..500, but netx has one of 17 bits a layer, and no factors",
    ),
    "skips": (skipping(), "node 'if1' (LIF) is read by several layers: lava-dl's loader chains each layer to the one"),
    "pools": (
        chain(2, (1, 4, 4), SumPool2d((2, 2), (2, 2)), Flatten(), dense(RNG, 4, 2)),
        "node 'sumpool2d0' (SumPool2d) has no layer in netx, whose loader knows conv, dense and flatten",
    ),
    "weights that are zero": (
        two_dense(ones(0), cell(3, 2)),
        "has no weight but zeros, on which lava-dl's loader fails",
    ),
    "clipped weights": (
        two_dense(ones(-64, bias=300), cell(3, 2)),
        "has negative weights alone, down to -64, which lava-dl's loader clips",
    ),
    "biases": (
        two_dense(ones(9, bias=5000), cell(5000, 2)),
        "node 'linear0' (Linear) needs biases in 5000..5000, but netx biases have 13 bits with their sign",
    ),
    "biases that last": (
        chain(2, (3,), ones(1, bias=2), LeakyIntegrator(theta(4096, 4096)), cell(3, 2), ones(1, 1, 2)),
        "node 'linear0' (Linear) has a bias that lasts with its current",
    ),
    "currents beyond 24 bits": (
        two_dense(ones(127, inputs=8), cell(900, 2), largest=255),
        "node 'linear0' (Linear) may reach 16581120 parts of 1/64 of a netx weight, beyond 24 bits",
    ),
    "potentials beyond 24 bits": (
        two_dense(ones(127, inputs=4), cell(900, 2), ones(127, 1, 2), steps=600, largest=1),
        "node 'linear2' (Linear) may bring a potential to 9753600 parts of 1/64 in 600 steps, beyond 24 bits",
    ),
    "convolutions without neurons": (
        chain(1, (1, 3, 2), conv(RNG, 1, 2), Flatten()),
        "node 'conv2d0' (Conv2d) has no neurons behind it: in netx, only a last dense layer may be read without",
    ),
    "neurons behind neurons": (
        chain(1, (3,), ones(1), cell(3, 2), cell(1, 2)),
        "node 'lif2' (LIF) has no layer in netx",
    ),
}


@pytest.mark.parametrize(("graph", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_netx_cannot_say_is_refused_by_name(graph: Graph, sentence: str, tmp_path: Path) -> None:
    reason = NetxExporter().refusal(graph)
    assert reason is not None
    assert sentence in reason
    with pytest.raises(GraphError, match="node"):
        NetxExporter().write(graph, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_too_large_for_a_factor_are_not_written() -> None:
    """Read with halves, 8-bit weights have 7 fraction bits: without them, nothing is doubled."""
    graph = chain(1, (2,), Linear(frozen([[127, -127]], np.int8)), cell(64 * 9 + 1, 1, 4096, 7))
    assert NetxExporter().refusal(graph) is None
    too_fine = chain(1, (2,), Linear(frozen([[127, -127]], np.int8)), cell(64 * 9 + 1, 1, FADE, 8))
    assert "needs weights up to 508" in str(NetxExporter().refusal(too_fine))


def test_the_conv_layer_is_the_one_that_was_given(tmp_path: Path) -> None:
    graph = NETWORKS["convolutional"]()
    found = read(written(graph, tmp_path / "a"), graph)
    ours, theirs = (one.of_kind(Conv2d)[1].op for one in (graph, found))
    assert isinstance(ours, Conv2d)
    assert isinstance(theirs, Conv2d)
    assert (theirs.stride, theirs.padding, theirs.dilation, theirs.groups) == ((1, 1), (1, 1), (1, 2), 3)
    np.testing.assert_array_equal(theirs.weight, ours.weight)


def test_without_lava_dl_it_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of the user's own, in which nothing but Python is installed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv(lava_environment.PYTHON_VARIABLE, str(tmp_path / "bin" / "python"))
    graph, exporter = NETWORKS["lasting"](), NetxExporter()
    written(graph, tmp_path / "a")
    with pytest.raises(BackendError, match=r"lava-dl's loader is not in .*: run `snn2chip doctor --fix lava-dl`"):
        exporter.executors[0].run(graph, tmp_path / "a", images(graph))
