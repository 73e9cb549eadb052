"""``snn2chip quantize`` as a user types it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snn2chip import api, engine, frontend, nn, zoo
from snn2chip.data import digits
from snn2chip.ops import Conv2d, Linear, MultiLevelIF
from snn2chip.quantize.quantized_file import read_model
from tests.commands import Command

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Run:
    """Runs the command in a folder that holds a digits checkpoint: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(zoo.path("binary-t1"), "model.pt")
    return partial(command, "quantize")


def test_a_checkpoint_becomes_a_file_and_a_table(run: Run) -> None:
    code, out, err = run("model.pt", "--bits", "4")
    assert (code, err) == (0, "")
    assert out.endswith("build/model-int4.safetensors\n")
    assert "weights: 4.00 bits on average; calibrated on: 512 inputs of the training part of digits" in out
    assert "of 450 held-out inputs" in out
    assert "accuracy: 99.33 % float, " in out
    table = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert table["stages.1.0.conv2"][1:4] == ["Conv2d", "36864", "4"]
    assert table["stem.2"][6] == "comparison"  # a binary neuron divides by nothing
    model = read_model("build/model-int4.safetensors")
    for node in model.graph.of_kind(Conv2d, Linear):
        assert np.abs(np.asarray(node.op.weight)).max() <= 7  # type: ignore[attr-defined]
    assert model.class_names == tuple("0123456789")
    assert model.metadata["dataset"] == "digits"
    assert model.metadata["quantization"]["settings"]["precision"]["weight_bits"] == 4


def test_export_takes_the_file_as_it_is(run: Run, tmp_path: Path) -> None:
    assert run("model.pt", "--bits", "3", "--out", "three.safetensors")[0] == 0
    graph = read_model("three.safetensors").graph
    compiled = api.compile_file(tmp_path / "three.safetensors")
    assert compiled.graph.digest == graph.digest
    assert compiled.class_names == tuple("0123456789")
    assert compiled.samples is not None
    assert len(compiled.samples) == 450  # the test part, found by the data set's name


def test_the_printed_accuracy_is_that_of_the_written_network(run: Run) -> None:
    assert run("model.pt", "--bits", "2", "--json", "cost.json")[0] == 0
    document = json.loads(Path("cost.json").read_text())
    test = digits.load().test
    graph = read_model("build/model-int2.safetensors").graph
    accuracy = np.mean(engine.run(graph, test.x).sum(axis=1).argmax(axis=1) == test.y)
    assert document["cost"]["agreement"]["integer_accuracy"] == accuracy
    assert document["graph_digest"] == graph.digest
    assert document["compared_on_held_out_inputs"] is True


def test_json_alone_on_standard_output(run: Run) -> None:
    code, out, _ = run("model.pt", "--json", "-", "--out", "eight.safetensors")
    assert code == 0
    assert json.loads(out)["cost"]["average_bits"] == 8


def test_layers_and_thresholds_as_asked(run: Run) -> None:
    arguments = ("--bits", "3", "--layer-bits", "stem.*=8,head=6", "--shift-thresholds", "--scale", "mse")
    code, out, _ = run("model.pt", *arguments)
    assert code == 0
    model = read_model("build/model-int3.safetensors")
    bits = {layer["name"]: layer["bits"] for layer in model.quantization["cost"]["layers"]}
    assert (bits["stem.0"], bits["head"], bits["stages.0.0.conv1"]) == (8, 6, 3)
    for node in model.graph.of_kind(MultiLevelIF):
        theta: Any = node.op.theta  # type: ignore[attr-defined]
        assert ((theta & (theta - 1)) == 0).all()
    assert "division" not in out


def test_an_average_of_bits(run: Run) -> None:
    assert run("model.pt", "--average-bits", "3.5")[0] == 0
    cost = read_model("build/model-mixed.safetensors").quantization["cost"]
    assert 3.3 < cost["average_bits"] <= 3.5


