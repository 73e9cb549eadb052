"""Models from elsewhere on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snn2chip import artifact, cli, frontend, interpreter
from snn2chip.errors import UserError

MODELS = """
from torch import nn
from snn2chip.nn import MultiLevelIF

def small(classes, levels=2):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), MultiLevelIF(levels=levels), nn.Flatten(),
        nn.Linear(64, classes),
    )
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where somebody has a network of their own and its weights."""
    (tmp_path / "models_of_mine.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Identity(), nn.Flatten(), nn.Linear(64, 3)
    )
    torch.save({"state_dict": nn.DataParallel(model).state_dict(), "epoch": 4}, tmp_path / "net.pt")
    return tmp_path


ARCH = ("--arch", "models_of_mine:small", "--arch-kw", "classes=3", "--arch-kw", "levels=4")
INPUT = ("--input-shape", "1,4,4", "--input-largest", "16", "--input-scale", "0.0625")


def test_export_of_a_network_from_elsewhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(
        "samples.npz", x=np.random.default_rng(0).integers(0, 17, (5, 1, 4, 4)).astype(np.uint8), y=np.zeros(5, int)
    )
    assert cli.main(["export", "net.pt", *ARCH, *INPUT, "--calibration", "samples.npz", "--bits", "4"]) == 0
    assert "certificate: " in capsys.readouterr().out
    read = artifact.read("build/net-loihi2")
    manifest = json.loads(Path("build/net-loihi2/manifest.json").read_text())
    source = manifest["model"]["training"]["source"]
    assert source["arch"] == "models_of_mine:small"
    assert source["arch_kwargs"] == {"classes": 3, "levels": 4}
    assert read.graph.input.op.largest == 16  # type: ignore[attr-defined]
    results = json.loads(Path("build/net-loihi2/certificate.json").read_text())["results"]
    assert {found["status"] for found in results if found["form"] in ("torch", "nir", "onnx")} == {"EXACT"}


def test_the_input_scale_is_that_of_the_float_network(folder: Path) -> None:
    options = frontend.ImportOptions("models_of_mine:small", {"classes": 3}, (1, 4, 4), 16, 1 / 16)
    loaded = frontend.load("net.pt", options)
    images = np.random.default_rng(1).integers(0, 17, (6, 1, 4, 4)).astype(np.uint8)
    assert loaded.model is not None
    with torch.no_grad():
        expected = loaded.model(torch.from_numpy(images) / 16).numpy()
    np.testing.assert_allclose(interpreter.run(loaded.graph, images)[:, 0], expected, rtol=1e-5, atol=1e-5)


def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", "net.pt", *ARCH, *INPUT]) == 0
    shown = capsys.readouterr()
    assert "net.pt: model file, T=1" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name it with --arch"),
        (ARCH, "give --input-shape"),
        ((*ARCH, "--input-shape", "1,4"), "--input-shape 1,4: write 1,1,4 for one channel of 1x4, or 4 for 4 features"),
        ((*ARCH, "--input-shape", "1x4x4"), "--input-shape '1x4x4': give whole numbers"),
        ((*ARCH, *INPUT, "--arch-kw", "classes"), "--arch-kw 'classes': give it as name=value"),
        (("--arch", "models_of_mine:small", *INPUT), "calling it failed (TypeError: small() missing"),
        (
            ("--arch", "models_of_mine:small", "--arch-kw", "classes=4", *INPUT),
            "where other shapes belong to '4.bias [3]'",
        ),
    ],
)
def test_what_is_missing_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert cli.main(["inspect", "net.pt", *arguments]) == 2
    shown = capsys.readouterr().err
    assert sentence in shown
    assert shown.count("\n") == 1


def test_allow_pickle_says_what_it_risks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), "module.pt")
    assert cli.main(["inspect", "module.pt", "--input-shape", "1,4,4"]) == 2
    assert "refused, because it holds pickled objects" in capsys.readouterr().err
    assert cli.main(["inspect", "module.pt", "--input-shape", "1,4,4", "--allow-pickle"]) == 0
    shown = capsys.readouterr()
    assert "runs whatever code the file holds, with your rights" in shown.err
    assert "Linear" in shown.out


@pytest.mark.parametrize(
    "given", [["--input-shape", "1,8,8"], ["--arch-kw", "width=4"], ["--steps", "2"], ["--dt", "1"]]
)
def test_an_artifact_takes_none_of_the_options(
    folder: Path, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    (folder / "artifact").mkdir(exist_ok=True)
    for command in (["inspect"], ["sweep", "--out", str(folder / "store")]):
        assert cli.main([*command, str(folder / "artifact"), *given]) == 2
        assert f"{given[0]}: {folder / 'artifact'} is an artifact, which says that itself" in capsys.readouterr().err


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, np.save])
def test_arrays_are_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str], save: Any) -> None:
    path = tmp_path / ("x.npy" if save is np.save else "x.npz")
    save(path, *([np.zeros(3)] if save is np.save else []), **({} if save is np.save else {"images": np.zeros(3)}))
    assert cli.main(["inspect", str(path)]) == 2
    held = "" if save is np.save else " (images)"
    assert f"{path}: these are NumPy arrays{held} and no model: give the file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "shape", [{1: 2, 8: 3, 9: 4}, True, (True, 8, 8), 5, "188", (1.0, 8, 8), (1, 8), (0, 8, 8), b"188"]
)
def test_a_shape_is_one_or_three_whole_numbers(tmp_path: Path, shape: Any) -> None:
    with pytest.raises(UserError, match=r"^--input-shape .*: give C,H,W or F, each at least 1"):
        frontend.ImportOptions(input_shape=shape)
    with pytest.raises(UserError, match=r"^input_shape .*: give C,H,W or F, each at least 1"):
        frontend.capture(nn.Linear(8, 3), shape)
