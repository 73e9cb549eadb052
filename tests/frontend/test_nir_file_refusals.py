"""What NIR files hold and this project does not: one sentence each, naming the file, the node and the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from snn2chip import frontend
from snn2chip.errors import GraphError, UserError
from snn2chip.frontend import nir_document
from snn2chip.frontend.nir_file import read_nir
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Array
from tests.frontend.test_nir_file import DT, FLAT, MAP, STEPS, chain, conv, cuba, full, integrate_and_fire, lif, written

OPTIONS = ImportOptions(steps=STEPS, dt=DT)


def refusal(path: Path, options: ImportOptions = OPTIONS) -> str:
    with pytest.raises(UserError) as caught:
        read_nir(path, options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message) < len(str(path)) + 300
    assert message.isprintable()
    return message


def varying(shape: tuple[int, ...]) -> Array:
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


NODES: dict[str, tuple[tuple[int, ...], Any, str]] = {
    "Conv1d": (
        FLAT,
        nir.Conv1d(4, np.ones((1, 1, 1), np.float32), 1, 0, 1, 1, np.zeros(1, np.float32)),
        "'n0' (Conv1d) convolves in one dimension, which is not supported",
    ),
    "Delay": (FLAT, nir.Delay(full(FLAT, 1)), "'n0' (Delay) delays its input, which is not supported"),
    "a threshold inside a channel": (
        MAP,
        nir.IF(full(MAP, 1), varying(MAP), full(MAP, 0)),
        "'n0' (IF) has a v_threshold that differs between the neurons of one channel",
    ),
    "a scale inside a channel": (MAP, nir.Scale(varying(MAP)), "'n0' (Scale) has a scale that differs between"),
    "a shape of parameters": (
        MAP,
        integrate_and_fire((3, 4, 4)),
        "has r of shape (3, 4, 4) on an input of shape (2, 4, 4)",
    ),
    "an ambiguous resistance": (
        FLAT,
        nir.IF(full(FLAT, 3), full(FLAT, 1), full(FLAT, 0)),
        "has r = 3, which tools read in two ways",
    ),
    "a negative resistance": (FLAT, lif(FLAT, r=-1.0), "has r = -1, but only positive values are supported"),
    "a negative input weight": (FLAT, cuba(FLAT, w_in=-0.5), "has w_in = -0.5, but only positive values"),
    "a reset above the threshold": (
        FLAT,
        lif(FLAT, v_reset=2.0),
        "has a v_threshold that is not above its v_reset: it would fire at every step",
    ),
    "a short time constant": (FLAT, lif(FLAT, tau=DT / 2), "shorter than a step of 0.000976562 s: give a smaller dt"),
    "an integrator's rest": (
        FLAT,
        nir.LI(tau=full(FLAT, 1), r=full(FLAT, 1), v_leak=full(FLAT, 1)),
        "leaks to a v_leak other than 0",
    ),
    "numbers": (FLAT, lif(FLAT, tau=np.nan), "holds NaN or infinite numbers in its field 'tau'"),
    "a partial flattening": (MAP, nir.Flatten(np.array(MAP), 0, 1), "flattens dimensions 0..1 of 3"),
    "same with a stride": (MAP, conv(2, 2, padding="same", stride=(2, 2)), "'same' needs stride 1, else give numbers"),
    "same that cannot be halved": (
        MAP,
        conv(2, 2, (2, 2), padding="same", dilation=(3, 3)),
        "has padding 'same' that cannot be halved: use kernels with odd sides",
    ),
    "another map": (
        MAP,
        nir.Conv2d((5, 5), np.ones((1, 2, 1, 1), np.float32), 1, 0, 1, 1, np.zeros(1, np.float32)),
        "says that its input is a map of (5, 5), but one of (4, 4) arrives",
    ),
    "an affine map of maps": (
        MAP,
        nir.Affine(np.ones((2, 4, 4), np.float32), np.zeros((2, 4), np.float32)),
        "'n0' (Affine) has a bias of shape (2, 4): only [outputs] is supported",
    ),
    "a kernel that does not fit": (MAP, conv(2, 2, (5, 5), padding=0), "'n0': a kernel of (5, 5) does not fit"),
    "channels that do not fit": (MAP, conv(2, 3), "'n0': weight (2, 3, 3, 3) with groups=1 does not fit"),
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_that_is_not_supported_is_named(name: str, tmp_path: Path) -> None:
    shape, node, sentence = NODES[name]
    assert sentence in refusal(written(chain(shape, node), tmp_path))


def graph(*edges: tuple[str, str], **nodes: Any) -> Any:
    ends = {"input": nir.Input(np.array(FLAT)), "output": nir.Output(np.array(FLAT))}
    return nir.NIRGraph({**ends, **nodes}, list(edges), type_check=False)


def inner(*edges: tuple[str, str]) -> Any:
    return graph(*edges, a=lif(FLAT))


GRAPHS: dict[str, tuple[Any, str]] = {
    "a cycle": (
        graph(("input", "a"), ("a", "b"), ("b", "a"), ("b", "output"), a=lif(FLAT), b=nir.Scale(full(FLAT, 2))),
        "feeds back into itself: recurrent networks are not supported",
    ),
    "a loop of one": (graph(("input", "a"), ("a", "a"), ("a", "output"), a=lif(FLAT)), "node 'a' feeds back into"),
    "a cycle inside": (
        graph(("input", "in"), ("in", "output"), **{"in": inner(("input", "a"), ("a", "a"), ("a", "output"))}),
        "node 'in.a' feeds back into itself",
    ),
    "a loose end": (
        graph(("input", "a"), ("input", "b"), ("a", "output"), a=lif(FLAT), b=lif(FLAT)),
        "node 'b' (LIF) leads nowhere: join it to the Output",
    ),
    "a loose start": (
        graph(("input", "a"), ("a", "output"), ("b", "output"), a=lif(FLAT), b=lif(FLAT)),
        "node 'b' (LIF) is fed by no node: join it",
    ),
    "a loose output": (graph(("input", "a"), a=lif(FLAT)), "node 'a' (LIF) leads nowhere"),
    "an edge out of the output": (
        graph(("input", "output"), ("output", "a"), ("a", "output"), a=lif(FLAT)),
        "node 'output' (Output) feeds another node",
    ),
    "an edge into the input": (
        graph(("input", "a"), ("a", "output"), ("a", "input"), a=lif(FLAT)),
        "node 'input' (Input) takes its input from another node",
    ),
    "an edge to nowhere": (
        graph(("input", "a"), ("a", "b"), ("a", "output"), a=lif(FLAT)),
        "the graph joins 'a' to 'b', but has no node 'b'",
    ),
    "an edge into the inside": (
        graph(("input", "in.a"), ("in", "output"), **{"in": inner(("input", "a"), ("a", "output"))}),
        "the graph joins 'input' to 'in.a', but has no node 'in.a'",
    ),
    "a double edge": (
        graph(("input", "a"), ("a", "output"), ("a", "output"), a=lif(FLAT)),
        "an edge joins 'a' to 'output' twice",
    ),
    "two inputs": (
        graph(("input", "output"), ("more", "output"), more=nir.Input(np.array(FLAT))),
        "the graph has 2 Input nodes: exactly one is supported",
    ),
    "two outputs": (
        graph(("input", "output"), ("input", "more"), more=nir.Output(np.array(FLAT))),
        "the graph has 2 Output nodes: exactly one is supported",
    ),
    "a nested graph without an output": (
        graph(
            ("input", "in"),
            ("in", "output"),
            **{"in": nir.NIRGraph({"input": nir.Input(np.array(FLAT))}, [], type_check=False)},
        ),
        "node 'in' (NIRGraph) has 0 Output nodes",
    ),
    "names that meet": (
        graph(
            ("input", "in"),
            ("in", "in.a"),
            ("in.a", "output"),
            **{"in": inner(("input", "a"), ("a", "output")), "in.a": lif(FLAT)},
        ),
        "two nodes are called 'in.a' once nested graphs are dissolved: rename one",
    ),
    "sums of different shapes": (
        graph(("input", "a"), ("a", "output"), ("input", "output"), a=nir.Linear(np.ones((2, 6), np.float32))),
        "node 'output.sum': it sums tensors of different shapes: [(2,), (6,)]",
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_no_network_is_refused(name: str, tmp_path: Path) -> None:
    network, sentence = GRAPHS[name]
    assert sentence in refusal(written(network, tmp_path))


def changed(folder: Path, change: Callable[[h5py.Group], Any]) -> Path:
    """A file of a Conv2d `n0` and a LIF `n1` after `change` of its group ``/node``."""
    path = written(chain(MAP, conv(2, 2), lif(MAP)), folder)
    with h5py.File(path, "r+") as file:
        change(file["node"])
    return path


def replaced(group: h5py.Group, name: str, value: Any) -> None:
    del group[name]
    group.create_dataset(name, data=value)


FILES: dict[str, tuple[Callable[[h5py.Group], Any], str]] = {
    "no nodes": (lambda node: node.pop("nodes"), "it is no NIR file: its group 'node' with the network is missing"),
    "no edges": (lambda node: node.pop("edges"), "the graph lacks its dataset 'edges'"),
    "edges of numbers": (lambda node: replaced(node, "edges", [[1, 2]]), "edges of shape (1, 2): pairs of names"),
    "edges of three": (
        lambda node: replaced(node, "edges", [["a", "b", "c"]]),
        "edges of shape (1, 3): pairs of names",
    ),
    "an unknown type": (
        lambda node: replaced(node["nodes/n1"], "type", "SoftLIF"),
        "node 'n1' (SoftLIF) is no primitive of NIR 1.0",
    ),
    "a type that is no text": (lambda node: replaced(node["nodes/n1"], "type", 3), "node 'n1' does not say what it is"),
    "no type": (lambda node: node["nodes/n1"].pop("type"), "node 'n1' does not say what it is: it lacks its 'type'"),
    "no parameter": (lambda node: node["nodes/n1"].pop("tau"), "node 'n1' (LIF) lacks its field 'tau'"),
    "an empty parameter": (
        lambda node: replaced(node["nodes/n1"], "tau", h5py.Empty("f")),
        "node 'n1' (LIF) lacks its field 'tau'",
    ),
    "a parameter of text": (
        lambda node: replaced(node["nodes/n1"], "tau", "fast"),
        "node 'n1' (LIF) holds no numbers in its field 'tau'",
    ),
    "a parameter that is infinite in 64 bits": (
        lambda node: replaced(node["nodes/n1"], "tau", np.full(2, np.longdouble("1e400"))),
        "node 'n1' (LIF) holds NaN or infinite numbers in its field 'tau'",
    ),
    "a parameter that is a group": (
        lambda node: [node["nodes/n1"].pop("tau"), node["nodes/n1"].create_group("tau")],
        "node 'n1' (LIF) holds a group 'tau' where a dataset belongs",
    ),
    "a field from the future": (
        lambda node: node["nodes/n1"].create_dataset("reset", data="soft"),
        "node 'n1' (LIF) has a field 'reset', which is not known: write the file without it",
    ),
    "a graph's field from the future": (
        lambda node: node.create_dataset("delays", data=[1]),
        "the graph has a field 'delays', which is not known",
    ),
    "a node that is a dataset": (
        lambda node: node["nodes"].create_dataset("more", data=1),
        "node 'more' is a dataset where a group belongs",
    ),
    "a shape of five axes": (
        lambda node: replaced(node["nodes/input"], "shape", [1, 2, 3, 4, 5]),
        "which is neither (features,) nor (channels, height, width): give it (--input-shape)",
    ),
    "a stride of zero": (
        lambda node: replaced(node["nodes/n0"], "stride", [0, 1]),
        "node 'n0': kernel, stride and dilation must be at least 1",
    ),
    "no groups": (lambda node: replaced(node["nodes/n0"], "groups", 0), "with groups=0 does not fit"),
    "a huge stride": (
        lambda node: replaced(node["nodes/n0"], "stride", 2**40),
        "node 'n0' (Conv2d) needs whole numbers in its field 'stride'",
    ),
    "a name of many lines": (
        lambda node: node["nodes"].move("n0", "a\nb"),
        "the name 'a\\nb' is too long or cannot be printed: rename the node",
    ),
    "an endless name": (lambda node: node["nodes"].move("n0", "a" * 5000), "is too long or cannot be printed"),
    "an endless type": (lambda node: replaced(node["nodes/n1"], "type", "a\n" * 5000), "is no primitive of NIR 1.0"),
    "a feature for every byte of the memory": (
        lambda node: replaced(node["nodes/input"], "shape", [2**25]),
        "it has 33554432 flat features: at most 16777216 are supported",
    ),
    "an endless shape": (
        lambda node: replaced(node["nodes/input"], "shape", [2**20, 2**15, 2**15]),
        "is too large: at most 268435456 values a sample",
    ),
    "a shape of fractions": (
        lambda node: replaced(node["nodes/input"], "shape", [1.5]),
        "needs whole numbers in its field 'shape'",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_nir_graph_is_refused(name: str, tmp_path: Path) -> None:
    change, sentence = FILES[name]
    assert sentence in refusal(changed(tmp_path, change))


def test_steps_are_asked_for_where_a_neuron_needs_them(tmp_path: Path) -> None:
    path = written(chain(FLAT, lif(FLAT)), tmp_path)
    assert "node 'n0' (LIF) works over time, but NIR does not say how many steps: give --steps" in refusal(
        path, ImportOptions(dt=DT)
    )


def test_a_kernel_that_would_need_more_memory_than_there_is(tmp_path: Path) -> None:
    """Padding is the file's to state, and a padded map need not fit where the map does."""
    path = written(chain(MAP, conv(2, 2, padding=(2**29, 2**29))), tmp_path)
    assert "too large" in refusal(path)


