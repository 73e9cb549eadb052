"""Learning rates and optimisers of a recipe."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from snn2chip.training.recipes import Recipe


def learning_rate(recipe: Recipe, epoch: float, epochs: int) -> float:
    """The rate at a (fractional) epoch: a linear warm-up, then the recipe's schedule.

    ``cosine`` is half a cosine down to zero at the last epoch; ``step`` multiplies by ``step_factor`` after every
    ``step_epochs`` epochs.
    """
    done, warmup = epoch / epochs, recipe.warmup
    if done < warmup:
        return recipe.learning_rate * done / warmup
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.step_factor ** math.floor(epoch / recipe.step_epochs)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum; weight decay on matrices and kernels alone."""
    groups = _parameter_groups(model, recipe.weight_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=0.0)


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """On batch-norm gains, biases and thresholds weight decay only fights the norm."""
    decayed = [value for value in model.parameters() if value.ndim > 1]
    plain = [value for value in model.parameters() if value.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
