"""Training epochs, each a function of seed, epoch and state alone: a resumed run repeats an unbroken one."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2chip import nn as networks
from snn2chip.training.augmentation import augment
from snn2chip.training.digits import GREY_LEVELS, Split
from snn2chip.training.recipes import Recipe


@dataclass(frozen=True)
class Epoch:
    """One line of the log; accuracies are fractions, losses mean cross-entropies."""

    epoch: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def rank(self) -> tuple[float, float]:
        """Better epochs rank higher: by accuracy, then by loss."""
        return self.validation_accuracy, -self.validation_loss


class Trainer:
    """The model, its moving average and its optimiser; knows nothing of files."""

    def __init__(self, recipe: Recipe, seed: int, epochs: int) -> None:
        self.recipe, self.seed, self.epochs = recipe, seed, epochs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = networks.build("resnet", recipe.arch_kwargs)
        self.average = copy.deepcopy(self.model)
        self.optimizer = torch.optim.AdamW(_parameter_groups(self.model, recipe.weight_decay), lr=0.0)

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def learning_rate(self, epoch: float) -> float:
        """Linear warm-up, then half a cosine down to zero, as a function of the (fractional) epoch."""
        done, warmup = epoch / self.epochs, self.recipe.warmup
        if done < warmup:
            return self.recipe.learning_rate * done / warmup
        return self.recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))

    def run_epoch(self, epoch: int, train: Split, validation: Split) -> Epoch:
        """Trains once over ``train`` and measures the averaged weights on ``validation``."""
        loss = self._train(epoch, train)
        validation_loss, accuracy = evaluate(self.average, validation)
        return Epoch(epoch, self.learning_rate(epoch + 1), loss, validation_loss, accuracy)

    def _train(self, epoch: int, train: Split) -> float:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        images, labels = torch.from_numpy(train.x).float(), torch.from_numpy(train.y)
        order = torch.randperm(len(labels), generator=generator)
        batches = torch.split(order, self.recipe.batch_size)
        self.model.train()
        total = 0.0
        for index, batch in enumerate(batches):
            moved = augment(images[batch], self.recipe.augmentation, GREY_LEVELS, generator)
            total += len(batch) * self._step(moved, labels[batch], epoch + index / len(batches))
        return total / len(labels)

    def _step(self, images: Tensor, labels: Tensor, epoch: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(epoch)
        smoothing = self.recipe.label_smoothing
        loss = functional.cross_entropy(self.model(images), labels, label_smoothing=smoothing)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._update_average(epoch)
        return float(loss.detach())

    def _update_average(self, epoch: float) -> None:
        # Early weights are poor, so that a fixed decay would drag them along: the window grows with training.
        decay = min(self.recipe.average_decay, epoch / (epoch + 1))
        averages = self.average.state_dict()
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                averages[name].lerp_(value, 1 - decay)
            else:
                averages[name].copy_(value)


def evaluate(model: nn.Module, split: Split) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of ``model`` on ``split``; leaves it in evaluation mode."""
    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(split.x))
    labels = torch.from_numpy(split.y)
    accuracy = (logits.argmax(1) == labels).double().mean()
    return float(functional.cross_entropy(logits, labels)), float(accuracy)


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels alone: on batch-norm gains and biases it only fights the norm."""
    decayed = [value for value in model.parameters() if value.ndim > 1]
    plain = [value for value in model.parameters() if value.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