def test_graphs_lie_in_one_another_only_so_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = inner(("input", "a"), ("a", "output"))
    for _ in range(nir_document.MOST_DEPTH):
        network = graph(("input", "in"), ("in", "output"), **{"in": network})
    assert f"lies more than {nir_document.MOST_DEPTH} graphs deep" in refusal(written(network, tmp_path))
    monkeypatch.setattr(nir_document, "MOST_DEPTH", nir_document.MOST_DEPTH + 1)
    assert read_nir(tmp_path / "network.nir", OPTIONS).steps == STEPS


def test_a_graph_has_only_so_many_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(chain(FLAT, *(nir.Scale(np.ones(1, np.float32)) for _ in range(20))), tmp_path)
    read_nir(path, OPTIONS)
    monkeypatch.setattr(nir_document, "MOST_NODES", 20)
    assert "it has more than 20 nodes" in refusal(path)


def test_weights_of_nothing_are_refused(tmp_path: Path) -> None:
    """Zeros shrink to nothing in the file, and would be eight times as large in memory as they are declared."""

    def change(node: h5py.Group) -> None:
        weight = node["nodes/n0"]
        del weight["weight"]
        weight.create_dataset("weight", shape=(2**24 + 1, 2, 1, 1), dtype="i1", compression="gzip")
        weight["weight"][:2] = 1

    sentence = "holds 33554434 numbers in its field 'weight', but"
    assert sentence in refusal(changed(tmp_path, change))


def test_other_hdf5_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.nir"
    with h5py.File(path, "w") as file:
        file.create_dataset("node", data=[1, 2])
    assert "it is no NIR file" in refusal(path)
    path.write_bytes(b"neither")
    assert "not an HDF5 file" in refusal(path)


@pytest.mark.parametrize("suffix", ["nir", "net"])
def test_a_sentence_names_the_file_once(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"other.{suffix}"
    path.write_bytes(b"neither")
    with pytest.raises(UserError) as caught:
        frontend.load(path)
    assert str(caught.value).count(str(path)) == 1, caught.value


def test_damaged_data_are_no_traceback(tmp_path: Path) -> None:
    path = written(chain(MAP, conv(2, 2), lif(MAP)), tmp_path)
    with h5py.File(path, "r") as file:
        chunk = file["node/nodes/n1/tau"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_errors_of_the_graph_are_graph_errors(tmp_path: Path) -> None:
    with pytest.raises(GraphError):
        read_nir(written(inner(("input", "a")), tmp_path), OPTIONS)
