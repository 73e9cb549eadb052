"""The fair set, trained: one budget for all, nothing trained twice, and tables that hold what was measured."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snn2chip import baselines, cli, data, frontend, interpreter
from snn2chip.data import Dataset, Split
from snn2chip.errors import UserError
from snn2chip.quantize import Precision, quantize
from snn2chip.training import RECIPES, Recipe, fair_set
from snn2chip.training.loop import Epoch

DIGITS = RECIPES["digits"]
SHAPE = {**DIGITS.arch_kwargs, "width": 2, "blocks_per_stage": [1], "strides": [2]}
TINY = dataclasses.replace(DIGITS, name="tiny", arch_kwargs=SHAPE, batch_size=150)
LABELS = [
    *("sparse-n4-t1", "binary-t4", "binary-t1", "qann-3bit"),
    *("sew-n4-t1", "spiking-n4-t1", "ms-n4-t1", "barrier-surrogate-n4-t1"),
]

pytestmark = pytest.mark.usefixtures("one_thread")  # runs are compared bit by bit


def few_digits(recipe: Recipe) -> Dataset:
    """150 of them to train on, 50 to test on."""
    digits = data.load("digits")
    parts = [Split(part.x[:count], part.y[:count]) for part, count in ((digits.train, 150), (digits.test, 50))]
    return dataclasses.replace(digits, train=parts[0], test=parts[1])


def framed(recipe: Recipe) -> Dataset:
    """As many frames as the network has steps: other data for every T, as events would be."""
    digits = few_digits(recipe)
    splits = [Split(np.repeat(part.x[:, None], recipe.steps, 1), part.y) for part in (digits.train, digits.test)]
    return dataclasses.replace(digits, train=splits[0], test=splits[1])


def test_only_the_network_differs() -> None:
    recipes = fair_set.fair_recipes(TINY)
    assert list(recipes) == LABELS
    assert recipes["sparse-n4-t1"] == TINY
    same = {
        dataclasses.replace(one, name="", label="", arch_kwargs={}).as_dict().__repr__() for one in recipes.values()
    }
    assert len(same) == 1
    assert len({one.name for one in recipes.values()}) == len(LABELS)


def test_shipped_recipes_stand_for_themselves() -> None:
    recipes = fair_set.fair_recipes(DIGITS)
    shipped = {label: one for label, one in recipes.items() if one in RECIPES.values()}
    names = {label: one.name for label, one in shipped.items()}
    assert names == {
        "sparse-n4-t1": "digits",
        "binary-t4": "digits-binary-t4",
        "binary-t1": "digits-binary-t1",
        "sew-n4-t1": "digits-sew",
        "qann-3bit": "digits-qann",
        "ms-n4-t1": "digits-ms",
        "spiking-n4-t1": "digits-spiking",
        "barrier-surrogate-n4-t1": "digits-barrier",
    }


def trained(folder: Path, seeds: list[int], **changes: Any) -> tuple[list[str], int]:
    """The files of a call, and how many epochs it took."""
    epochs: list[Epoch] = []
    arguments: dict[str, Any] = {"epochs": 1, "load": few_digits, **changes}
    results = fair_set.train_fair_set(
        TINY, folder, seeds, progress=lambda record, _: epochs.append(record), **arguments
    )
    return [f"{label}: {result.path.name}" for label, result in results], len(epochs)


def test_every_network_is_trained_once(tmp_path: Path) -> None:
    expected = [f"{label}: {label}-seed3.pt" for label in LABELS]
    assert trained(tmp_path, [3]) == (expected, 8)
    written = {file.name: file.read_bytes() for file in tmp_path.glob("*.pt")}
    assert len(written) == 8
    (tmp_path / "ms-n4-t1-seed3.pt").unlink()
    assert trained(tmp_path, [3]) == (expected, 1)
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.pt")} == written


def test_what_other_settings_made_is_not_touched(tmp_path: Path) -> None:
    foreign = tmp_path / "ms-n4-t1-seed0.pt"
    torch.save({"recipe": TINY.as_dict(), "seed": 0, "epochs": 60}, foreign)
    before = foreign.read_bytes()
    with pytest.raises(UserError, match=r"ms-n4-t1-seed0\.pt: another recipe, seed or number of epochs made it"):
        trained(tmp_path, [0])
    assert [file.name for file in tmp_path.iterdir()] == [foreign.name]
    assert foreign.read_bytes() == before


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_that_make_no_set_are_refused(tmp_path: Path, seeds: list[int]) -> None:
    with pytest.raises(UserError, match="give at least one, and each of them once"):
        trained(tmp_path, seeds)


def test_each_network_gets_the_frames_of_its_steps(tmp_path: Path) -> None:
    assert len(trained(tmp_path, [0], load=framed)[0]) == len(LABELS)
    frames = {file.name: torch.load(file, weights_only=True)["frames"] for file in tmp_path.glob("*.pt")}
    assert frames.pop("binary-t4-seed0.pt") == 4
    assert set(frames.values()) == {1}


def test_the_tables_hold_what_the_networks_and_their_integers_do(tmp_path: Path) -> None:
    comparison = baselines.train(TINY, tmp_path, [0, 1], epochs=1, weight_bits=3, load=few_digits)
    document = json.loads((tmp_path / baselines.JSON).read_text())
    assert [network["label"] for network in document["networks"]] == LABELS
    assert (document["weight_bits"], document["epochs"]) == (3, 1)
    test = few_digits(TINY).test
    for network in document["networks"][:3]:
        for run in network["runs"]:
            checkpoint = frontend.load(tmp_path / run["file"])
            assert run["accuracy"] == checkpoint.metadata["accuracy"]
            graph = quantize(checkpoint.graph, Precision(3))
            correct = interpreter.logits(graph, test.x).argmax(1) == test.y
            assert run["integer_accuracy"] == correct.mean()
        accuracies = [run["accuracy"] for run in network["runs"]]
        assert network["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
        assert network["accuracy"]["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    rows = list(csv.DictReader((tmp_path / baselines.CSV).open()))
    assert [row["network"] for row in rows] == LABELS
    assert float(rows[4]["integer_mean"]) == pytest.approx(comparison.baselines[4].integer_accuracy[0], abs=1e-6)
    assert all((row["seeds"], row["weight_bits"]) == ("2", "3") for row in rows)


def test_the_command_trains_and_prints_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", TINY)
    out = tmp_path / "fair"
    assert cli.main(["baselines", "--recipe", "tiny", "--seeds", "0", "--epochs", "1", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["network", "seeds", "test", "accuracy", "with", "8-bit", "weights"]
    assert [line.split()[0] for line in lines[1:9]] == LABELS
    written = json.loads((out / "fair-set.json").read_text())["networks"][0]["accuracy"]["mean"]
    assert f"{100 * written:.2f} %" in lines[1]
