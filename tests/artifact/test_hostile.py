"""Files that were made to harm, with digests that fit: each is one sentence."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import api, artifact, files, graph_io
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Graph
from snn2chip.ops import OPS

Document = dict[str, Any]


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "artifact"))


def reseal(folder: Path, change: Callable[[Document], None] = lambda manifest: None) -> None:
    """Digests that fit whatever stands in `folder`, as somebody who means harm would compute them."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["files"]:
        content = folder / name
        manifest["files"][name] = {"sha256": files.sha256(content), "size": content.stat().st_size}
    change(manifest)
    manifest["digest"] = artifact._own_digest(manifest)
    (folder / "manifest.json").write_text(files.canonical_json(manifest))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("files",), None),
        (("files",), [1]),
        (("files", "graph.json"), 5),
        (("files", "graph.json"), {"size": 1}),
        (("model",), "x"),
        (("model", "name"), None),
        (("model", "training"), [1]),
        (("target",), 5),
        (("forms",), None),
    ],
)
def test_a_manifest_entry_of_the_wrong_type(folder: Path, place: tuple[str, ...], value: Any) -> None:
    def change(manifest: Document) -> None:
        for key in place[:-1]:
            manifest = manifest[key]
        manifest[place[-1]] = value

    reseal(folder, change)
    with pytest.raises(UserError, match=r"manifest\.json: an entry is missing or malformed"):
        artifact.read(folder)


@pytest.mark.parametrize("name", ["certificate.json", "tensors.safetensors"])
def test_a_file_that_every_artifact_has_is_missed(folder: Path, name: str) -> None:
    reseal(folder, lambda manifest: manifest["files"].pop(name))
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"does not list {name}"):
        artifact.read(folder)


@pytest.mark.parametrize("text", ['"a": NaN', '"a": 1e999', '"a": "\\ud800"', '"a": ' + "[" * 900 + "]" * 900])
def test_json_that_we_never_write(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(f'{{"format": "snn2chip-artifact-1", {text}}}')
    with pytest.raises(UserError, match=r"manifest\.json: "):
        artifact.read(folder)


@pytest.mark.parametrize(
    ("node", "attribute", "value"),
    [
        ("conv1", "stride", 1),
        ("conv1", "stride", [0, 1]),
        ("conv1", "stride", [1]),
        ("conv1", "stride", [1, 10**300]),
        ("conv1", "padding", [1.0, 1]),
        ("conv1", "padding", [10**9, 10**9]),
        ("conv1", "groups", 0),
        ("conv1", "groups", True),
        ("if1", "levels", 1.5),
        ("x", "largest", "16"),
        ("x", "shape", {"a": 1}),
        ("x", "shape", [10**9, 10**9, 1]),
    ],
)
def test_an_attribute_of_the_wrong_type_or_size(original: Path, node: str, attribute: str, value: Any) -> None:
    graph = artifact.read(original).graph
    document, tensors = graph_io.to_document(graph)
    document = json.loads(json.dumps(document))
    next(entry for entry in document["nodes"] if entry["name"] == node)["attributes"][attribute] = value
    with pytest.raises(GraphError, match=node):
        _ = Graph(tuple(graph_io.read_node(entry, tensors) for entry in document["nodes"]), 1).signals


def test_every_field_of_every_operation_is_checked_by_its_type() -> None:
    annotations = {str(field.type) for op in OPS.values() for field in fields(op)}  # type: ignore[arg-type]
    assert annotations <= graph_io._FITS.keys()


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_tensors_of_types_that_numpy_has_not_got(folder: Path, dtype: str) -> None:
    size = {"BF16": 2, "F8_E4M3": 1}[dtype]
    header = json.dumps({"conv1/weight": {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}}).encode()
    (folder / "tensors.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    reseal(folder)
    with pytest.raises(UserError):  # names the type, or the tensors that are missing where NumPy was taught the type
        artifact.read(folder)


@pytest.mark.parametrize(
    ("name", "arrays", "sentence"),
    [
        ("search.npz", {"x": np.zeros((2, 1, 3, 3), np.uint8)}, r"the input has shape \(2, 1, 3, 3\)"),
        ("search.npz", {"x": np.zeros((2, 1, 1, 4, 4), np.uint8)}, r"its inputs have the shape \(1, 1, 4, 4\)"),
        ("search.npz", {"x": np.zeros((0, 7), np.uint8)}, r"the input has shape \(0, 7\)"),
        ("search.npz", {"x": np.zeros((2, 1, 4, 4), np.float32)}, "the input has dtype float32"),
        ("search.npz", {"x": np.full((2, 1, 4, 4), 200, np.uint8)}, "the input holds 200"),
        ("samples.npz", {"x": np.zeros((3, 7), np.uint8)}, r"the input has shape \(3, 7\)"),
        ("samples.npz", {"x": np.zeros((2, 1, 4, 4), np.uint8), "y": np.array([0, 9])}, "the labels y hold 9"),
    ],
)
def test_stored_inputs_that_do_not_fit(folder: Path, name: str, arrays: dict[str, Any], sentence: str) -> None:
    artifact.write_npz(folder / name, arrays)
    reseal(folder)
    with pytest.raises(UserError, match=rf"{name}: {sentence}"):
        api.verify(folder)


def test_damaged_archives_never_end_in_a_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, x=rng.integers(0, 16, (20, 1, 8, 8)).astype(np.uint8), y=np.zeros(20, np.int64))
    content, refused = whole.read_bytes(), 0
    for _ in range(200):
        spoilt = bytearray(content)
        spoilt[rng.integers(len(spoilt))] ^= 1 << int(rng.integers(8))
        (tmp_path / "x.npz").write_bytes(spoilt)
        try:
            artifact.read_samples(tmp_path / "x.npz")
        except UserError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (np.array(["a", "b"]), "y has dtype <U1"),
        (np.array([0.5, np.nan]), "y has dtype float64"),
        (np.array([-1, 0]), r"y holds -1\.\.0"),
        (np.array(1), r"y has shape \(\)"),
    ],
)
def test_classes_that_are_no_indices(tmp_path: Path, y: Any, sentence: str) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 4, 4), np.uint8), y=y)
    with pytest.raises(UserError, match=sentence):
        artifact.read_samples(tmp_path / "x.npz")


def test_a_device_or_pipe_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    files.write_bytes(pipe, b"content")
    reader.join(timeout=10)
    assert received == [b"content"]
    assert pipe.is_fifo()


def test_a_link_stays_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with artifact.writing(tmp_path / "link") as temporary:
        (temporary / "new.txt").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in folder.iterdir()] == ["new.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifact", "link"]


def test_an_export_that_was_overtaken_replaces_the_other(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "a") as slow:
        (slow / "who.txt").write_text("slow")
        with files.replacing(tmp_path / "a") as fast:
            (fast / "who.txt").write_text("fast")
    assert (tmp_path / "a" / "who.txt").read_text() == "slow"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_export_left_behind_is_not_the_newest_artifact(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original, tmp_path / "whole")
    shutil.copytree(original, tmp_path / ".whole.k3j2")
    os.utime(tmp_path / ".whole.k3j2" / "manifest.json")
    assert api.newest_artifact(tmp_path).name == "whole"
