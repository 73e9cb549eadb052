"""``model.onnx`` as a file: what it says about itself, what is refused, and that a changed file does not pass."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, numpy_helper

from snn2chip import __version__, interpreter
from snn2chip.errors import BackendError, CheckFailed, UserError
from snn2chip.exporters import exporter
from snn2chip.exporters.base import Executor, Exporter
from snn2chip.exporters.onnx_form import OnnxExporter, OnnxRuntime, run_file
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.ops import Add, AvgPool2d, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d

RNG = np.random.default_rng(3)


def weights(*shape: int) -> Array:
    return frozen(RNG.integers(-127, 128, shape), np.int8)


def thresholds(value: int) -> Array:
    return frozen([value] * 3, np.int32)


NODES = (
    Node("x", Input((2, 5, 5), 16)),
    Node("c1", Conv2d(weights(3, 2, 3, 3), frozen([5, -5, 9], np.int32), padding=(1, 1)), ("x",)),
    Node("n1", MultiLevelIF(thresholds(500), 4), ("c1",)),
    Node("c2", Conv2d(weights(3, 3, 3, 3), padding=(1, 1)), ("n1",)),
    Node("n2", MultiLevelIF(thresholds(300), 4), ("c2",)),
    Node("sum", Add(), ("n1", "n2")),
    Node("barrier", MultiLevelIF(thresholds(1), 4), ("sum",)),
    Node("pool", SumPool2d((5, 5), (5, 5)), ("barrier",)),
    Node("flat", Flatten(), ("pool",)),
    Node("fc", Linear(weights(4, 3), frozen([1, 2, 3, 4], np.int32)), ("flat",)),
    Node("out", Readout(), ("fc",)),
)
IMAGES = RNG.integers(0, 17, (6, 2, 5, 5)).astype(np.uint8)


def replaced(name: str, **fields: object) -> Graph:
    """The network with fields of one operation changed."""
    nodes = [replace(node, op=replace(node.op, **fields)) if node.name == name else node for node in NODES]  # type: ignore[type-var]
    return Graph(tuple(nodes), 1)


def written(folder: Path, steps: int) -> tuple[Graph, Path]:
    graph = Graph(NODES, steps)
    OnnxExporter().write(graph, folder)
    return graph, folder / "model.onnx"


def inner_nodes(model: ModelProto) -> dict[str, NodeProto]:
    """The nodes of one time step, by name."""
    for node in model.graph.node:
        if node.op_type == "Scan":
            return {inner.name: inner for inner in onnx.helper.get_node_attr_value(node, "body").node}
    return {node.name: node for node in model.graph.node}


def change_weight(model: ModelProto) -> None:
    (weight,) = [tensor for tensor in model.graph.initializer if tensor.name == "c2/weight"]
    values = numpy_helper.to_array(weight).copy()
    values[1, 2, 1, 1] ^= 64
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def change_threshold(model: ModelProto) -> None:
    (theta,) = [tensor for tensor in model.graph.initializer if tensor.name == "n2/theta"]
    theta.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(theta) * 2, theta.name))


def change_levels(model: ModelProto) -> None:
    (levels,) = inner_nodes(model)["n2"].attribute
    levels.i = 3


def change_source(model: ModelProto) -> None:
    barrier = inner_nodes(model)["barrier"]
    barrier.input[0] = inner_nodes(model)["sum"].input[0]


def change(path: Path, edit: Callable[[ModelProto], None]) -> None:
    model = onnx.load(path)
    edit(model)
    onnx.save(model, path)


def differing(graph: Graph, path: Path) -> list[str]:
    """The nodes where the file and the interpreter differ, in graph order."""
    recorder = interpreter.Recorder()
    interpreter.run(graph, IMAGES, [recorder])
    found = OnnxRuntime().run(graph, path.parent, IMAGES)
    return [
        node.name
        for node in graph.nodes
        if node.name in found
        if (found[node.name] != recorder.tensors[node.name]).any()
    ]


@pytest.mark.parametrize("steps", [1, 3])
def test_stock_onnxruntime_runs_the_file(steps: int, tmp_path: Path) -> None:
    graph, path = written(tmp_path, steps)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"x": IMAGES})
    assert logits.dtype == np.int32
    np.testing.assert_array_equal(logits, interpreter.logits(graph, IMAGES))
    np.testing.assert_array_equal(run_file(path, IMAGES), logits)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_file_says_what_it_is(steps: int, tmp_path: Path) -> None:
    graph, path = written(tmp_path, steps)
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    described = json.loads(properties.pop("snn2chip.graph"))
    assert [entry["name"] for entry in described["nodes"]] == [node.name for node in graph.nodes]
    assert properties.pop("snn2chip.levels") == json.dumps({"n1": 4, "n2": 4, "barrier": 4})
    assert properties == {
        "snn2chip.version": __version__,
        "snn2chip.form": "onnx",
        "snn2chip.graph_digest": graph.digest,
        "snn2chip.steps": str(steps),
        "snn2chip.largest_input": "16",
    }
    assert (model.ir_version, {entry.domain: entry.version for entry in model.opset_import}) == (
        8,
        {"": 18, "ai.snn2chip": 1},
    )
    assert {node.name for node in graph.nodes[1:]} <= set(inner_nodes(model))
    assert all(function.doc_string for function in model.functions)


@pytest.mark.parametrize("steps", [1, 3])
def test_writing_twice_gives_the_same_bytes(steps: int, tmp_path: Path) -> None:
    _, path = written(tmp_path, steps)
    first = path.read_bytes()
    written(tmp_path, steps)
    assert path.read_bytes() == first


def test_notes_can_be_stored_as_json(tmp_path: Path) -> None:
    registered = exporter("onnx")
    notes = registered.write(Graph(NODES, 1), tmp_path)
    assert json.loads(json.dumps(notes)) == notes
    assert all((tmp_path / file).is_file() for file in registered.files)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    ("edit", "first"),
    [(change_weight, "n2"), (change_threshold, "n2"), (change_levels, "n2"), (change_source, "barrier")],
)
def test_a_changed_file_differs_from_the_changed_layer_on(
    edit: Callable[[ModelProto], None], first: str, steps: int, tmp_path: Path
) -> None:
    graph, path = written(tmp_path, steps)
    assert differing(graph, path) == []
    change(path, edit)
    assert differing(graph, path)[0] == first


def test_logits_that_are_not_the_sum_of_the_steps(tmp_path: Path) -> None:
    def largest_instead_of_sum(model: ModelProto) -> None:
        model.graph.node[-1].op_type = "ReduceMax"

    graph, path = written(tmp_path, 3)
    change(path, largest_instead_of_sum)
    with pytest.raises(CheckFailed, match=r"not the sum over the steps of node 'out'"):
        OnnxRuntime().run(graph, tmp_path, IMAGES)


def test_a_file_of_other_steps(tmp_path: Path) -> None:
    written(tmp_path, 3)
    with pytest.raises(CheckFailed, match=r"node 'n1' yields the shape \(6, 3, 3, 5, 5\) where"):
        OnnxRuntime().run(Graph(NODES, 2), tmp_path, IMAGES)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_file_that_lacks_a_node(steps: int, tmp_path: Path) -> None:
    def rename(model: ModelProto) -> None:
        inner_nodes(model)["n2"].name = "other"

    graph, path = written(tmp_path, steps)
    change(path, rename)
    with pytest.raises(CheckFailed, match="no node 'n2'"):
        OnnxRuntime().run(graph, tmp_path, IMAGES)


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (replaced("c2", weight=frozen(np.full((3, 3, 3, 3), -128), np.int8)), r"'c2' \(Conv2d\) has a weight of -128"),
        (replaced("c2", weight=frozen(np.ones((3, 3, 3, 3)), np.float64)), r"'c2' \(Conv2d\) has float64 weights"),
        (replaced("n1", theta=frozen([2**22] * 3, np.int32)), "'n1' saturates"),
        (Graph((*NODES[:3], Node("mean", AvgPool2d((5, 5), (5, 5)), ("n1",))), 1), r"'mean' \(AvgPool2d\) has no"),
        (
            replaced("fc", weight=np.broadcast_to(np.int8(1), (2**16, 2**15))),
            r"'fc' \(Linear\) takes the .* past the 2 GiB",
        ),
    ],
    ids=["weight -128", "float weights", "wide threshold", "float operation", "too large"],
)
def test_refusals_name_the_node(graph: Graph, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        OnnxExporter().write(graph, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (IMAGES.astype(np.int32), "dtype int32"),
        (IMAGES[:, :1], r"takes \[B, 2, 5, 5\] or \[B, T=3, 2, 5, 5\]"),
        (np.repeat(IMAGES[:, None], 2, axis=1), r"\[B, T=3, 2, 5, 5\]"),
        (IMAGES + 17, r"holds 33, but .*model.onnx takes values 0..16"),
    ],
    ids=["dtype", "shape", "steps", "largest"],
)
def test_unfit_inputs(inputs: Array, reason: str, tmp_path: Path) -> None:
    _, path = written(tmp_path, 3)
    with pytest.raises(UserError, match=reason):
        run_file(path, inputs)


def test_unfit_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        run_file(tmp_path / "model.onnx", IMAGES)
    _, path = written(tmp_path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="truncated"):
        run_file(path, IMAGES)
    model = onnx.load_from_string(whole)
    next(entry for entry in model.metadata_props if entry.key == "snn2chip.levels").value = "["
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"snn2chip\.levels is malformed"):
        run_file(path, IMAGES)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(UserError, match="not written by snn2chip"):
        run_file(path, IMAGES)


def test_what_onnxruntime_refuses_is_one_sentence(tmp_path: Path) -> None:
    def unknown_operator(model: ModelProto) -> None:
        inner_nodes(model)["c2"].op_type = "ConvImaginary"

    graph, path = written(tmp_path, 3)
    change(path, unknown_operator)
    with pytest.raises(BackendError, match=r"onnxruntime .* does not load .*ConvImaginary") as caught:
        OnnxRuntime().run(graph, tmp_path, IMAGES)
    assert "\n" not in str(caught.value)


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = written(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match="pip install onnxruntime"):
        run_file(path, IMAGES)


def test_it_is_an_exporter() -> None:
    form: Exporter = OnnxExporter()
    runtime: Executor = OnnxRuntime()
    assert (form.name, runtime.name) == ("onnx", "onnxruntime")
    assert [executor.name for executor in form.executors] == ["onnxruntime"]
