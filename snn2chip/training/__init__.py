"""Training on images and event frames."""

from __future__ import annotations

from snn2chip.training.recipes import RECIPES, Recipe
from snn2chip.training.seeds import SeedsResult, train_seeds
from snn2chip.training.train import Options, TrainingResult, train

__all__ = ["RECIPES", "Options", "Recipe", "SeedsResult", "TrainingResult", "train", "train_seeds"]
