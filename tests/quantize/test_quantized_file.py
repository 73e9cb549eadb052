"""One file for an integer network: it comes back as it was, and what was tampered with is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from snn2chip import frontend, zoo
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph
from snn2chip.ops import Input
from snn2chip.quantize import quantize
from snn2chip.quantize.quantized_file import (
    FORMAT,
    QuantizedModel,
    _digest,
    read_model,
    read_quantized,
    write_quantized,
)


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    checkpoint = frontend.read(zoo.path("binary-t4"))
    graph = quantize(frontend.capture(checkpoint.model, checkpoint.input_shape, checkpoint.largest))
    return QuantizedModel(graph, ("zéro", "one"), {"dataset": "digits"}, {"bits": 8})


def test_a_model_comes_back_as_it_was(model: QuantizedModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_quantized(path, model)
    found = read_model(path)
    assert found.graph.digest == model.graph.digest == read_quantized(path).digest
    assert (found.class_names, found.metadata, found.quantization) == (
        ("zéro", "one"),
        {"dataset": "digits"},
        {"bits": 8},
    )
    for node in model.graph.nodes:
        np.testing.assert_array_equal(np.asarray(found.graph[node.name].unit), np.asarray(node.unit))


def test_the_same_model_gives_the_same_bytes(model: QuantizedModel, tmp_path: Path) -> None:
    """The library orders metadata at random; several files would not agree by chance."""
    contents = set()
    for k in range(6):
        write_quantized(tmp_path / f"{k}.safetensors", model)
        contents.add((tmp_path / f"{k}.safetensors").read_bytes())
    assert len(contents) == 1


def test_a_float_graph_is_not_written(tmp_path: Path) -> None:
    checkpoint = frontend.read(zoo.path("binary-t4"))
    graph = frontend.capture(checkpoint.model, checkpoint.input_shape, checkpoint.largest)
    with pytest.raises(GraphError, match="quantize the graph first"):
        write_quantized(tmp_path / "model.safetensors", QuantizedModel(graph))
    assert not list(tmp_path.iterdir())


Change = Callable[[dict[str, Any], dict[str, Array]], None]


def rewritten(model: QuantizedModel, path: Path, change: Change, digest: str | None = None) -> None:
    """`model` as a file, with `change` made to its description and tensors, and a digest that agrees again."""
    write_quantized(path, model)
    tensors = load_file(path)
    content = json.loads(header(path)["model"])
    change(content, tensors)
    text = json.dumps(content)
    save_file(tensors, path, {"format": FORMAT, "model": text, "digest": digest or _digest(text, tensors)})


def header(path: Path) -> dict[str, str]:
    raw = path.read_bytes()
    metadata: dict[str, str] = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    return metadata


def first_weight(tensors: dict[str, Array]) -> str:
    return next(name for name in tensors if name.endswith("/weight"))


def flip_weight(content: dict[str, Any], tensors: dict[str, Array]) -> None:
    tensors[first_weight(tensors)].reshape(-1)[0] ^= 1


def below_eight_bits(content: dict[str, Any], tensors: dict[str, Array]) -> None:
    tensors[first_weight(tensors)].reshape(-1)[0] = -128


def unknown_operation(content: dict[str, Any], tensors: dict[str, Array]) -> None:
    content["graph"]["nodes"][1]["op"] = "Exec"


def lost_tensor(content: dict[str, Any], tensors: dict[str, Array]) -> None:
    del tensors[first_weight(tensors)]


def class_names(content: dict[str, Any], tensors: dict[str, Array]) -> None:
    content["class_names"] = [{"a": 1}]


def metadata(content: dict[str, Any], tensors: dict[str, Array]) -> None:
    content["metadata"] = ["digits"]


def no_graph(content: dict[str, Any], tensors: dict[str, Array]) -> None:
    content["graph"] = None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_weight, "the graph's digest differs"),
        (below_eight_bits, "the graph's digest differs"),
        (unknown_operation, "unknown operation 'Exec'"),
        (lost_tensor, "has no weight"),
        (class_names, "class_names are no list"),
        (metadata, "no JSON object"),
        (no_graph, "describes no graph"),
    ],
)
def test_what_was_changed_is_refused(model: QuantizedModel, tmp_path: Path, change: Change, message: str) -> None:
    path = tmp_path / "model.safetensors"
    rewritten(model, path, change)
    with pytest.raises(UserError, match=message) as refusal:
        read_model(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_a_shape_beyond_all_memory_is_refused(model: QuantizedModel, tmp_path: Path) -> None:
    """With digests that agree: whoever crafts a file can compute them."""
    first, *others = model.graph.nodes
    crafted = Graph((replace(first, op=Input((2**30, 2**30, 2**30), 16)), *others), model.graph.steps)

    def change(content: dict[str, Any], tensors: dict[str, Array]) -> None:
        content["graph"]["nodes"][0]["attributes"]["shape"] = [2**30, 2**30, 2**30]
        content["graph"]["digest"] = crafted.digest

    path = tmp_path / "model.safetensors"
    rewritten(model, path, change)
    with pytest.raises(UserError, match="too large"):
        read_model(path)


def rename_class(content: dict[str, Any], tensors: dict[str, Array]) -> None:
    content["class_names"] = ["one", "zero"]


def test_any_change_breaks_the_digest(model: QuantizedModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_quantized(path, model)
    rewritten(model, path, rename_class, digest=header(path)["digest"])
    with pytest.raises(UserError, match="it was changed after it was written"):
        read_model(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file"),
        (b"PK\x03\x04" + bytes(64), "not a safetensors file"),
        ((2**60).to_bytes(8, "little") + b"{}" + bytes(64), "not a safetensors file"),
        ((2).to_bytes(8, "little") + b"{}", "its format is None"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_model(path)


def test_a_description_nested_without_end_is_refused(tmp_path: Path) -> None:
    path, text = tmp_path / "model.safetensors", "[" * 100_000
    save_file({}, path, {"format": FORMAT, "model": text, "digest": _digest(text, {})})
    with pytest.raises(UserError, match="quantize the model again"):
        read_model(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_model(tmp_path / "nowhere.safetensors")
