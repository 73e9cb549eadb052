"""``snn2chip train`` on CIFAR-format files of random pixels that the test writes, and on files of one's own.

No CIFAR image is at hand: these runs show that the whole recipe works on the format, and nothing about accuracy.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from snn2chip import cli, data
from snn2chip.data.cifar import CIFAR10, CIFAR100
from snn2chip.training import RECIPES, train
from tests.data.cifar_files import folder


def test_cifar_from_files_to_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(CIFAR10, tmp_path)
    out = tmp_path / "model.pt"
    arguments = ["train", "--recipe", "cifar10-resnet18", "--root", str(tmp_path), "--out", str(out), "--epochs", "2"]
    assert cli.main(arguments) == 2
    assert "its digest is not that of the original CIFAR-10 file" in capsys.readouterr().err
    changes = ["--unchecked-data", "--width", "4", "--levels", "2", "--steps", "2", "--block", "sew"]
    assert cli.main([*arguments, *changes, "--device", "cpu", "--log", "csv"]) == 0
    printed = capsys.readouterr().out
    assert "data: files in the format of CIFAR-10, NOT checked to be the original" in printed
    assert f"{out}: " in printed
    content = torch.load(out, weights_only=True)
    kwargs = content["arch_kwargs"]
    assert [kwargs[name] for name in ("block", "levels", "steps", "width")] == ["sew", 2, 2, 4]
    assert (content["dataset"], content["input_largest"], len(content["class_names"])) == ("cifar10", 255, 10)
    assert len((tmp_path / "model.pt.log.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("cifar") and "resnet18" not in name])
def test_every_cifar_recipe_runs(name: str, tmp_path: Path) -> None:
    edition = CIFAR100 if "cifar100" in name else CIFAR10
    folder(edition, tmp_path, per_file=200 if edition is CIFAR100 else 20)
    dataset = data.load(edition.name, root=tmp_path, unchecked=True)
    recipe = RECIPES[name].with_network(width=2, hidden=[8])
    recipe = dataclasses.replace(recipe, validation_fraction=0.5)
    result = train(recipe, tmp_path / "model.pt", epochs=1, dataset=dataset)
    assert result.epochs == 1
    assert 0 <= result.test_accuracy <= 1
    assert torch.load(result.path, weights_only=True)["recipe"]["autoaugment"] is True


def test_several_seeds_on_a_file_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    classes = np.arange(120) % 3
    images = generator.integers(0, 60, (120, 2, 8, 8), dtype=np.uint8)
    images[np.arange(120), classes % 2, classes * 2] += 150  # another bright row for each class
    np.savez(tmp_path / "own.npz", x=images, y=classes)
    out = tmp_path / "m.pt"
    arguments = ["train", "--recipe", "digits", "--data", str(tmp_path / "own.npz"), "--out", str(out)]
    assert cli.main([*arguments, "--seeds", "0,2", "--epochs", "40", "--width", "4", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "over 2 seeds (mean, standard deviation)" in printed
    summary = json.loads((tmp_path / "m-seeds.json").read_text())
    assert summary["recipe"]["dataset"] == "own"
    assert summary["recipe"]["arch_kwargs"]["in_channels"] == 2
    assert summary["accuracy"]["mean"] > 0.6, "three rows are easily told apart"


def test_bad_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["train", "--recipe", "digits", "--out", str(tmp_path / "m.pt")]
    for options, sentence in (
        (["--seeds", "0,x"], "--seeds '0,x': give whole numbers with commas between"),
        (["--device", "tpu"], "device 'tpu'"),
        (["--block", "dense"], "block must be one of"),
        (["--data", "nowhere.npz"], "data set 'nowhere.npz': no such file, and no such name"),
        (["--loader", "nothing:here"], "--loader 'nothing:here': nothing cannot be imported"),
    ):
        assert cli.main([*base, *options]) == 2
        assert sentence in capsys.readouterr().err
    np.savez(tmp_path / "own.npz", x=np.zeros((40, 3, 32, 32), np.uint8), y=np.arange(40) % 2)
    vgg = ["train", "--recipe", "cifar10-vgg16", "--data", str(tmp_path / "own.npz"), "--out", str(tmp_path / "m.pt")]
    assert cli.main([*vgg, "--block", "sew"]) == 2
    assert "Architecture 'vgg16' does not take these arch_kwargs" in capsys.readouterr().err
