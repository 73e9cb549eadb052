"""A changed parameter is caught by execution, even where every digest was rebuilt, and named down to the layer."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file

from snn2chip import api, artifact, certify, graph_io, interpreter, terminal
from snn2chip.certify import forms, inputs
from snn2chip.exporters.onnx_form import OnnxExporter
from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.ops import LIF, Conv2d, Input, Linear, MultiLevelIF, Readout


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
    assert {part.name: part.count for part in certificate.inputs} == {
        "samples": 6,
        "zero": 1,
        "maximum": 1,
        "random": 4,
    }
    assert {result.timing for result in certificate.results if result.form == "lava"} == {"algorithmic", "pipelined"}
    assert all(row.status == "EXACT" and row.steps == 1 for result in certificate.results for row in result.rows)


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
    assert found.cause is not None
    read = artifact.read(folder)
    conv = read.graph["conv2"].op
    assert isinstance(conv, Conv2d)
    y, x = found.index[1:]
    # It reads the changed weight, and what the interpreter computed follows from what is listed.
    assert any(part.weight == conv.weight[1, 2, 1, 1] and part.index == (2, y, x) for part in found.cause.inputs)
    assert found.cause.current == found.cause.bias + sum(part.value * part.weight for part in found.cause.inputs)
    assert found.expected == min(4, max(0, found.cause.current // found.cause.parameters["theta"]))
    stored = json.loads((folder / "certificate.json").read_text())
    assert stored["verdict"] == "DIFFERENT"
    (entry,) = (entry for entry in stored["results"] if entry["executor"] == "onnxruntime")
    assert entry["divergence"]["cause"]["current"] == found.cause.current
    rows = {row["layer"]: (row["status"], row["differing"]) for row in entry["layers"]}
    assert rows["if1"] == ("EXACT", 0)
    assert rows["if2"] == ("DIFFERENT", found.differing)


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
    for executor in ("lava K=1", "lava per-layer"):
        assert divergence(certificate, executor).layer == "if2"
    assert statuses(certificate)["onnxruntime"] == "EXACT"


def _digest_of(document: dict[str, object], tensors: dict[str, Array]) -> str:
    nodes = document["nodes"]
    assert isinstance(nodes, list)
    return Graph(tuple(graph_io.read_node(entry, tensors) for entry in nodes), int(str(document["steps"]))).digest


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
    for executor in ("nirtorch", "onnxruntime", "lava K=1", "lava per-layer"):
        assert divergence(certificate, executor).layer == "if2"


def test_the_first_divergence_is_the_earliest_step_then_sample() -> None:
    expected = {"a": np.zeros((3, 4, 2, 2, 2), np.int32), "b": np.zeros((3, 4, 5), np.int32)}
    got = {name: tensor.copy() for name, tensor in expected.items()}
    assert certify.first_divergence(expected, got) is None
    got["b"][0, 0, 0] = 9
    got["a"][0, 3, 1, 1, 1] = 5
    got["a"][2, 1, 0, 1, 0] = 7
    found = certify.first_divergence(expected, got)
    assert found == certify.Divergence("a", 1, "inputs", 2, (0, 1, 0), 0, 7, 2)


def test_a_form_that_is_gone_is_not_run_and_the_verdict_says_so(folder: Path) -> None:
    read = artifact.read(folder)
    (folder / "model.onnx").unlink()
    certificate = certify.certify(read.graph, folder, read.samples)
    (result,) = (found for found in certificate.results if found.form == "onnx")
    assert result.status == "NOT RUN"
    assert certificate.verdict == "NOT RUN"


def _leaky(op: Op) -> Op:
    if not isinstance(op, MultiLevelIF):
        return op
    return LIF(op.theta, op.theta, frozen(np.full_like(op.theta, 4000)), levels=op.levels)


def test_refused_forms_do_not_spoil_the_verdict_and_say_why(folder: Path) -> None:
    read = artifact.read(folder)
    leaky = (replace(node, op=_leaky(node.op)) for node in read.graph.nodes)
    certificate = certify.certify(Graph(tuple(leaky), steps=2), folder, None)
    (result,) = (found for found in certificate.results if found.form == "nir")
    assert result.status == "REFUSED"
    assert result.reason
    assert not certificate.on_real_inputs


def test_parameters_are_read_only(folder: Path) -> None:
    conv = artifact.read(folder).graph["conv1"].op
    assert isinstance(conv, Conv2d)
    with pytest.raises(ValueError, match="read-only"):
        conv.weight[0, 0, 0, 0] = 1
    assert not frozen([1, 2]).flags.writeable


class Slow:
    """An executor that may be asked for little, and says what it was asked for."""

    name, largest_work, timing = "slow", 1, "pipelined"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def run(self, graph: Graph, folder: Path, inputs: Array) -> dict[str, Array]:
        self.asked.append(len(inputs))
        return certify.reference(graph, inputs)


def test_slow_programs_and_large_networks_get_fewer_inputs_and_it_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, read = Slow(), artifact.read(folder)
    monkeypatch.setattr(OnnxExporter, "executors", (slow,))
    certificate = certify.certify(read.graph, folder, read.samples)
    (result,) = (found for found in certificate.results if found.executor == "slow")
    assert slow.asked == [5]
    assert result.inputs == {"samples": 1, "zero": 1, "maximum": 1, "random": 2}
    assert (result.status, result.timing) == ("EXACT", "pipelined")
    assert "on 5 of 12 inputs" in terminal.certificate_table(certificate)
    monkeypatch.setattr(forms, "LARGEST_WORK", 9 * inputs.work(read.graph))
    monkeypatch.setattr(forms, "HELD_INTEGERS", 400)  # batches of two inputs
    certificate = certify.certify(read.graph, folder, read.samples)
    assert {part.name: (part.count, part.compared) for part in certificate.inputs} == {
        "samples": (6, 3),
        "zero": (1, 1),
        "maximum": (1, 1),
        "random": (4, 4),
    }
    assert certificate.verdict == "EXACT"
    assert certificate.accuracy is None
    assert slow.asked[1:] == [2, 2, 1]
    assert "EXACT on 3 of 6 samples, 1 zero" in terminal.certificate_table(certificate)


def test_the_accuracy_is_that_of_the_labelled_samples(folder: Path) -> None:
    read = artifact.read(folder)
    assert read.samples is not None
    decided = interpreter.logits(read.graph, read.samples.x).argmax(axis=1)
    labels = decided.copy()
    labels[:2] = (labels[:2] + 1) % 5
    certificate = certify.certify(read.graph, folder, artifact.Samples(read.samples.x, labels))
    assert certificate.accuracy == 4 / 6


def test_batches_give_the_first_divergence_of_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second batch differs in an earlier layer than the first one."""
    read = artifact.read(folder)

    class Wrong(Slow):
        largest_work = 10**9

        def run(self, graph: Graph, folder: Path, inputs: Array) -> dict[str, Array]:
            found = super().run(graph, folder, inputs)
            place = "out" if len(self.asked) == 1 else "if1"
            found[place] = found[place] + (np.arange(found[place].size).reshape(found[place].shape) == 3)
            return found

    monkeypatch.setattr(OnnxExporter, "executors", (Wrong(),))
    monkeypatch.setattr(forms, "HELD_INTEGERS", 149 * 7)
    certificate = certify.certify(read.graph, folder, read.samples)
    found = divergence(certificate, "slow")
    assert (found.layer, found.differing) == ("if1", 1)
    assert found.cause is not None
    (result,) = (entry for entry in certificate.results if entry.executor == "slow")
    assert {row.layer: row.differing for row in result.rows} == {"if1": 1, "if2": 0, "barrier": 0, "out": 1}
    assert all(row.compared == 12 * read.graph.signals[row.layer].size for row in result.rows)


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for entry in value.values() for key in _keys(entry)}
    if isinstance(value, list):
        return {key for entry in value for key in _keys(entry)}
    return set()


def test_every_key_is_documented(folder: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "artifact-format.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z0-9_]+)`", text[text.index("## certificate.json") : text.index("## model.pt")]))
    document = json.loads((folder / "certificate.json").read_text())
    situations = {name for layer in document["coverage"]["layers"] for name in layer["seen"]}
    assert _keys(document) - situations <= documented
    described = {
        entry.name for kind in (certify.Divergence, certify.Cause, certify.Presynaptic) for entry in fields(kind)
    }
    assert described <= documented


def test_a_network_without_neurons_is_certified(tmp_path: Path) -> None:
    nodes = (
        Node("x", Input((3,), 5)),
        Node("fc", Linear(frozen([[1, -2, 3], [4, 5, -6]], np.int8)), ("x",)),
        Node("out", Readout(), ("fc",)),
    )
    graph = Graph(nodes, 2)
    certificate = certify.certify(graph, tmp_path, None)
    assert certificate.results[0].status == "EXACT"
    assert certificate.results[0].layers == ("out",)
    assert certificate.coverage == certify.Coverage(0, 0, ())
    assert certificate.verdict == "NOT RUN"
