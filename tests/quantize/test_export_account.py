"""What an export says of the integers that it wrote: their accuracy, and what they say coarsely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from snn2chip import api, cli, engine, nn, terminal, zoo
from snn2chip.artifact import Samples
from snn2chip.data import digits
from snn2chip.errors import UserError
from snn2chip.frontend import ImportOptions
from snn2chip.hw_models.chip import load_chip

TEST = digits.load().test
SAMPLES = Samples(TEST.x[:100], TEST.y[:100])


def exported(compiled: api.Compiled, folder: Path) -> api.Exported:
    return api.write(compiled, load_chip("loihi2"), folder, forms=())


def compiled(input_scale: float) -> api.Compiled:
    """A shipped network, which was trained on grey levels scaled by 1/16, at any scale."""
    content = torch.load(zoo.path("sparse-n4-t1"), weights_only=True)
    model = nn.build(content["arch"], {**content["arch_kwargs"], "input_scale": input_scale})
    model.load_state_dict(content["state_dict"])
    return api.compile_module(model.eval(), "own", (1, 8, 8), 16, SAMPLES)


def test_the_accuracy_is_that_of_the_integers(tmp_path: Path) -> None:
    network = compiled(1 / 16)
    found = exported(network, tmp_path / "own")
    classes = engine.run(network.graph, SAMPLES.x).sum(axis=1).argmax(axis=1)
    accuracy = float(np.mean(classes == SAMPLES.y))
    assert found.accuracy == accuracy > 0.95
    shown = terminal.export_summary(found)
    assert f"accuracy of the integers: {100 * accuracy:.2f} % of 100 samples" in shown
    assert "NEAR CHANCE" not in shown
    assert "input: counts 0..16 stand for the real numbers 0..1; the largest count in the samples is 16\n" in shown


def test_a_forgotten_scale_is_noticed(tmp_path: Path) -> None:
    found = exported(compiled(1.0), tmp_path / "own")
    assert found.accuracy is not None
    assert found.near_chance, found.accuracy
    shown = terminal.export_summary(found)
    assert "NEAR CHANCE: was the network trained, is --input-scale the real input per count" in shown
    assert "input: counts 0..16 are the real numbers that the network takes (--input-scale 1); the largest" in shown


def test_without_classes_there_is_no_accuracy(tmp_path: Path) -> None:
    network = compiled(1 / 16)
    bare = api.Compiled(network.graph, "own", samples=Samples(SAMPLES.x[:2]))
    found = exported(bare, tmp_path / "own")
    assert (found.accuracy, found.near_chance) == (None, False)
    assert "accuracy" not in terminal.export_summary(found)


def test_coarse_thresholds_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At 2 bits the largest weight is one unit, and so are thresholds."""
    network = api.compile_file(zoo.path("sparse-n4-t1"), bits=2)
    assert network.coarse
    assert network.coarse[0].startswith("stem.2: theta of channel ")
    shown = terminal.export_summary(exported(network, tmp_path / "own"))
    assert f"\napproximated: {network.coarse[0]}\n" in shown
    assert cli.main(["inspect", str(zoo.path("sparse-n4-t1"))]) == 0
    assert "approximated" not in capsys.readouterr().out  # at 8 bits nothing moved by a twentieth


@pytest.mark.parametrize("classes", [[0, 10], [0, -1]])
def test_labels_of_no_class_are_refused(tmp_path: Path, classes: list[int]) -> None:
    np.savez(tmp_path / "x.npz", x=SAMPLES.x[:2], y=np.array(classes))
    with pytest.raises(UserError, match=rf"^{tmp_path}/x\.npz: (the labels y hold 10, but|y holds -1\.\.0, but)"):
        api.compile_file(zoo.path("sparse-n4-t1"), tmp_path / "x.npz")


def test_inputs_that_do_not_fit_are_the_files_fault(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 9, 9), np.uint8))
    with pytest.raises(UserError, match=rf"^{tmp_path}/x\.npz: the input has shape \(2, 1, 9, 9\)"):
        api.compile_file(zoo.path("sparse-n4-t1"), tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x=np.zeros((0, 1, 8, 8), np.uint8))
    with pytest.raises(UserError, match=rf"^{tmp_path}/x\.npz: there are no inputs"):
        api.compile_file(zoo.path("sparse-n4-t1"), tmp_path / "x.npz")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a network that somebody wrote."""
    monkeypatch.chdir(tmp_path)
    Path("somebodys.py").write_text(
        "from torch import nn\n"
        "from snn2chip.nn import MultiLevelIF\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 2, 3), MultiLevelIF(levels=4), nn.Flatten(), nn.Linear(72, 3))\n"
    )
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(1, 2, 3), nn.MultiLevelIF(levels=4), torch.nn.Flatten(), torch.nn.Linear(72, 3))
    torch.save(torch.nn.Sequential(*layers).state_dict(), "net.pt")
    return Path("net.pt")


@pytest.mark.parametrize(("text", "scale"), [("1/16", 1 / 16), ("0.25", 0.25), ("1.0 / 255", 1 / 255)])
def test_scales_may_be_ratios(weights: Path, text: str, scale: float, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["inspect", str(weights), "--arch", "somebodys:net", "--input-shape", "1,8,8"]
    assert cli.main([*arguments, "--input-scale", text]) == 0
    options = ImportOptions("somebodys:net", input_shape=(1, 8, 8), input_scale=scale)
    assert api.inspect(weights, options) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--input-shape", "1,8,8", "--input-scale", "1/0"], "--input-scale '1/0': give a number or a ratio, such as"),
        (["--input-shape", "1,8,8", "--input-scale", "2/3/4"], "--input-scale '2/3/4': give a number or a ratio"),
        (["--input-shape", "1,8,8", "--input-scale", "0"], "--input-scale and --dt: give positive numbers"),
        (["--input-shape", "8,8"], "--input-shape 8,8: write 1,8,8 for one channel of 8x8, or 64 for 64 features"),
        (["--input-shape", "8x8"], "--input-shape '8x8': give whole numbers with commas between"),
    ],
)
def test_import_options_out_of_range(
    weights: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["inspect", str(weights), "--arch", "somebodys:net", *options]) == 2
    assert capsys.readouterr().err.startswith(f"snn2chip: {sentence}")
