"""Training epochs, each a function of seed, epoch and state alone: a resumed run repeats an unbroken one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from snn2chip import nn as networks
from snn2chip.data import Split
from snn2chip.training import schedules
from snn2chip.training.activity import ActivityMeter
from snn2chip.training.augmentation import augment, crop, flip, mixup
from snn2chip.training.precision import Precision
from snn2chip.training.recipes import Recipe

#: Pixels, over all steps, that are evaluated at once: bounds the memory that a large test part takes.
_EVALUATED_PIXELS = 2**19


@dataclass(frozen=True)
class Epoch:
    """One line of the log; accuracies are fractions, losses mean cross-entropies.

    ``synaptic_operations``: per inference, mean over the epoch; None where the recipe has no activity penalty. The
    penalty is no part of ``train_loss``.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    synaptic_operations: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def rank(self) -> tuple[float, float]:
        """Better epochs rank higher: by accuracy, then by loss."""
        return self.validation_accuracy, -self.validation_loss


@dataclass
class _Totals:
    """Sums over the samples of one epoch."""

    samples: int = 0
    loss: float = 0.0
    operations: float = 0.0


class Trainer:
    """The model, its moving average and its optimiser; knows nothing of files.

    Args:
        largest: no input exceeds it.
        where: ``cpu`` or ``cuda``.
        mixed: 16 bits for convolutions and linear layers.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        epochs: int,
        largest: int,
        where: torch.device | None = None,
        mixed: bool = False,
    ) -> None:
        self.recipe, self.seed, self.epochs, self.largest = recipe, seed, epochs, largest
        self.device = where or torch.device("cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = networks.build(recipe.arch, recipe.arch_kwargs).to(self.device)
        self.average = copy.deepcopy(self.model)
        self.optimizer = schedules.optimizer(recipe, self.model)
        self.precision = Precision(self.device, mixed)
        self.precision.prepare(self.model)
        self.meter = ActivityMeter(self.model) if recipe.activity_penalty else None

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.precision.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.load_state_dict(state["precision"])

    def learning_rate(self, epoch: float) -> float:
        """As a function of the (fractional) epoch; see `snn2chip.training.schedules`."""
        return schedules.learning_rate(self.recipe, epoch, self.epochs)

    def run_epoch(self, epoch: int, train: Split, validation: Split) -> Epoch:
        """Trains once over ``train`` and measures the averaged weights on ``validation``."""
        totals = self._train(epoch, train)
        validation_loss, accuracy = evaluate(self.average, validation)
        loss, operations = totals.loss / totals.samples, totals.operations / totals.samples
        measured = operations if self.meter else None
        return Epoch(epoch, self.learning_rate(epoch + 1), loss, validation_loss, accuracy, measured)

    def _train(self, epoch: int, train: Split) -> _Totals:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        batches = torch.split(torch.randperm(len(train), generator=generator), self.recipe.batch_size)
        self.model.train()
        totals = _Totals()
        for index, batch in enumerate(batches):
            inputs = self._augmented(torch.from_numpy(train.x[batch.numpy()]), generator)
            labels = torch.from_numpy(train.y[batch.numpy()]).to(self.device)
            self._step(inputs, labels, epoch + index / len(batches), generator, totals)
        return totals

    def _augmented(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 ``[B, C, H, W]`` or ``[B, T, C, H, W]`` -> float32 of the same shape, still whole numbers."""
        recipe, shape = self.recipe, inputs.shape
        images = inputs.reshape(shape[0], -1, *shape[-2:])  # all frames of a sample are moved alike
        if recipe.flip:
            images = flip(images, generator)
        if recipe.crop_padding:
            images = crop(images, recipe.crop_padding, generator)
        if recipe.autoaugment:
            from snn2chip.training.autoaugment import autoaugment

            images = autoaugment(images, generator)
        moved = images.to(self.device).float()
        if recipe.augmentation.changes:
            moved = augment(moved, recipe.augmentation, self.largest, generator)
        return moved.reshape(shape)

    def _step(self, inputs: Tensor, labels: Tensor, epoch: float, generator: torch.Generator, totals: _Totals) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(epoch)
        other, share = labels, 1.0
        if self.recipe.mixup:
            inputs, partner, share = mixup(inputs, self.recipe.mixup, generator)
            other = labels[partner]
        with self.precision.forward():
            logits = self.model(inputs).float()
            loss = self._cross_entropy(logits, labels)
            if share < 1:
                loss = share * loss + (1 - share) * self._cross_entropy(logits, other)
        totals.samples += len(labels)
        totals.loss += len(labels) * float(loss.detach())
        self.precision.step(self._penalised(loss, len(labels), totals), self.optimizer)
        self._update_average(epoch)

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)

    def _penalised(self, loss: Tensor, samples: int, totals: _Totals) -> Tensor:
        if self.meter is None:
            return loss
        operations, synapses = self.meter.read(samples)
        totals.operations += samples * float(operations.detach())
        return loss + self.recipe.activity_penalty * (operations / synapses).to(loss.dtype)

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
    device = next(model.parameters()).device
    with torch.no_grad():
        logits = torch.cat([model(batch.to(device)).cpu() for batch in _batches(split)])
    labels = torch.from_numpy(split.y)
    accuracy = (logits.argmax(1) == labels).double().mean()
    return float(functional.cross_entropy(logits, labels)), float(accuracy)


def _batches(split: Split) -> Iterator[Tensor]:
    count = max(1, _EVALUATED_PIXELS // max(1, int(np.prod(split.x.shape[1:])) // split.x.shape[-3]))
    for start in range(0, len(split), count):
        yield torch.from_numpy(np.array(split.x[start : start + count]))  # a copy: the file may be mapped read-only
