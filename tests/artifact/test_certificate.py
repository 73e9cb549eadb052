"""A changed parameter is caught by execution, even where every digest was rebuilt, and named down to the layer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file

from snn2chip import api, artifact, certify, graph_io
from snn2chip.graph import Array, frozen
from snn2chip.ops import Conv2d


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "artifact"))


def reseal(folder: Path) -> None:
    """Rebuild every digest, as somebody would who hides a change."""
    manifest = json.loads((folder / "manifest.json").read_text())
    graph = graph_io.from_document(
        json.loads((folder / "graph.json").read_text()), load_file(folder / "tensors.safetensors")
    )
    described = artifact.Description("small", "loihi2", (), manifest.get("preprocessing", {}), {})
    artifact.seal(folder, graph, described, manifest["forms"])


def statuses(certificate: certify.Certificate) -> dict[str, str]:
    return {result.executor: result.status for result in certificate.results}


def divergence(certificate: certify.Certificate, executor: str) -> certify.Divergence:
    (result,) = (found for found in certificate.results if found.executor == executor)
    assert result.divergence is not None, result
    return result.divergence


def test_an_untouched_artifact_is_exact_in_every_form(folder: Path) -> None:
    certificate = api.verify(folder)
    assert certificate.verdict == "EXACT"
    assert {result.form for result in certificate.results} == {"torch", "nir", "onnx", "lava"}
    assert "lava per-layer" in statuses(certificate)
    layers = {"if1", "if2", "barrier", "out"}
    assert all(set(result.layers) == layers for result in certificate.results)
    assert {part.name for part in certificate.inputs} == {"samples", "zero", "maximum", "random"}


def test_a_changed_onnx_weight_is_named(folder: Path) -> None:
    path = folder / "model.onnx"
    model = onnx.load(path)
    weights = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4 and tensor.dims[1] == 3]
    changed = numpy_helper.to_array(weights[0]).copy()
    changed[1, 2, 1, 1] ^= 0x40
    weights[0].CopyFrom(numpy_helper.from_array(changed, weights[0].name))
    onnx.save(model, path)
    reseal(folder)
    certificate = api.verify(folder)
    assert certificate.verdict == "DIFFERENT"
    found = divergence(certificate, "onnxruntime")
    assert (found.layer, found.index[0]) == ("if2", 1)
    assert {name: status for name, status in statuses(certificate).items() if status != "EXACT"} == {
        "onnxruntime": "DIFFERENT"
    }
    stored = json.loads((folder / "certificate.json").read_text())
    assert stored["verdict"] == "DIFFERENT"


def test_a_changed_nir_weight_is_named(folder: Path) -> None:
    with h5py.File(folder / "model.nir", "r+") as file:
        nodes = file["node"]["nodes"]
        name = next(key for key in nodes if "conv2" in key and "weight" in nodes[key])
        weight = nodes[name]["weight"]
        values = weight[...]
        values[0, 0] += 50
        weight[...] = values
    reseal(folder)
    certificate = api.verify(folder)
    assert divergence(certificate, "nirtorch").layer == "if2"
    assert statuses(certificate)["onnxruntime"] == "EXACT"


def test_a_changed_lava_tensor_is_named(folder: Path) -> None:
    path = folder / "lava" / "tensors.safetensors"
    tensors = load_file(path)
    tensors["conv2/weight"][2, 0, 1, 1] ^= 0x40
    save_file(tensors, path)
    document = json.loads((folder / "lava" / "graph.json").read_text())
    rest = {key: value for key, value in document.items() if key != "digest"}
    document["digest"] = _digest_of(rest, tensors)
    (folder / "lava" / "graph.json").write_text(json.dumps(document))
    _repartition(folder, document["digest"])
    reseal(folder)
    certificate = api.verify(folder)
    for executor in ("lava fused", "lava per-layer"):
        assert divergence(certificate, executor).layer == "if2"
    assert statuses(certificate)["onnxruntime"] == "EXACT"


def _digest_of(document: dict[str, object], tensors: dict[str, Array]) -> str:
    from snn2chip.graph import Graph

    nodes = document["nodes"]
    assert isinstance(nodes, list)
    return Graph(tuple(graph_io._node(entry, tensors) for entry in nodes), int(str(document["steps"]))).digest


def _repartition(folder: Path, digest: str) -> None:
    path = folder / "lava" / "partition.json"
    partition = json.loads(path.read_text())
    if "digest" in partition:
        partition["digest"] = digest
    if "graph_digest" in partition:
        partition["graph_digest"] = digest
    path.write_text(json.dumps(partition))


def test_a_changed_graph_differs_from_every_form(folder: Path) -> None:
    """The reference itself was changed: then every exported form disagrees with it, at the changed layer."""
    path = folder / "tensors.safetensors"
    tensors = load_file(path)
    tensors["conv2/weight"][2, 0, 1, 1] ^= 0x40
    save_file(tensors, path)
    document = json.loads((folder / "graph.json").read_text())
    document["digest"] = _digest_of(document, tensors)
    (folder / "graph.json").write_text(json.dumps(document))
    reseal(folder)
    certificate = api.verify(folder)
    assert certificate.verdict == "DIFFERENT"
    for executor in ("nirtorch", "onnxruntime", "lava fused", "lava per-layer"):
        assert divergence(certificate, executor).layer == "if2"


def test_the_first_divergence_is_the_earliest_step_then_sample() -> None:
    expected = {"a": np.zeros((3, 4, 2, 2, 2), np.int32), "b": np.zeros((3, 4, 5), np.int32)}
    got = {name: tensor.copy() for name, tensor in expected.items()}
    assert certify.first_divergence(expected, got) is None
    got["b"][0, 0, 0] = 9
    got["a"][0, 3, 1, 1, 1] = 5
    got["a"][2, 1, 0, 1, 0] = 7
    found = certify.first_divergence(expected, got)
    assert found == certify.Divergence("a", 1, 2, (0, 1, 0), 0, 7, 2)


def test_a_form_that_is_gone_is_not_run_and_the_verdict_says_so(folder: Path) -> None:
    read = artifact.read(folder)
    (folder / "model.onnx").unlink()
    certificate = certify.certify(read.graph, folder, read.samples)
    (result,) = (found for found in certificate.results if found.form == "onnx")
    assert result.status == "NOT RUN"
    assert certificate.verdict == "NOT RUN"


def test_refused_forms_do_not_spoil_the_verdict_and_say_why(folder: Path) -> None:
    from snn2chip.graph import Graph

    read = artifact.read(folder)
    twice = Graph(read.graph.nodes, steps=2)
    certificate = certify.certify(twice, folder, None)
    (result,) = (found for found in certificate.results if found.form == "nir")
    assert result.status == "REFUSED"
    assert "T = 1" in result.reason
    assert not certificate.on_real_inputs


def test_parameters_are_read_only(folder: Path) -> None:
    conv = artifact.read(folder).graph["conv1"].op
    assert isinstance(conv, Conv2d)
    with pytest.raises(ValueError, match="read-only"):
        conv.weight[0, 0, 0, 0] = 1
    assert not frozen([1, 2]).flags.writeable
