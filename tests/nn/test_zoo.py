"""The shipped checkpoints are what ``results.json`` says, and as good as promised."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from snn2chip import data, zoo
from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.training import RECIPES, Recipe
from snn2chip.training.loop import evaluate

RESULTS: dict[str, Any] = {
    name: json.loads((folder / "results.json").read_text()) for name, folder in zoo.FOLDERS.items()
}
NETWORKS = [(dataset, label) for dataset, results in RESULTS.items() for label in sorted(results)]


@pytest.mark.parametrize("dataset", RESULTS)
def test_every_recipe_is_shipped_with_three_seeds(dataset: str) -> None:
    results = RESULTS[dataset]
    assert sorted(results) == zoo.names(dataset)
    assert {recipe.label for recipe in RECIPES.values() if recipe.dataset == dataset} <= set(results)
    assert all([run["seed"] for run in result["runs"]] == [0, 1, 2] for result in results.values())


@pytest.mark.parametrize("dataset", zoo.FAIR_SETS)
def test_the_fair_set_is_shipped(dataset: str) -> None:
    assert {"sparse-n4-t1", *zoo.FAIR_SETS[dataset].values()} == set(zoo.names(dataset))


@pytest.mark.parametrize(("dataset", "label"), NETWORKS)
def test_the_accuracies_are_those_of_the_files(dataset: str, label: str) -> None:
    for run in RESULTS[dataset][label]["runs"]:
        path = zoo.path(label, run["seed"], dataset)
        assert path.name == run["file"]
        assert path.stat().st_size < 1_500_000
        content = torch.load(path, weights_only=True)
        recipe = Recipe.from_dict(content["recipe"])
        assert (recipe.label, recipe.dataset, content["dataset"]) == (label, dataset, dataset)
        assert RECIPES.get(recipe.name, recipe).as_dict() == content["recipe"]
        test = data.shipped_test_part(dataset, content.get("frames"))
        assert test is not None
        model = networks.build(content["arch"], content["arch_kwargs"])
        model.load_state_dict(content["state_dict"])
        _, accuracy = evaluate(model, test)
        # One image of 450 may tip over where another machine sums in another order.
        assert accuracy == pytest.approx(run["accuracy"], abs=1.5 / 450)


@pytest.mark.parametrize(
    ("dataset", "label", "promise"),
    [
        ("digits", "sparse-n4-t1", 0.99),
        ("digits", "binary-t4", 0.985),
        ("event-digits", "sparse-n4-t1", 0.96),
        ("event-digits", "binary-t10", 0.96),
    ],
)
def test_the_mean_over_the_seeds_is_what_was_promised(dataset: str, label: str, promise: float) -> None:
    accuracies = [run["accuracy"] for run in RESULTS[dataset][label]["runs"]]
    assert RESULTS[dataset][label]["mean"] == pytest.approx(sum(accuracies) / 3)
    assert sum(accuracies) / 3 >= promise


def test_a_missing_checkpoint_is_named() -> None:
    with pytest.raises(
        UserError, match="No shipped checkpoint 'sparse' with seed 7 of 'digits'; known are barrier-surrogate-n4-t1, "
    ):
        zoo.path("sparse", 7)
    with pytest.raises(
        UserError, match="No shipped checkpoints of 'cifar10'; known data sets are digits, event-digits"
    ):
        zoo.path("sparse-n4-t1", dataset="cifar10")
