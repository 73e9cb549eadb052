"""Recipes: what they hold, and that those of earlier checkpoints are still read."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from snn2chip import nn as networks
from snn2chip import zoo
from snn2chip.data import Dataset, Split
from snn2chip.errors import UserError
from snn2chip.training import RECIPES, Recipe, recipes, schedules

DIGITS = RECIPES["digits"]
#: The parameters of the published networks, in millions, at ten classes.
SIZES = {"resnet18": 11.17, "resnet19": 12.7, "vgg16": 15.3}


def test_a_shipped_checkpoint_holds_its_recipe_as_it_was_written() -> None:
    content = torch.load(zoo.path("binary-t4"), weights_only=True)
    recipe = Recipe.from_dict(content["recipe"])
    assert recipe == RECIPES["digits-binary-t4"]
    assert recipe.as_dict() == content["recipe"]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_comes_back_from_a_file_as_it_was(recipe: Recipe) -> None:
    assert Recipe.from_dict(recipe.as_dict()) == recipe
    changed = dataclasses.replace(recipe, optimizer="sgd", mixup=0.3, activity_penalty=0.2)
    assert Recipe.from_dict(changed.as_dict()) == changed
    recipes.check(changed)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("cifar")])
def test_cifar_recipes_are_the_published_networks_and_training(name: str) -> None:
    recipe = RECIPES[name]
    with torch.device("meta"):
        model = networks.build(recipe.arch, recipe.arch_kwargs)
    head = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    assert head.out_features == (100 if "cifar100" in name else 10)
    millions = sum(value.numel() for value in model.parameters()) / 1e6
    assert millions == pytest.approx(SIZES[name.rpartition("-")[2]], abs=0.1)
    rates = [schedules.learning_rate(recipe, epoch, recipe.epochs) for epoch in (0, 29.9, 30, 60, 299)]
    assert rates == pytest.approx([0.05, 0.05, 0.025, 0.0125, 0.05 / 2**9])
    group = schedules.optimizer(recipe, torch.nn.Linear(2, 2)).param_groups[0]
    assert (group["momentum"], group["weight_decay"], recipe.batch_size, recipe.epochs) == (0.9, 0, 64, 300)


def test_both_event_digits_networks_have_one_shape_and_one_budget() -> None:
    def budget(name: str) -> dict[str, Any]:
        recipe = RECIPES[name]
        kwargs = {key: value for key, value in recipe.arch_kwargs.items() if key not in ("levels", "steps")}
        kwargs.pop("input_scale")  # counts of a whole recording, and of a tenth of it
        return {**recipe.as_dict(), "arch_kwargs": kwargs, "name": "", "label": ""}

    assert budget("event-digits") == budget("event-digits-binary-t10")


def test_another_network_and_other_data() -> None:
    recipe = DIGITS.with_network(block="sew", levels=None, steps=2)
    assert recipe.arch_kwargs == {**DIGITS.arch_kwargs, "block": "sew", "steps": 2}
    assert DIGITS.with_network(block=None) is DIGITS
    part = Split(np.zeros((2, 5, 12, 9), np.uint8), np.arange(2))
    dataset = Dataset("mine", part, part, ("a", "b"), 50, "")
    moved = DIGITS.on(dataset)
    assert (moved.dataset, moved.arch_kwargs["in_channels"], moved.arch_kwargs["classes"]) == ("mine", 5, 2)
    assert moved.arch_kwargs["input_scale"] == 1 / 50
    assert RECIPES["cifar10-vgg16"].on(dataset).arch_kwargs["image_size"] == 12
    assert "image_size" not in moved.arch_kwargs


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"optimizer": "adam"}, "its optimizer is 'adam', but it must be one of adamw, sgd"),
        ({"schedule": "linear"}, "its schedule is 'linear', but it must be one of cosine, step"),
        ({"batch_size": 0}, "its batch_size is 0, but it must be at least 1"),
        ({"learning_rate": -1.0}, "its learning_rate is -1.0, but it must be positive"),
        ({"mixup": -0.1}, "its mixup is -0.1, but it must be zero or more"),
        ({"average_decay": 1.0}, "its average_decay is 1.0, but it must be in 0..1, below 1"),
        ({"validation_fraction": 0.0}, "its validation_fraction is 0.0, but it must be between 0 and 1"),
    ],
)
def test_what_no_training_can_have_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        recipes.check(dataclasses.replace(DIGITS, **changes))


def test_a_cosine_starts_after_the_warm_up_and_ends_at_zero() -> None:
    rates = [schedules.learning_rate(DIGITS, epoch, 100) / DIGITS.learning_rate for epoch in (0, 2.5, 5, 52.5, 100)]
    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-12)


def test_weight_decay_is_for_matrices_alone() -> None:
    model = networks.build("resnet", {**DIGITS.arch_kwargs, "width": 4})
    decayed, plain = schedules.optimizer(DIGITS, model).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.05, 0)
    assert all(value.ndim > 1 for value in decayed["params"])
    assert all(value.ndim == 1 for value in plain["params"])
