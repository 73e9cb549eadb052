"""The command line as a user meets it: real commands in real processes, on real files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import artifact, cli, terminal, zoo
from snn2chip.data import digits
from snn2chip.quantize.quantized_file import read_model

COMMANDS = ("train", "export", "run", "verify", "simulate", "compare", "inspect", "chips", "doctor")


def command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snn2chip", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def refused(*arguments: str, cwd: Path | None = None, code: int = 2) -> str:
    """The one sentence on standard error."""
    done = command(*arguments, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("snn2chip: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a user typed the first of the two lines."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copyfile(zoo.path("sparse-n4-t1"), folder / "model.pt")
    done = command("export", "model.pt", "--target", "loihi2", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "certificate: EXACT on 450 samples, 1 zero, 1 maximum, 4 random" in done.stdout
    return folder


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
    done = command("simulate", "--energy-report", cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for word in ("binary", "binary-t1", "sew", "qann", "accuracy", "loihi2"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout


def test_json_alone_on_standard_output_and_the_same_bytes_twice(project: Path) -> None:
    runs = [command("simulate", "--energy-report", "--baseline", "none", "--json", "-", cwd=project) for _ in range(2)]
    assert runs[0].returncode == 0, runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    document = json.loads(runs[0].stdout)
    assert len(document["networks"]) == 1
    assert document["networks"][0]["accuracy"] > 0.98


def test_named_baselines_and_folders(project: Path) -> None:
    done = command(
        "simulate",
        "build/model-loihi2",
        "--baseline",
        "sew",
        "--baseline",
        "same=build/model-loihi2",
        "--json",
        "-",
        cwd=project,
    )
    assert done.returncode == 0, done.stderr
    labels = [network["label"] for network in json.loads(done.stdout)["networks"]]
    assert labels == ["model", "sew", "same"]


@pytest.mark.parametrize("backend", ["reference", "torch", "onnxruntime", "lava"])
def test_run_gives_the_same_logits_in_every_backend(project: Path, tmp_path: Path, backend: str) -> None:
    images = digits.load().test.x[:32]
    np.save(tmp_path / "x.npy", images)
    output = tmp_path / "y.npy"
    arguments = (
        "run",
        "build/model-loihi2",
        "--backend",
        backend,
        "--input",
        str(tmp_path / "x.npy"),
        "--output",
        str(output),
    )
    done = command(*arguments, cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{output}: logits, int32 [32, 10] [inputs, classes], summed over the steps\n"
    logits = np.load(output)
    assert logits.dtype == np.int32
    assert logits.shape == (32, 10)
    read = artifact.read(project / "build/model-loihi2")
    from snn2chip import interpreter

    np.testing.assert_array_equal(logits, interpreter.logits(read.graph, images))


def test_per_step_keeps_the_time_axis(project: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=digits.load().test.x[:3])
    output = tmp_path / "y.npy"
    arguments = ("run", "build/model-loihi2", "--input", str(tmp_path / "x.npz"), "--output", str(output), "--per-step")
    assert command(*arguments, cwd=project).returncode == 0
    assert np.load(output).shape == (3, 1, 10)


def test_verify_and_inspect(project: Path) -> None:
    done = command("verify", "build/model-loihi2", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "certificate: EXACT" in done.stdout
    shown = command("inspect", "build/model-loihi2", cwd=project)
    assert shown.returncode == 0
    assert "MultiLevelIF" in shown.stdout
    shown = command("inspect", "model.pt", cwd=project)
    assert "can express this network" in shown.stdout


def test_verify_finds_a_changed_byte(project: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(project / "build/model-loihi2", tmp_path / "artifact"))
    changed = bytearray((folder / "model.onnx").read_bytes())
    changed[1000] ^= 1
    (folder / "model.onnx").write_bytes(bytes(changed))
    assert "model.onnx: its content was changed after export" in refused("verify", str(folder))
    assert "model.onnx" in refused("simulate", str(folder))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(name: str) -> None:
    done = command(name, "--help")
    assert done.returncode == 0
    assert "usage: snn2chip " + name in done.stdout


def test_chips_lists_what_is_shipped() -> None:
    done = command("chips")
    assert done.returncode == 0
    for name in ("unit", "loihi1-davies2018", "loihi2", "lemaire-45nm", "dense-45nm"):
        assert name in done.stdout


def test_bad_input_is_one_sentence(project: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("hello")
    assert "no such file" in refused("export", "nowhere.pt", cwd=tmp_path)
    assert "text.pt: this is not a PyTorch checkpoint" in refused("export", "text.pt", cwd=tmp_path)
    assert "no artifact there" in refused("simulate", cwd=tmp_path)
    assert "chip" in refused("export", str(project / "model.pt"), "--target", "pentium", cwd=tmp_path)
    assert "choose a neurocore chip" in refused(
        "export", str(project / "model.pt"), "--target", "dense-45nm", cwd=tmp_path
    )
    assert "2 to 8 bits" in refused("export", str(project / "model.pt"), "--bits", "1", cwd=tmp_path)
    assert "baseline 'nobody' is unknown" in refused(
        "simulate", "build/model-loihi2", "--baseline", "nobody", cwd=project
    )
    assert not (tmp_path / "build").exists()


def test_choices_are_checked_before_anything_slow(project: Path, tmp_path: Path) -> None:
    model = str(project / "model.pt")
    cases = {
        ("export", model, "--also", "onnx-stp"): "--also 'onnx-stp': no such form: did you mean 'onnx-step'?",
        ("export", model, "--also", ""): "--also '': no such form: known: lava, lava-stock, netx, nir, ",
        ("export", model, "--calibration", "none.npz"): "none.npz: no such file",
        ("export", model, "--arch", "mynet.Net"): "did you mean 'mynet:Net'?",
        ("export", model, "--input-scale", "a/b"): "--input-scale 'a/b': give a number or a ratio",
        ("inspect", "nowhere.pt"): "nowhere.pt: no such file",
        ("quantize", model, "--json", "new/cost.json"): "new/cost.json: there is no folder new: make it first",
        ("quantize", model, "--qat", "--qat-data", "none.npz"): "none.npz: no such file",
        ("run", "build/none", "--input", "none.npy", "--output", "y.npy"): "none.npy: no such file",
    }
    program = (
        "import json, sys; from snn2chip import cli\n"
        "for arguments in json.loads(sys.argv[1]): assert cli.main(arguments) == 2\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(list(cases))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for sentence, line in zip(cases.values(), done.stderr.splitlines(), strict=True):
        assert sentence in line
    assert not (tmp_path / "new").exists()


def test_inputs_that_say_nothing(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = digits.load().test.x[:4]
    np.savez(tmp_path / "zero.npz", x=np.zeros_like(images))
    np.savez(tmp_path / "small.npz", x=images // 5)
    model, out = str(project / "model.pt"), str(tmp_path / "model.safetensors")
    assert cli.main(["export", model, "--calibration", str(tmp_path / "zero.npz")]) == 2
    assert "zero.npz: all values of x are 0, so nothing can be calibrated on them" in capsys.readouterr().err
    assert cli.main(["quantize", model, "--out", out, "--calibration", model]) == 2
    assert "this is a file of torch.save, no inputs" in capsys.readouterr().err
    assert cli.main(["quantize", model, "--out", out, "--calibration", str(tmp_path / "small.npz")]) == 0
    shown = capsys.readouterr().out
    assert "the largest count in the samples is 3\nSMALL INPUTS: no sample has a count above 3 of 16" in shown
    graph = read_model(out).graph
    assert terminal.input_lines(graph, images) == [
        "input: counts 0..16 stand for the real numbers 0..1; the largest count in the samples is 16"
    ]


def test_bad_arrays_are_one_sentence(project: Path, tmp_path: Path) -> None:
    cases: dict[str, tuple[Any, str]] = {
        "shape": (
            np.zeros((2, 1, 9, 8), np.uint8),
            "the input has shape (2, 1, 9, 8), but this network takes [B, 1, 8, 8]",
        ),
        "dtype": (np.zeros((2, 1, 8, 8)), "the input has dtype float64, but this network takes uint8"),
        "range": (np.full((2, 1, 8, 8), 99, np.uint8), "the input holds 99, but this network takes values 0..16"),
    }
    for name, (array, sentence) in cases.items():
        np.save(tmp_path / f"{name}.npy", array)
        arguments = (
            "run",
            "build/model-loihi2",
            "--input",
            str(tmp_path / f"{name}.npy"),
            "--output",
            str(tmp_path / "y.npy"),
        )
        assert sentence in refused(*arguments, cwd=project)
    assert not (tmp_path / "y.npy").exists()
    arguments = (
        "run",
        "build/model-loihi2",
        "--input",
        str(tmp_path / "none.npy"),
        "--output",
        str(tmp_path / "y.npy"),
    )
    assert "no such file" in refused(*arguments, cwd=project)


def test_output_that_cannot_be_written_is_one_sentence(project: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", digits.load().test.x[:2])
    arguments = ("run", "build/model-loihi2", "--input", str(tmp_path / "x.npy"), "--output", "model.pt/y.npy")
    assert "cannot be written" in refused(*arguments, cwd=project)
    assert "cannot be written" in refused("train", "--recipe", "digits", "--out", "model.pt/m.pt", cwd=project)
    assert "both want standard output" in refused("simulate", "--json", "-", "--html", "-", cwd=project)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "snn2chip", "chips"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (2, "snn2chip: standard output cannot be written: the disk is full\n")


def test_a_reader_that_goes_away_is_no_error(project: Path) -> None:
    script = f"{sys.executable} -m snn2chip inspect model.pt | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=project, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


def test_baselines_that_do_not_fit_are_named(project: Path, tmp_path: Path) -> None:
    assert "baseline 'foo': nope: no such folder" in refused("simulate", "--baseline", "foo=nope", cwd=project)
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 9, 9), np.uint8))
    arguments = ("simulate", "build/model-loihi2", "--input", str(tmp_path / "x.npz"), "--baseline", "none")
    assert "network 'model': the input has shape" in refused(*arguments, cwd=project)
    assert "this is a file: name the folder" in refused("verify", "model.pt", cwd=project)


def test_an_unwritable_report_is_refused_before_the_simulation(project: Path) -> None:
    assert "report.html: cannot be written" in refused("simulate", "--html", "model.pt/report.html", cwd=project)
    assert "this is a folder" in refused("simulate", "--json", "build", cwd=project)


def test_a_network_of_another_training_is_said_to_be(project: Path) -> None:
    model = project / "short.pt"
    done = command("train", "--recipe", "digits", "--out", "short.pt", "--epochs", "1", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "best epoch: 1" in done.stdout
    assert command("export", "short.pt", "--out", "build/short", cwd=project).returncode == 0
    done = command("simulate", "build/short", "--baseline", "sew", cwd=project)
    shutil.rmtree(project / "build/short")
    model.unlink()
    assert "short was not trained as sew were" in " ".join(done.stdout.split())
    done = command("simulate", "build/model-loihi2", "--baseline", "sew", cwd=project)
    assert "was not trained as" not in " ".join(done.stdout.split())


def test_labels_that_the_network_does_not_have_are_refused(project: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=digits.load().test.x[:2], y=np.array([3, 10]))
    sentence = refused("simulate", "build/model-loihi2", "--input", str(tmp_path / "x.npz"), cwd=project)
    assert "the labels y hold 10" in sentence


def test_a_broken_lava_environment_does_not_keep_the_other_forms_from_running(project: Path) -> None:
    environment = {**os.environ, "SNN2CHIP_LAVA_PYTHON": "/bin/false"}
    done = subprocess.run(
        [sys.executable, "-m", "snn2chip", "export", "model.pt", "--out", "build/without-lava"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(project / "build/without-lava")
    assert done.returncode == 0, done.stderr
    assert "certificate: NOT RUN" in done.stdout
    assert "SNN2CHIP_LAVA_PYTHON names /bin/false, which does not run" in done.stdout
    assert done.stdout.count("EXACT") == 3


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = command("export", "nowhere.pt", "--debug", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_usage_errors_exit_with_two() -> None:
    assert command("export").returncode == 2
    assert command("fly").returncode == 2
    assert command().returncode == 2


def test_an_interrupt_inside_executed_text_still_ends_with_130(tmp_path: Path) -> None:
    """As when Ctrl-C falls into a dataclass that is being made: Python then remembers the interrupt as unhandled."""
    (tmp_path / "program.py").write_text(
        "from snn2chip import cli\n"
        "class Command:\n"
        "    @staticmethod\n"
        "    def add(commands):\n"
        "        execute = lambda options: exec('raise KeyboardInterrupt')\n"
        "        commands.add_parser('wait').set_defaults(execute=execute, debug=False)\n"
        "cli.COMMANDS = (Command,)\n"
        "cli.entry()\n"
    )
    done = subprocess.run([sys.executable, "-m", "program", "wait"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr


def test_an_interrupt_inside_a_finalizer_is_not_lost(tmp_path: Path) -> None:
    """As when Ctrl-C falls into a weak reference's callback while modules load: Python prints it and goes on."""
    (tmp_path / "program.py").write_text(
        "import signal, time\n"
        "from snn2chip import cli\n"
        "class Interrupted:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "def execute(options):\n"
        "    Interrupted()\n"
        "    time.sleep(20)\n"
        "    return 0\n"
        "class Command:\n"
        "    @staticmethod\n"
        "    def add(commands):\n"
        "        commands.add_parser('wait').set_defaults(execute=execute, debug=False)\n"
        "cli.COMMANDS = (Command,)\n"
        "cli.entry()\n"
    )
    done = subprocess.run([sys.executable, "-m", "program", "wait"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("snn2chip: interrupted"), done.stderr


@pytest.mark.parametrize("delay", [0.2, 1.5, 3.0, 4.5, 6.0])
def test_interrupting_an_export_leaves_the_old_artifact_whole(project: Path, tmp_path: Path, delay: float) -> None:
    """Ctrl-C at several moments, from start-up to the certificate."""
    shutil.copytree(project, tmp_path / "project")
    folder = tmp_path / "project"
    before = artifact.read(folder / "build/model-loihi2").manifest["digest"]
    process = subprocess.Popen(
        [sys.executable, "-m", "snn2chip", "export", "model.pt"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert artifact.read(folder / "build/model-loihi2").manifest["digest"] == before
    assert [path.name for path in (folder / "build").iterdir()] == ["model-loihi2"]
    assert "Traceback" not in errors or delay < 1  # before that, Python itself may still be starting
    if process.returncode == 0:  # a fast machine was done by then
        assert "certificate: EXACT" in output
    elif delay > 1:
        assert process.returncode == 130, errors
        assert errors.startswith("snn2chip: interrupted"), errors
