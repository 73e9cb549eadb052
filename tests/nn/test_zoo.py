"""The shipped checkpoints are what ``results.json`` says, and as good as promised."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from snn2chip import nn as networks
from snn2chip import zoo
from snn2chip.errors import UserError
from snn2chip.training import RECIPES, digits
from snn2chip.training.loop import evaluate

RESULTS: dict[str, Any] = json.loads((zoo.DIGITS / "results.json").read_text())


def test_every_recipe_is_shipped_with_three_seeds() -> None:
    assert zoo.names() == sorted(recipe.label for recipe in RECIPES.values())
    assert sorted(RESULTS) == zoo.names()
    assert all([run["seed"] for run in result["runs"]] == [0, 1, 2] for result in RESULTS.values())
    assert {"sparse-n4-t1", *zoo.FAIR_SET.values()} == set(zoo.names())


@pytest.mark.parametrize("label", sorted(RESULTS))
def test_the_accuracies_are_those_of_the_files(label: str) -> None:
    recipe = next(recipe for recipe in RECIPES.values() if recipe.label == label)
    for run in RESULTS[label]["runs"]:
        path = zoo.path(label, run["seed"])
        assert path.name == run["file"]
        assert path.stat().st_size < 1_500_000
        content = torch.load(path, weights_only=True)
        assert content["recipe"] == recipe.as_dict()
        model = networks.build(content["arch"], content["arch_kwargs"])
        model.load_state_dict(content["state_dict"])
        _, accuracy = evaluate(model, digits.load().test)
        # One image of 450 may tip over where another machine sums in another order.
        assert accuracy == pytest.approx(run["accuracy"], abs=1.5 / 450)


@pytest.mark.parametrize(("label", "promise"), [("sparse-n4-t1", 0.99), ("binary-t4", 0.985)])
def test_the_mean_over_the_seeds_is_what_was_promised(label: str, promise: float) -> None:
    accuracies = [run["accuracy"] for run in RESULTS[label]["runs"]]
    assert RESULTS[label]["mean"] == pytest.approx(sum(accuracies) / 3)
    assert sum(accuracies) / 3 >= promise


def test_a_missing_checkpoint_is_named() -> None:
    with pytest.raises(UserError, match="No shipped checkpoint 'sparse' with seed 7; known are binary-t1, "):
        zoo.path("sparse", 7)
