"""The ONNX files that we write are read back as the identical network; changed files and those of others are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from snn2chip import api, frontend
from snn2chip.errors import UserError
from snn2chip.exporters import FORMS, exporter
from snn2chip.graph import Graph
from tests.exporters.ecosystem import NETWORKS
from tests.exporters.test_onnx_exact import GRAPHS, sparse_residual
from tests.exporters.test_onnx_file import NODES, change, change_levels, change_source, change_threshold, change_weight

ONNX_FORMS = [name for name in FORMS if name.startswith("onnx")]
MAKERS: dict[str, Callable[[int], Graph]] = {**{make.__name__: make for make in GRAPHS}, **NETWORKS}


def written(form: str, graph: Graph, folder: Path) -> Path:
    exporter(form).write(graph, folder)
    return folder / exporter(form).files[0]


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("maker", MAKERS)
def test_the_same_digest_from_every_form(maker: str, steps: int, tmp_path: Path) -> None:
    graph = MAKERS[maker](steps)
    expressed = [form for form in ONNX_FORMS if exporter(form).refusal(graph) is None]
    assert {"onnx", "onnx-step"} <= set(expressed)
    for form in expressed:
        compiled = api.compile_file(written(form, graph, tmp_path))
        assert compiled.graph.digest == graph.digest
        assert [node.unit is None for node in compiled.graph.nodes] == [node.unit is None for node in graph.nodes]
        assert compiled.training["source"]["form"] == form
        exporter(form).write(compiled.graph, tmp_path)  # once more from what was read


@pytest.mark.parametrize("form", ONNX_FORMS)
@pytest.mark.parametrize("steps", [1, 3])
def test_any_change_is_noticed(form: str, steps: int, tmp_path: Path) -> None:
    """A byte of every initializer, and of every node an attribute, an input, its name or its type."""
    graph = sparse_residual(steps)
    if exporter(form).refusal(graph):
        return
    path = written(form, graph, tmp_path)
    whole = onnx.load(path)
    changes = [*_changes_of_constants(whole), *_changes_of_nodes(whole)]
    assert len(changes) > 30
    for edit in changes:
        onnx.save(whole, path)
        change(path, edit)
        with pytest.raises(UserError, match="model"):
            api.compile_file(path)


def _changes_of_constants(model: ModelProto) -> list[Callable[[ModelProto], None]]:
    def flip(index: int) -> Callable[[ModelProto], None]:
        def edit(changed: ModelProto) -> None:
            raw = bytearray(changed.graph.initializer[index].raw_data)
            raw[len(raw) // 2] ^= 1
            changed.graph.initializer[index].raw_data = bytes(raw)

        return edit

    return [flip(index) for index, tensor in enumerate(model.graph.initializer) if tensor.raw_data]


def _changes_of_nodes(model: ModelProto) -> list[Callable[[ModelProto], None]]:
    def change_type(index: int) -> Callable[[ModelProto], None]:
        def edit(changed: ModelProto) -> None:
            changed.graph.node[index].op_type += "X"

        return edit

    def change_name(index: int) -> Callable[[ModelProto], None]:
        def edit(changed: ModelProto) -> None:
            changed.graph.node[index].name += "X"

        return edit

    return [make(index) for index in range(len(model.graph.node)) for make in (change_type, change_name)]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (change_weight, "digest differs"),
        (change_threshold, "the constant 'n2/theta' is not what its own description"),
        (change_levels, "node 'n2' is not what"),
        (change_source, "node 'barrier' is not what"),
    ],
)
@pytest.mark.parametrize("steps", [1, 3])
def test_changes_are_named(edit: Callable[[ModelProto], None], reason: str, steps: int, tmp_path: Path) -> None:
    path = written("onnx", Graph(NODES, steps), tmp_path)
    change(path, edit)
    with pytest.raises(UserError, match=reason):
        api.compile_file(path)


def test_a_file_of_a_version_that_writes_the_same(tmp_path: Path) -> None:
    def other_version(model: ModelProto) -> None:
        model.producer_version = "99.0"
        for entry in model.metadata_props:
            if entry.key == "snn2chip.version":
                entry.value = "99.0"

    graph = Graph(NODES, 2)
    path = written("onnx", graph, tmp_path)
    change(path, other_version)
    assert api.compile_file(path).graph.digest == graph.digest


def described(edit: Callable[[dict[str, object]], object]) -> Callable[[ModelProto], None]:
    """A change of the file's description of its network."""

    def change_it(model: ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == "snn2chip.graph":
                document = json.loads(entry.value)
                edit(document)
                entry.value = json.dumps(document)

    return change_it


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda document: document.clear(), "malformed"),
        (lambda document: document.update(weights=3), "malformed"),
        (lambda document: document["weights"]["c1"].update(tensor="none"), "'c1': its weights 'none' are not in"),
        (lambda document: document["tensors"]["n1/theta"].update(dtype="object"), "'n1/theta' as object"),
        (lambda document: document["tensors"]["n1/theta"].update(values=[2**40, 1, 1]), "malformed"),
        (lambda document: document["tensors"]["n1/theta"].update(shape=[2**40]), "too large"),
        (lambda document: document.update(steps=10**9), "steps"),
        (lambda document: document["nodes"][1].update(op="Convolution"), "unknown operation"),
    ],
)
def test_malformed_descriptions(edit: Callable[[dict[str, object]], object], reason: str, tmp_path: Path) -> None:
    path = written("onnx", Graph(NODES, 1), tmp_path)
    change(path, described(edit))
    with pytest.raises(UserError, match=reason) as caught:
        frontend.load(path)
    assert str(path) in str(caught.value)


def test_weights_kept_outside_the_file_are_not_opened(tmp_path: Path) -> None:
    def move_out(model: ModelProto) -> None:
        (weight,) = [tensor for tensor in model.graph.initializer if tensor.name == "c1/weight"]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../secret")

    path = written("onnx", Graph(NODES, 1), tmp_path)
    change_bytes = onnx.load(path)
    move_out(change_bytes)
    path.write_bytes(change_bytes.SerializeToString())
    with pytest.raises(UserError, match="'c1': its weights are stored in an unknown way"):
        frontend.load(path)


def test_files_of_others_are_refused_with_what_to_give_instead(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "foreign", [x], [y])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, ir_version=8), path)
    with pytest.raises(UserError, match=r"not written by snn2chip. .*\.pt2"):
        frontend.load(path)
    path.write_bytes(b"\x08\x08garbage" + bytes(np.arange(200, dtype=np.uint8)))
    with pytest.raises(UserError, match="not an ONNX file"):
        frontend.load(path)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = written("onnx", Graph(NODES, 1), tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            api.compile_file(path)
