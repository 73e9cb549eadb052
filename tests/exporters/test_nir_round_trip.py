"""Artifact to NIR and back: the same graph to the last bit, and no file is believed that was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from snn2chip import api, artifact, frontend
from snn2chip.errors import GraphError, UserError
from snn2chip.exporters import exporter
from snn2chip.exporters.nir_form import NirExporter, document
from snn2chip.exporters.nir_form.profiles import PROFILES
from snn2chip.frontend import ImportOptions, nir_fold
from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models.chip import load_chip
from snn2chip.ops import Add, Concat, Conv2d, LeakyIntegrator, MaxPool2d, SpikingNeuron
from tests.exporters import ecosystem
from tests.exporters.nir_networks import NETWORKS, conv_skip

IN_ONE_STEP: dict[str, Callable[[], Graph]] = {
    **NETWORKS,
    **{
        name: lambda make=ecosystem.NETWORKS[name]: make(1)  # type: ignore[misc]
        for name in ("leaky_levels", "held_up", "fine_grained", "largest_currents", "small_maxima", "concatenations")
    },
}


def written(graph: Graph, profile: str | None, folder: Path) -> Path:
    form = NirExporter(profile)
    form.write(graph, folder)
    return folder / form.files[0]


def with_units(graph: Graph) -> Graph:
    """Numbers that no short decimal fraction is."""
    rng = np.random.default_rng(0)
    units = (frozen(rng.random(len(graph.signals[node.name].interval.low)) / 3) for node in graph.nodes)
    return Graph(
        tuple(Node(n.name, n.op, n.inputs, unit) for n, unit in zip(graph.nodes, units, strict=True)), graph.steps
    )


def assert_the_same(found: Graph, graph: Graph) -> None:
    assert found.digest == graph.digest
    for ours, theirs in zip(graph.nodes, found.nodes, strict=True):
        np.testing.assert_array_equal(ours.unit, theirs.unit)


@pytest.mark.parametrize("name", IN_ONE_STEP)
def test_every_construct_comes_back(name: str, tmp_path: Path) -> None:
    graph = with_units(IN_ONE_STEP[name]())
    loaded = frontend.load(written(graph, None, tmp_path))
    assert loaded.integer
    assert_the_same(loaded.graph, graph)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_comes_back(profile: str, tmp_path: Path) -> None:
    """Into an artifact of the same digest."""
    graph = with_units(Graph(NETWORKS["pools"]().nodes, 3 if profile in ("composed", "unrolled") else 1))
    compiled = api.compile_file(written(graph, profile, tmp_path))
    assert_the_same(compiled.graph, graph)
    api.write(compiled, load_chip("loihi2"), tmp_path / "again", forms=("nir",))
    assert artifact.read(tmp_path / "again").graph.digest == graph.digest


def test_a_file_that_another_program_saved_again_comes_back(tmp_path: Path) -> None:
    graph = Graph(conv_skip().nodes, 3)
    path = written(graph, "composed", tmp_path)
    again = tmp_path / "again.nir"
    nir.write(again, nir.read(path), compression="lzf")
    with pytest.raises(UserError, match="filters"):
        api.compile_file(again)
    nir.write(again, nir.read(path))
    assert api.compile_file(again).graph.digest == graph.digest


def test_options_are_refused_for_what_the_file_says_itself(tmp_path: Path) -> None:
    path = written(conv_skip(), None, tmp_path)
    for option in (ImportOptions(steps=1), ImportOptions(largest=16), ImportOptions(dt=1.0)):
        with pytest.raises(UserError, match="is not for this file"):
            frontend.load(path, option)
    with pytest.raises(UserError, match="quantized already"):
        api.compile_file(path, bits=4)


def test_forms_are_those_of_the_exporter() -> None:
    forms = {profile: exporter(form).name for profile, form in nir_fold.FORMS.items()}
    assert forms == {name: "nir" if name == "portable" else f"nir-{name}" for name in PROFILES}


def facts(node: h5py.Group) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(node["metadata/snn2chip"][()]) if "metadata" in node else {}
    return found


def change(path: Path, kind: str, field: str, to: float = 3.0) -> str:
    """Add to the first number of the first node of `kind` that has metadata; returns the name of the node."""
    with h5py.File(path, "r+") as file:
        for name, node in file["node/nodes"].items():
            if node["type"][()].decode() == kind and facts(node):
                values = node[field][()]
                values.flat[0] += to
                node[field][...] = values
                return str(name)
    raise LookupError(kind)


CHANGES = {
    "portable": [("Conv2d", "weight"), ("Conv2d", "bias"), ("IF", "v_threshold"), ("IF", "r"), ("Conv2d", "stride")],
    "compact": [("Conv2d", "weight"), ("IF", "v_threshold"), ("IF", "v_reset")],
    "snntorch": [("Conv2d", "bias"), ("LIF", "tau"), ("LIF", "v_leak")],
    "composed": [("Conv2d", "weight"), ("I", "r"), ("Threshold", "threshold"), ("Scale", "scale")],
    "unrolled": [("Conv2d", "weight"), ("IF", "v_threshold")],
}


@pytest.mark.parametrize(("profile", "kind", "field"), [(p, *one) for p, found in CHANGES.items() for one in found])
def test_a_changed_number_is_noticed(profile: str, kind: str, field: str, tmp_path: Path) -> None:
    path = written(Graph(conv_skip().nodes, 2 if profile in ("composed", "unrolled") else 1), profile, tmp_path)
    change(path, kind, field)
    with pytest.raises(GraphError, match=r"its note 'snn2chip' .* export the network anew") as caught:
        api.compile_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("lost", ["edge", "node", "another node"])
def test_changed_wiring_is_noticed(profile: str, lost: str, tmp_path: Path) -> None:
    path = written(Graph(conv_skip().nodes, 2 if profile in ("composed", "unrolled") else 1), profile, tmp_path)
    with h5py.File(path, "r+") as file:
        if lost == "edge":
            edges = file["node/edges"][()][:-1]
            del file["node/edges"]
            file["node/edges"] = edges
        elif lost == "node":
            kind = {"composed": b"Threshold", "snntorch": b"LIF"}.get(profile, b"IF")
            names = [name for name, node in file["node/nodes"].items() if node["type"][()] == kind]
            del file[f"node/nodes/{names[-1]}"]
        else:
            file.copy("node/nodes/output", "node/nodes/output2")
    with pytest.raises(GraphError, match=r"its note 'snn2chip' .*(other edges|is missing|'output2' is none of)"):
        api.compile_file(path)


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the note of the graph."""
    with h5py.File(path, "r+") as file:
        note = facts(file["node"])
        change(note)
        del file["node/metadata/snn2chip"]
        file["node/metadata/snn2chip"] = json.dumps(note)


