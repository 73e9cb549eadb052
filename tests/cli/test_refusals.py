"""What the commands refuse: one sentence each, before anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import terminal
from snn2chip.data import digits
from snn2chip.quantize.quantized_file import read_model
from tests.commands import Command


@pytest.fixture
def here(exported: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(exported)
    return exported


def test_bad_input_is_one_sentence(
    exported: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = str(exported / "model.pt")
    (tmp_path / "text.pt").write_text("hello")
    assert "no such file" in command.refused("export", "nowhere.pt")
    assert "text.pt: this is not a PyTorch checkpoint" in command.refused("export", "text.pt")
    assert "no artifact there" in command.refused("simulate")
    assert "chip" in command.refused("export", model, "--target", "pentium")
    assert "choose a neurocore chip" in command.refused("export", model, "--target", "dense-45nm")
    assert "2 to 8 bits" in command.refused("export", model, "--bits", "1")
    known = str(exported / "build/model-loihi2")
    assert "baseline 'nobody' is unknown" in command.refused("simulate", known, "--baseline", "nobody")
    assert not (tmp_path / "build").exists()


def test_choices_are_checked_before_anything_slow(exported: Path, tmp_path: Path) -> None:
    model = str(exported / "model.pt")
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
        ("run", "build/none", "--input", "none.npy", "--output", "y.txt"): "--output y.txt: logits are written with",
        ("verify", "build/none", "--json", "-", "--html", "-"): "--json - and --html - both want standard output",
        ("verify", "build/none", "--json", "a", "--html", "a"): "--html a: that is the file of --json",
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


def test_inputs_that_say_nothing(exported: Path, tmp_path: Path, command: Command) -> None:
    images = digits.load().test.x[:4]
    np.savez(tmp_path / "zero.npz", x=np.zeros_like(images))
    np.savez(tmp_path / "small.npz", x=images // 5)
    model, out = str(exported / "model.pt"), str(tmp_path / "model.safetensors")
    assert "zero.npz: all values of x are 0, so nothing can be calibrated on them" in command.refused(
        "export", model, "--calibration", str(tmp_path / "zero.npz")
    )
    assert "this is a file of torch.save, no inputs" in command.refused(
        "quantize", model, "--out", out, "--calibration", model
    )
    shown = command.done("quantize", model, "--out", out, "--calibration", str(tmp_path / "small.npz"))
    assert "the largest count in the samples is 3\nSMALL INPUTS: no sample has a count above 3 of 16" in shown
    graph = read_model(out).graph
    assert terminal.input_lines(graph, images) == [
        "input: counts 0..16 stand for the real numbers 0..1; the largest count in the samples is 16"
    ]


def test_bad_arrays_are_one_sentence(here: Path, tmp_path: Path, command: Command) -> None:
    cases: dict[str, tuple[Any, str]] = {
        "shape": (
            np.zeros((2, 1, 9, 8), np.uint8),
            "the input has shape (2, 1, 9, 8), but this network takes [B, 1, 8, 8]",
        ),
        "dtype": (np.zeros((2, 1, 8, 8)), "the input has dtype float64, but this network takes uint8"),
        "range": (np.full((2, 1, 8, 8), 99, np.uint8), "the input holds 99, but this network takes values 0..16"),
    }
    run = ("run", "build/model-loihi2", "--output", str(tmp_path / "y.npy"), "--input")
    for name, (array, sentence) in cases.items():
        np.save(tmp_path / f"{name}.npy", array)
        assert sentence in command.refused(*run, str(tmp_path / f"{name}.npy"))
    assert not (tmp_path / "y.npy").exists()
    assert "no such file" in command.refused(*run, str(tmp_path / "none.npy"))


def test_per_step_keeps_the_time_axis(here: Path, tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "x.npz", x=digits.load().test.x[:3])
    files = ("--input", str(tmp_path / "x.npz"), "--output", str(tmp_path / "y.npy"))
    command.done("run", "build/model-loihi2", *files, "--per-step")
    assert np.load(tmp_path / "y.npy").shape == (3, 1, 10)


def test_output_that_cannot_be_written_is_one_sentence(here: Path, tmp_path: Path, command: Command) -> None:
    np.save(tmp_path / "x.npy", digits.load().test.x[:2])
    arguments = ("run", "build/model-loihi2", "--input", str(tmp_path / "x.npy"), "--output", "model.pt/y.npy")
    assert "cannot be written" in command.refused(*arguments)
    assert "cannot be written" in command.refused("train", "--recipe", "digits", "--out", "model.pt/m.pt")
    assert "both want standard output" in command.refused("simulate", "--json", "-", "--html", "-")


def test_baselines_that_do_not_fit_are_named(here: Path, tmp_path: Path, command: Command) -> None:
    assert "baseline 'foo': nope: no such folder" in command.refused("simulate", "--baseline", "foo=nope")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 9, 9), np.uint8))
    arguments = ("simulate", "build/model-loihi2", "--input", str(tmp_path / "x.npz"), "--baseline", "none")
    assert "network 'model': the input has shape" in command.refused(*arguments)
    assert "this is a file: name the folder" in command.refused("verify", "model.pt")


def test_an_unwritable_report_is_refused_before_the_simulation(here: Path, command: Command) -> None:
    assert "report.html: cannot be written" in command.refused("simulate", "--html", "model.pt/report.html")
    assert "this is a folder" in command.refused("simulate", "--json", "build")


def test_labels_that_the_network_does_not_have_are_refused(here: Path, tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "x.npz", x=digits.load().test.x[:2], y=np.array([3, 10]))
    sentence = command.refused("simulate", "build/model-loihi2", "--input", str(tmp_path / "x.npz"))
    assert "the labels y hold 10" in sentence