def test_the_same_command_gives_the_same_file(run: Run) -> None:
    for name in ("a", "b"):
        assert run("model.pt", "--bits", "4", "--out", f"{name}.safetensors")[0] == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


@pytest.fixture
def foreign(run: Run) -> Path:
    """A checkpoint whose data set nobody knows."""
    torch.manual_seed(0)
    model = nn.resnet(width=4, blocks_per_stage=[1], strides=[1])
    nn.save(model, "foreign.pt", input_shape=[3, 8, 8])
    return Path("foreign.pt")


def test_a_network_without_data_is_rounded_and_says_so(run: Run, foreign: Path) -> None:
    code, out, _ = run(str(foreign), "--bits", "4")
    assert code == 0
    assert "calibrated on: none" in out
    assert "NO INPUTS" in out
    settings = read_model("build/foreign-int4.safetensors").quantization["settings"]
    assert (settings["scale"], settings["corrections"]) == ("mse", [])


def test_given_inputs_calibrate(run: Run, foreign: Path) -> None:
    inputs = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8)).astype(np.uint8)
    np.savez("x.npz", x=inputs)
    code, out, _ = run(str(foreign), "--bits", "3", "--calibration", "x.npz", "--out", "given.safetensors")
    assert code == 0
    assert "calibrated on: 20 given inputs" in out
    assert "of 20 inputs, those of the calibration" in out
    assert run(str(foreign), "--bits", "3", "--out", "none.safetensors")[0] == 0
    given, none = (read_model(f"{name}.safetensors").graph for name in ("given", "none"))
    assert given.digest != none.digest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bits", "9"), "snn2chip: --bits 9: weights take 2 to 8 bits"),
        (("--layer-bits", "head=1"), "snn2chip: --layer-bits head=1: weights take 2 to 8 bits"),
        (("--layer-bits", ""), "snn2chip: --layer-bits '': give names and bits"),
        (("--layer-bits", "stem.*"), "--layer-bits 'stem.*': give names and bits, such as 'stem.*=8,head=8'"),
        (("--layer-bits", "trunk.*=4"), "model.pt: --layer-bits 'trunk.*': no layer is called so: they are stem.0, "),
        (("--average-bits", "1"), "--average-bits 1: weights take 2 to 8 bits"),
        (("--scale", "median"), "--scale median: this is unknown: choose one of max, percentile, mse, error"),
        (("--correct", "weights"), "--correct weights: this is unknown"),
        (("--shift-thresholds", "--correct", "threshold"), "leave threshold out of --correct"),
        (
            ("--qat", "--shift-thresholds"),
            "snn2chip: --qat moves thresholds, which then are no powers of two",
        ),
        (("--percentile", "99"), "snn2chip: --percentile has no effect without --scale percentile"),
        (("--scale", "percentile", "--percentile", "20"), "snn2chip: --percentile 20: it must lie in 50..100"),
        (("--out", "model.pt"), "model.pt: name a .safetensors file"),
        (("--calibration", "nowhere.npz"), "nowhere.npz: no such file"),
        (("--json", "model.pt"), "snn2chip: --json model.pt: that is the file of MODEL: write to another one"),
        (
            ("--json", "same.safetensors", "--out", "./same.safetensors"),
            "snn2chip: --json same.safetensors: that is the file of --out: write to another one",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run("model.pt", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("build").exists()


def test_inputs_that_do_not_fit_are_refused(run: Run) -> None:
    np.savez("x.npz", x=np.zeros((4, 3, 8, 8), np.uint8))
    code, _, err = run("model.pt", "--calibration", "x.npz")
    assert code == 2
    assert err.startswith("snn2chip: x.npz: the input has shape (4, 3, 8, 8)")


@pytest.mark.parametrize("options", [("--calibration", "x.npz"), ("--qat", "--qat-data", "x.npz")])
def test_labels_of_other_classes_are_refused(run: Run, options: tuple[str, ...]) -> None:
    np.savez("x.npz", x=np.zeros((4, 1, 8, 8), np.uint8), y=np.array([1, 2, 10, 3]))
    code, _, err = run("model.pt", *options)
    assert code == 2
    assert err.startswith("snn2chip: x.npz: the labels y hold 10, but this network has the classes 0..9")


def test_the_accuracies_in_the_file_say_whose_they_are(run: Run) -> None:
    assert run("model.pt", "--bits", "2")[0] == 0
    model = read_model("build/model-int2.safetensors")
    test = digits.load().test
    found = np.mean(engine.run(model.graph, test.x).sum(axis=1).argmax(axis=1) == test.y)
    checkpoint = frontend.read("model.pt").metadata
    assert model.metadata["float_accuracy"] == checkpoint["accuracy"]
    assert model.metadata["integer_accuracy"] == found
    assert not {"accuracy", "validation_accuracy"} & set(model.metadata)
    assert model.metadata["float_validation_accuracy"] == checkpoint["validation_accuracy"]


def test_an_integer_network_is_not_quantized_again(run: Run) -> None:
    assert run("model.pt", "--out", "once.safetensors")[0] == 0
    code, _, err = run("once.safetensors")
    assert code == 2
    assert "once.safetensors: it is quantized already" in err


def test_error_scales_need_inputs(run: Run, foreign: Path) -> None:
    code, _, err = run(str(foreign), "--scale", "error")
    assert code == 2
    assert "calibration needs inputs: give some with --calibration X.npz" in err


def test_the_float_network_is_the_one_that_was_trained(run: Run) -> None:
    """What `agreement` calls the float network is the checkpoint's own module."""
    assert run("model.pt", "--json", "cost.json")[0] == 0
    found = json.loads(Path("cost.json").read_text())["cost"]["agreement"]["float_accuracy"]
    checkpoint = frontend.read("model.pt")
    assert found == pytest.approx(checkpoint.metadata["accuracy"], abs=1e-9)


def test_export_calibrates_on_the_inputs_that_it_is_given(run: Run) -> None:
    train = digits.load().train
    np.savez("x.npz", x=train.x[:100], y=train.y[:100])
    plain, calibrated = (api.compile_file("model.pt", given, bits=3) for given in (None, "x.npz"))
    assert calibrated.graph.digest != plain.graph.digest
    assert calibrated.samples is not None
    assert len(calibrated.samples) == 100
    test = digits.load().test
    accuracies = [
        np.mean(engine.run(found.graph, test.x).sum(axis=1).argmax(axis=1) == test.y) for found in (plain, calibrated)
    ]
    assert accuracies[1] >= accuracies[0]


def test_fine_tuning_takes_labelled_calibration_inputs(run: Run, foreign: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (20, 3, 8, 8)).astype(np.uint8)
    arguments = (str(foreign), "--calibration", "x.npz", "--qat", "--qat-epochs", "1", "--out", "tuned.safetensors")
    np.savez("x.npz", x=inputs)
    code, _, err = run(*arguments)
    assert (code, err) == (
        2,
        "snn2chip: x.npz: fine-tuning needs classes: give an .npz with x and y, with --qat-data X.npz\n",
    )
    np.savez("x.npz", x=inputs, y=np.arange(20) % 10)
    code, out, _ = run(*arguments)
    assert code == 0
    assert "fine-tuned: " in out
    assert read_model("tuned.safetensors").quantization["fine_tuning"]["settings"]["epochs"] == 1


def test_shifts_where_nothing_is_divided_are_refused(run: Run) -> None:
    Path("plain.py").write_text("from torch import nn\ndef net(): return nn.Linear(4, 2)\n")
    torch.save(torch.nn.Linear(4, 2).state_dict(), "plain.pt")
    arguments = ("plain.pt", "--arch", "plain:net", "--input-shape", "4", "--scale", "mse")
    assert run(*arguments)[0] == 0
    code, _, err = run(*arguments, "--shift-thresholds")
    assert code == 2
    assert err.startswith("snn2chip: plain.pt: --shift-thresholds has no effect: no neuron divides")