def test_a_changed_note_is_noticed(tmp_path: Path) -> None:
    """A threshold that no node has, with the digest that belongs to it: the nodes are not what the exporter writes."""
    graph = conv_skip()
    path = written(graph, None, tmp_path)

    def raised(note: dict[str, Any]) -> None:
        name = graph.of_kind(SpikingNeuron)[1].name
        op = graph[name].op
        assert isinstance(op, SpikingNeuron)
        theta = frozen(op.theta + 1)
        nodes = (Node(n.name, type(op)(theta, op.levels), n.inputs) if n.name == name else n for n in graph.nodes)  # type: ignore[call-arg]
        note["graph"]["tensors"][f"{name}/theta"] = theta.tolist()
        note["graph"]["digest"] = Graph(tuple(nodes), 1).digest

    rewrite(path, raised)
    with pytest.raises(GraphError, match=r"does not describe its nodes \(node 'n\d+_multilevelif4_levels' has another"):
        api.compile_file(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: note["graph"].update(digest="0" * 64),
        lambda note: note["graph"].update(nodes=[]),
        lambda note: note["graph"].update(nodes="x"),
        lambda note: note["graph"].update(tensors={"x/theta": [1e99]}),
        lambda note: note["graph"].update(tensors=[[1, 2], [3]]),
        lambda note: note["graph"].update(synapses={"conv2d1": {}}),
        lambda note: note["graph"].pop("synapses"),
        lambda note: note["graph"]["synapses"]["conv2d1"].update(shape=[2**40, 1, 2**40, 1]),
        lambda note: note["graph"]["synapses"]["conv2d1"].update(shape=["a"]),
        lambda note: note["graph"]["synapses"].update(missing={"shape": [1, 1], "bias": False}),
        lambda note: note["graph"]["nodes"][1]["attributes"].update(groups=2**40),
        lambda note: note["graph"]["nodes"][1]["attributes"].update(groups=0),
        lambda note: note["graph"]["nodes"][1]["attributes"].update(dilation=[0, 0]),
        lambda note: note["graph"]["nodes"][1]["attributes"].update(padding=None),
        lambda note: note["graph"]["nodes"][1].update(op="Delay"),
        lambda note: note["graph"].update(steps=2**60),
        lambda note: note["graph"].update(format="snn2chip-graph-9"),
    ],
)
def test_a_spoilt_note_is_an_error_and_not_a_crash(spoil: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    path = written(conv_skip(), None, tmp_path)
    rewrite(path, spoil)
    with pytest.raises(GraphError, match="its note 'snn2chip' and its nodes do not fit") as caught:
        frontend.load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("note", "lacks"),
    [
        ({}, "names no profile"),
        ({"steps": 1, "profile": "other", "graph": {}}, "names no profile"),
        ({"steps": 1, "profile": ["portable"], "graph": {}}, "names no profile"),
        ({"steps": 1, "profile": "portable"}, "lacks the part 'graph'"),
        ({"steps": 1, "profile": "portable", "graph": []}, "lacks the part 'graph'"),
    ],
)
def test_an_incomplete_note_is_no_foreign_file(note: dict[str, Any], lacks: str, tmp_path: Path) -> None:
    path = written(conv_skip(), None, tmp_path)

    def replaced(found: dict[str, Any]) -> None:
        found.clear()
        found.update(note)

    rewrite(path, replaced)
    with pytest.raises(GraphError, match=f"its note 'snn2chip' {lacks}.*: export the network anew") as caught:
        frontend.load(path, ImportOptions(largest=16))
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", 7.0, b"\xff\xfe"])
@pytest.mark.parametrize("kind", [None, "Conv2d"])
def test_an_unreadable_note_is_no_foreign_file(kind: str | None, text: Any, tmp_path: Path) -> None:
    """Of the graph, or of a node whose weights it needs."""
    path = written(conv_skip(), None, tmp_path)
    with h5py.File(path, "r+") as file:
        group = file["node"]
        if kind is not None:
            group = next(node for node in file["node/nodes"].values() if node["type"][()].decode() == kind)
        place = str(group.name)
        del group["metadata/snn2chip"]
        group["metadata/snn2chip"] = text
    with pytest.raises(GraphError, match=r"the note 'snn2chip' of .* is damaged.*: export the network anew") as caught:
        frontend.load(path, ImportOptions(largest=16))
    assert str(caught.value).startswith(f"{path}: the note 'snn2chip' of {place!r} ")


