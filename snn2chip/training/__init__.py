"""Training on real images that need no download."""

from __future__ import annotations

from snn2chip.training.recipes import RECIPES, Recipe
from snn2chip.training.train import TrainingResult, train

__all__ = ["RECIPES", "Recipe", "TrainingResult", "train"]
