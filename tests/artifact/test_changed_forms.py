"""A form file that holds something else than the artifact's network, sealed again so that no digest gives it away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import onnx
import pytest
from onnx import numpy_helper

from snn2chip import api, artifact


def _onnx_weight(folder: Path) -> None:
    path = folder / "model.onnx"
    model = onnx.load(path)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("/weight"))
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] += 1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    path.write_bytes(model.SerializeToString())


def _nir_weight(folder: Path) -> None:
    with h5py.File(folder / "model.nir", "r+") as file:
        name = next(name for name in file["node/nodes"] if "weight" in file[f"node/nodes/{name}"])
        weight = file[f"node/nodes/{name}/weight"]
        values = weight[...]
        values.flat[0] += 1
        weight[...] = values


def _cut(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-100])

    return cut


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("onnx", _onnx_weight),
        ("onnx", _cut("model.onnx")),
        ("nir", _nir_weight),
        ("nir", _cut("model.nir")),
        ("lava", _without("lava/graph.json")),
        ("lava", _cut("lava/tensors.safetensors")),
    ],
)
def test_is_different_and_the_old_certificate_goes(
    original: Path, tmp_path: Path, form: str, change: Callable[[Path], None]
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(original, folder)
    read = artifact.read(folder)
    change(folder)
    artifact.seal(folder, read.graph, read.description, read.manifest["forms"])
    certificate = api.verify(folder)
    statuses = {result.form: result.status for result in certificate.results}
    assert statuses == {name: "DIFFERENT" if name == form else "EXACT" for name in statuses}
    assert all(str(folder) not in result.reason for result in certificate.results)
    assert json.loads((folder / "certificate.json").read_text())["verdict"] == "DIFFERENT"
