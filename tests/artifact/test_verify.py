"""`verify` of artifacts from elsewhere, against another artifact, and what it says beside the certificate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import api, artifact, certify, cli, files, interpreter, terminal
from snn2chip.certify import environment
from snn2chip.certify.distinguish import distinguish
from snn2chip.certify.inputs import input_sets
from snn2chip.certify.search import LARGEST_WORK
from snn2chip.graph import Graph, Node, frozen
from snn2chip.ops import Conv2d, Linear, MultiLevelIF, Readout


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "artifact"))


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Give the artifact another certificate, as one that was made elsewhere may have."""
    read = artifact.read(folder)
    document = json.loads((folder / "certificate.json").read_text())
    change(document)
    assert artifact.replace_certificate(read, files.canonical_json(document))


def quiet(line: str) -> None:
    """No report."""


def without_lava(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which Lava's environment was never built."""
    monkeypatch.setattr("snn2chip.lava_environment.default_root", lambda: tmp_path / "none")
    monkeypatch.delenv("SNN2CHIP_LAVA_PYTHON", raising=False)


def test_an_artifact_from_elsewhere_agrees_to_the_byte(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "certificate.json").read_bytes()
    assert cli.main(["verify", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "certificate: EXACT on 6 samples, 1 zero, 1 maximum, 4 random" in shown
    assert "the certificate that came with the artifact says the same, to the byte" in shown
    assert "run with CPython" in shown
    assert (folder / "certificate.json").read_bytes() == before


def test_what_the_stored_certificate_says_otherwise_is_named_and_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def worse(document: dict[str, Any]) -> None:
        entry = next(entry for entry in document["results"] if entry["executor"] == "onnxruntime")
        entry["status"] = "DIFFERENT"
        document["tool_version"] = "0.0.1"

    whole = (folder / "certificate.json").read_bytes()
    changed(folder, worse)
    assert cli.main(["verify", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "onnx (onnxruntime, algorithmic): DIFFERENT there, EXACT here" in shown
    assert "another version of snn2chip: 0.0.1 there" in shown
    assert "it was replaced by this one" in shown
    assert (folder / "certificate.json").read_bytes() == whole


def test_a_certificate_that_says_more_is_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_lava(monkeypatch, tmp_path)
    whole = (folder / "certificate.json").read_bytes()
    found = certify.verify(folder, quiet)
    assert found.certificate.verdict == "NOT RUN"
    assert found.kept
    assert all("EXACT there, NOT RUN here" in line for line in found.disagreements)
    assert {line.split()[0] for line in found.disagreements} == {"lava"}
    assert (folder / "certificate.json").read_bytes() == whole


def test_where_anything_that_ran_differs_nothing_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worse(document: dict[str, Any]) -> None:
        next(entry for entry in document["results"] if entry["executor"] == "nirtorch")["status"] = "DIFFERENT"

    changed(folder, worse)
    without_lava(monkeypatch, tmp_path)
    found = certify.verify(folder, quiet)
    assert not found.kept
    assert json.loads((folder / "certificate.json").read_text())["verdict"] == "NOT RUN"


def test_a_certificate_of_another_format_is_said_to_be(folder: Path) -> None:
    changed(folder, lambda document: document.update(format="snn2chip-certificate-1"))
    (line,) = certify.verify(folder, quiet).disagreements
    assert "another format" in line


def rewritten(original: Path, folder: Path, change: Callable[[Node], Node], steps: int = 1) -> Path:
    """The artifact of a changed network, without executing any form."""
    read = artifact.read(original)
    graph = Graph(tuple(change(node) for node in read.graph.nodes), steps)
    folder.mkdir()
    artifact.write_core(folder, graph, read.description, read.samples)
    for name in ("fit.json", "certificate.json"):
        shutil.copy(original / name, folder / name)
    artifact.seal(folder, graph, read.description, {})
    return folder


def differing(first: Path, second: Path) -> int:
    """On how many of the inputs the logits of two artifacts differ, by the interpreter."""
    read, other = artifact.read(first), artifact.read(second)
    inputs = np.concatenate([array for _, array in input_sets(read.graph, read.samples)])
    differ = interpreter.logits(read.graph, inputs) != interpreter.logits(other.graph, inputs)
    return int(np.count_nonzero(differ.any(axis=1)))


def heavier(node: Node) -> Node:
    if not (isinstance(node.op, Conv2d) and node.name == "conv2"):
        return node
    weight = node.op.weight.copy()
    weight[2, 0, 1, 1] ^= 0x40
    return replace(node, op=replace(node.op, weight=frozen(weight)))


def test_against_another_network(original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = rewritten(original, tmp_path / "other", heavier)
    assert cli.main(["verify", str(original), "--against", str(other)]) == 1
    shown = capsys.readouterr().out
    assert "first difference: node 'conv2': weight[2, 0, 1, 1] is" in shown
    assert "(1 of 81 differ)" in shown
    assert "first value that differs: layer 'if2', step 0" in shown
    found = api.against(original, other)
    assert found.divergence is not None
    assert found.divergence.index[0] == 2
    assert found.inputs == {"samples": 6, "zero": 1, "maximum": 1, "random": 4}
    assert found.layers == 4
    assert f"the second  {other}, digest {found.second}" in shown
    assert " in the first, " in shown
    assert "expected" not in shown
    assert found.outputs_differ == differing(original, other) > 0
    assert cli.main(["verify", str(original), "--against", str(other), "--json", "-"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["same"], document["outputs_differ"]) == (False, found.outputs_differ)


def test_against_itself(original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = Path(shutil.copytree(original, tmp_path / "twin"))
    assert cli.main(["verify", str(original), "--against", str(twin)]) == 0
    assert "the same integer network" in capsys.readouterr().out


def test_what_differs_beside_one_network_is_said(original: Path) -> None:
    read = artifact.read(original)
    scaled = {**read.description.preprocessing, "scale": 0.25}
    other = replace(read, samples=None, description=replace(read.description, class_names=("a",), preprocessing=scaled))
    found = certify.difference(read, other)
    scale = read.description.preprocessing["scale"]
    assert found.same
    assert terminal.difference(found).splitlines()[1:] == [
        "beside the network: the class names differ",
        f"beside the network: the real input of one count is {scale} in the first and 0.25 in the second",
        "beside the network: the first alone has samples",
    ]


def levels(node: Node) -> Node:
    return replace(node, op=replace(node.op, levels=5)) if isinstance(node.op, MultiLevelIF) else node


def renamed(node: Node) -> Node:
    inputs = tuple("first" if source == "if1" else source for source in node.inputs)
    return replace(node, name="first" if node.name == "if1" else node.name, inputs=inputs)


def smaller(node: Node) -> Node:
    return replace(node, op=Linear(frozen(node.op.weight[:4]))) if isinstance(node.op, Linear) else node


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (levels, "node 'if1': levels is 4 in the first and 5 in the second"),
        (renamed, "node 'if1' (MultiLevelIF) stands where the second has 'first' (MultiLevelIF)"),
        (smaller, "node 'head': weight is int8 (5, 48) in the first and int8 (4, 48) in the second"),
    ],
)
def test_the_first_difference_is_named(
    original: Path, tmp_path: Path, change: Callable[[Node], Node], what: str
) -> None:
    found = api.against(original, rewritten(original, tmp_path / "other", change))
    assert found.what == what
    assert (found.outputs_differ is None) == (change is smaller)


def test_another_number_of_steps(original: Path, tmp_path: Path) -> None:
    found = api.against(original, rewritten(original, tmp_path / "other", lambda node: node, steps=3))
    assert found.what == "T is 1 in the first and 3 in the second"
    assert found.outputs_differ == differing(original, tmp_path / "other") > 0
    assert found.layers == 0
    assert "no value differs" not in terminal.difference(found)


def output_renamed(node: Node) -> Node:
    return replace(node, name="scores") if isinstance(node.op, Readout) else levels(node)


def test_outputs_of_other_names_are_compared(original: Path, tmp_path: Path) -> None:
    """They were not, and the same text said that logits differ and that no value does."""
    found = api.against(original, rewritten(original, tmp_path / "other", output_renamed))
    assert found.outputs_differ
    assert found.divergence is not None
    assert found.layers == 4


def test_inputs_that_tell_two_networks_apart_are_searched(original: Path, tmp_path: Path) -> None:
    first = artifact.read(original).graph
    second = artifact.read(rewritten(original, tmp_path / "other", levels)).graph
    start = np.zeros((1, *first.signals[first.input.name].shape), np.uint8)
    found, tries = distinguish(first, second, start, 1)
    assert len(found)
    assert tries % 32 == 0
    logits = [interpreter.logits(graph, found) for graph in (first, second)]
    assert (logits[0] != logits[1]).any(axis=1).all()
    np.testing.assert_array_equal(interpreter.logits(first, start), interpreter.logits(second, start))
    none, tries = distinguish(first, first, start, LARGEST_WORK // 64)
    assert (len(none), tries) == (0, 64)


def test_inputs_that_differ_are_written(original: Path, tmp_path: Path) -> None:
    other, path = rewritten(original, tmp_path / "other", levels), tmp_path / "differing.npy"
    assert cli.main(["verify", str(original), "--against", str(other), "--differing", str(path)]) == 1
    inputs = np.load(path)
    assert inputs.dtype == np.uint8
    logits = [interpreter.logits(artifact.read(folder).graph, inputs) for folder in (original, other)]
    assert (logits[0] != logits[1]).any(axis=1).all()
    assert cli.main(["verify", str(original), "--differing", str(path)]) == 2


def test_the_environment_is_apart_from_the_certificate(folder: Path, tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.json" for name in ("certificate", "environment")}
    given = ["--json", str(paths["certificate"]), "--environment", str(paths["environment"])]
    assert cli.main(["verify", str(folder), *given]) == 0
    assert paths["certificate"].read_bytes() == (folder / "certificate.json").read_bytes()
    found = json.loads(paths["environment"].read_text())
    assert {"numpy", "torch", "onnxruntime", "nirtorch"} <= set(found["packages"])
    assert found["packages"]["numpy"] == np.__version__
    assert found["lava"]["packages"]["lava-nc"] == "0.10.0"
    text = paths["certificate"].read_text()
    for fact in (found["machine"]["processor"], found["machine"]["system"], found["python"]):
        assert fact
        assert fact not in text


def test_without_lava_the_environment_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_lava(monkeypatch, tmp_path)
    found = environment.environment()
    assert found["lava"] is None
    assert "no Lava" in environment.sentence(found)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("option", ["--json", "--html", "--environment"])
@pytest.mark.parametrize("name", ["model.onnx", "new.txt", "lava/new/deep.txt"])
def test_no_report_is_written_into_the_artifact(
    folder: Path, option: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certify, "verify", lambda *_: pytest.fail("nothing is to run"))
    before = contents(folder)
    assert cli.main(["verify", str(folder), option, str(folder / name)]) == 2
    assert f"{name}: it lies inside {folder}, an artifact" in capsys.readouterr().err
    assert contents(folder) == before


def test_no_way_round_leads_a_report_into_an_artifact(
    folder: Path, original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").symlink_to(folder)
    (tmp_path / "file").symlink_to(folder / "model.onnx")
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    before = contents(folder)
    for path in ("../folder/a.json", "../file", "../artifact/a.json"):
        assert cli.main(["verify", str(folder), "--json", path]) == 2, path
        assert cli.main(["verify", str(original), "--against", "../folder", "--json", path]) == 2, path
        assert cli.main(["simulate", "../folder", "--baseline", "none", "--html", path]) == 2, path
        assert cli.main(["simulate", str(original), "--baseline", f"other={folder}", "--json", path]) == 2, path
        assert capsys.readouterr().err.count("it lies inside") == 4, path
    assert contents(folder) == before
    assert cli.main(["verify", str(folder), "--against", str(original), "--json", "../artifact.json"]) == 0
    assert (tmp_path / "artifact.json").is_file(), "beside an artifact is not inside it"