def test_without_its_note_the_nodes_speak(tmp_path: Path) -> None:
    path = written(conv_skip(), None, tmp_path)
    with h5py.File(path, "r+") as file:
        del file["node/metadata/snn2chip"]
    assert not frontend.load(path, ImportOptions(largest=16, steps=1)).integer


def test_damaged_data_of_a_node_are_an_error_that_names_it(tmp_path: Path) -> None:
    """In a field that only the comparison with the exporter reads."""
    path = written(conv_skip(), None, tmp_path)
    with h5py.File(path, "r") as file:
        names = [name for name, node in file["node/nodes"].items() if node["type"][()] == b"IF"]
        chunk = file[f"node/nodes/{names[0]}/v_threshold"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + chunk.size - 1] ^= 1  # the checksum at the end of the gzip stream
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=f"node '{names[0]}' cannot be read: .* damaged .*: export the network"
    ) as caught:
        api.compile_file(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("place", ["a node", "a field"])
def test_names_that_are_no_text_are_an_error(place: str, tmp_path: Path) -> None:
    """h5py gives them as bytes, beside names that are strings."""
    path = written(conv_skip(), None, tmp_path)
    with h5py.File(path, "r+") as file:
        nodes = file["node/nodes"]
        name = sorted(nodes)[1]
        if place == "a node":
            file.copy(nodes[name], nodes, b"\xff")
        else:
            nodes[name].create_dataset(b"\xff", data=1)
    expected = r"node b'.xff' is none of" if place == "a node" else rf"node '{name}' has another b'.xff'"
    with pytest.raises(GraphError, match=expected) as caught:
        api.compile_file(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("edges", [[1, 2], [[1, 2]], [b"input"]])
def test_edges_that_are_no_pairs_of_names_are_an_error(edges: list[Any], tmp_path: Path) -> None:
    path = written(conv_skip(), None, tmp_path)
    with h5py.File(path, "r+") as file:
        del file["node/edges"]
        file["node/edges"] = edges
    with pytest.raises(GraphError, match="it has other edges"):
        api.compile_file(path)


def test_a_dataset_in_place_of_a_node_is_an_error(tmp_path: Path) -> None:
    path = written(conv_skip(), None, tmp_path)
    with h5py.File(path, "r+") as file:
        del file["node/nodes/output"]
        file["node/nodes/output"] = 1
    with pytest.raises(GraphError, match="node 'output' is a dataset where a group belongs"):
        api.compile_file(path)


def test_what_is_lost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note that would be too long for the graph leaves it out, and the export says so."""
    notes = NirExporter().write(conv_skip(), tmp_path)
    assert notes["lost"] == ["class names, preprocessing, training facts and samples, which stay in the artifact"]
    monkeypatch.setattr(document, "MOST_CHARACTERS", 1000)
    notes = NirExporter().write(conv_skip(), tmp_path)
    assert "the graph itself" in notes["lost"][1]
    assert not frontend.load(tmp_path / "model.nir", ImportOptions(largest=16)).integer


def test_weights_are_not_written_twice(tmp_path: Path) -> None:
    """The note holds none of a convolution's, nor of a linear layer's that is not behind a pool."""
    graph = NETWORKS["flattened_neuron"]()
    with h5py.File(written(graph, None, tmp_path), "r") as file:
        note = facts(file["node"])["graph"]
    assert set(note["synapses"]) == {node.name for node in graph.nodes if hasattr(node.op, "weight")}
    assert not [key for key in note["tensors"] if key.endswith(("weight", "bias"))]


def test_every_operation_was_among_them() -> None:
    """What is special to fold: groups, squared kernels, maxima of currents, sums, parts, integrators."""
    ops = [node.op for make in IN_ONE_STEP.values() for node in make().nodes]
    assert {Add, Concat, LeakyIntegrator, MaxPool2d} <= {type(op) for op in ops}
    convolutions = [op for op in ops if isinstance(op, Conv2d)]
    assert any(op.groups > 1 for op in convolutions)
    assert any(op.weight.shape[2] != op.weight.shape[3] and op.padding != (0, 0) for op in convolutions)
