"""The command line as a user meets it: real commands on real files, in real processes where those matter."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snn2chip import artifact, interpreter, zoo
from snn2chip.data import digits
from tests.commands import Command, one_sentence, process

COMMANDS = ("train", "export", "run", "verify", "simulate", "compare", "inspect", "chips", "doctor")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a user typed the first of the two lines."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copyfile(zoo.path("sparse-n4-t1"), folder / "model.pt")
    done = process("export", "model.pt", "--target", "loihi2", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "certificate: EXACT on 450 samples, 1 zero, 1 maximum, 4 random" in done.stdout
    return folder


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, as the current one."""
    monkeypatch.chdir(project)
    return project


def test_export_certifies_every_form_on_all_test_images(project: Path) -> None:
    certificate = json.loads((project / "build/model-loihi2/certificate.json").read_text())
    assert certificate["verdict"] == "EXACT"
    assert {(entry["form"], entry["executor"], entry["status"]) for entry in certificate["results"]} == {
        ("torch", "snn2chip.engine", "EXACT"),
        ("nir", "nirtorch", "EXACT"),
        ("onnx", "onnxruntime", "EXACT"),
        *(("lava", f"lava {cut}{way}", "EXACT") for cut in ("K=1", "K=2", "per-layer") for way in ("", " pipelined")),
    }
    assert certificate["inputs"][0]["count"] == 450
    assert all(len(entry["layers"]) == 9 and entry["compared"] > 5_000_000 for entry in certificate["results"])


def test_the_two_lines(project: Path) -> None:
    done = process("simulate", "--energy-report", cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for word in ("binary", "binary-t1", "sew", "qann", "accuracy", "loihi2"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout


def test_json_alone_on_standard_output_and_the_same_bytes_twice(here: Path, command: Command) -> None:
    line = ("simulate", "--energy-report", "--baseline", "none", "--json", "-")
    done = process(*line, cwd=here)
    assert done.returncode == 0, done.stderr
    assert done.stdout == command.done(*line)
    document = json.loads(done.stdout)
    assert len(document["networks"]) == 1
    assert document["networks"][0]["accuracy"] > 0.98


def test_named_baselines_and_folders(here: Path, command: Command) -> None:
    baselines = ("--baseline", "sew", "--baseline", "same=build/model-loihi2")
    output = command.done("simulate", "build/model-loihi2", *baselines, "--json", "-")
    assert [network["label"] for network in json.loads(output)["networks"]] == ["model", "sew", "same"]


@pytest.mark.parametrize("backend", ["reference", "torch", "onnxruntime", "lava"])
def test_run_gives_the_same_logits_in_every_backend(here: Path, tmp_path: Path, command: Command, backend: str) -> None:
    images = digits.load().test.x[:32]
    np.save(tmp_path / "x.npy", images)
    files = ("--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npy"))
    written = command.done("run", "build/model-loihi2", "--backend", backend, *files)
    assert written == f"{tmp_path}/y.npy: logits, int32 [32, 10] [inputs, classes], summed over the steps\n"
    logits = np.load(tmp_path / "y.npy")
    assert logits.dtype == np.int32
    assert logits.shape == (32, 10)
    read = artifact.read(here / "build/model-loihi2")
    np.testing.assert_array_equal(logits, interpreter.logits(read.graph, images))


def test_verify_and_inspect(here: Path, command: Command) -> None:
    assert "certificate: EXACT" in command.done("verify", "build/model-loihi2")
    assert "MultiLevelIF" in command.done("inspect", "build/model-loihi2")
    assert "can express this network" in command.done("inspect", "model.pt")


def test_verify_finds_a_changed_byte(project: Path, tmp_path: Path, command: Command) -> None:
    folder = Path(shutil.copytree(project / "build/model-loihi2", tmp_path / "artifact"))
    changed = bytearray((folder / "model.onnx").read_bytes())
    changed[1000] ^= 1
    (folder / "model.onnx").write_bytes(bytes(changed))
    assert "model.onnx: its content was changed after export" in command.refused("verify", str(folder))
    assert "model.onnx" in command.refused("simulate", str(folder))


def test_a_network_of_another_training_is_said_to_be(
    here: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    test = digits.load().test
    np.savez(tmp_path / "few.npz", x=test.x[:20], y=test.y[:20])
    model, folder = str(tmp_path / "short.pt"), str(tmp_path / "short")
    assert "best epoch: 1" in command.done("train", "--recipe", "digits", "--out", model, "--epochs", "1")
    command.done("export", model, "--out", folder, "--calibration", str(tmp_path / "few.npz"))
    shown = command.done("simulate", folder, "--baseline", "sew")
    assert "short was not trained as sew were" in " ".join(shown.split())
    shown = command.done("simulate", "build/model-loihi2", "--baseline", "sew")
    assert "was not trained as" not in " ".join(shown.split())


def test_a_broken_lava_environment_does_not_keep_the_other_forms_from_running(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNN2CHIP_LAVA_PYTHON", "/bin/false")
    shown = command.done("export", str(zoo.path("sparse-n4-t1")), "--out", str(tmp_path / "without-lava"))
    assert "certificate: NOT RUN" in shown
    assert "SNN2CHIP_LAVA_PYTHON names /bin/false, which does not run" in shown
    assert shown.count("EXACT") == 3


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(name: str, command: Command) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        command(name, "--help")
    assert "usage: snn2chip " + name in command.capture.readouterr().out


def test_chips_lists_what_is_shipped(command: Command) -> None:
    output = command.done("chips")
    for name in ("unit", "loihi1-davies2018", "loihi2", "lemaire-45nm", "dense-45nm"):
        assert name in output


def test_a_refusal_is_one_sentence_on_standard_error_alone(tmp_path: Path) -> None:
    done = process("export", "nowhere.pt", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such file" in one_sentence(done.stderr)


def test_a_disk_that_is_full_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = process("chips", stdout=full)
    assert (done.returncode, done.stderr) == (2, "snn2chip: standard output cannot be written: the disk is full\n")


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = f"{sys.executable} -m snn2chip chips | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = process("export", "nowhere.pt", "--debug", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_usage_errors_exit_with_two() -> None:
    assert process("export").returncode == 2
    assert process("fly").returncode == 2
    assert process().returncode == 2
