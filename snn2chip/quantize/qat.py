"""Quantization-aware fine-tuning through the integer semantics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from snn2chip import engine, spec
from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph
from snn2chip.interpreter import as_frames, check_classes
from snn2chip.quantize.choices import Choices, Precision
from snn2chip.quantize.integer import Rounding
from snn2chip.quantize.post_training import Pass, State
from snn2chip.quantize.trainable import Trainable

#: (images ``[B, *shape]`` or frames ``[B, T, *shape]``, float, generator) to augmented ones of whole numbers.
Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class FineTuning:
    """How long and how fast.

    Attributes:
        epochs: passes over the inputs; the learning rate falls to zero along a cosine.
        learning_rate: Adam's, of weights and biases.
        unit_rate: Adam's, of the logarithms of units and thresholds.
        batch_size: samples per step.
        held_out: fraction of the inputs on which the best epoch is chosen.
        label_smoothing: of the cross-entropy.
        seed: of the order, the held-out part and the augmentation.
    """

    epochs: int = 20
    learning_rate: float = 1e-3
    unit_rate: float = 3e-3
    batch_size: int = 64
    held_out: float = 0.1
    label_smoothing: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise UserError(
                f"fine-tuning takes at least 1 epoch (--qat-epochs) and 1 sample a batch, not {self.epochs}, "
                f"{self.batch_size}"
            )
        if not all(0 < rate <= 1 for rate in (self.learning_rate, self.unit_rate)):
            raise UserError(
                f"fine-tuning takes a learning rate (--qat-rate) above 0 and up to 1, not {self.learning_rate:g}"
            )
        if not 0 < self.held_out < 1:
            raise UserError(f"fine-tuning holds out a fraction between 0 and 1 of the inputs, not {self.held_out}")


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned network.

    Attributes:
        network: float graph whose weights are whole multiples of their units.
        choices: with these, `snn2chip.quantize.quantize` turns `network` into `integer`.
        integer: the integer graph whose forward passes were trained.
        accuracies: on the held-out inputs, before the first epoch and after each.
        best_epoch: index into `accuracies` of what was kept; 0 is the network before fine-tuning.
        settings: with which it was trained.
    """

    network: Graph
    choices: Choices
    integer: Graph
    accuracies: tuple[float, ...]
    best_epoch: int
    settings: FineTuning


def fine_tune(
    network: Graph,
    precision: Precision,
    choices: Choices,
    inputs: Array,
    labels: Array,
    settings: FineTuning | None = None,
    augment: Augment | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> FineTuned:
    """Train weights, biases, thresholds and units on the integers that will be exported.

    Args: network, a prepared float graph; inputs, uint8 ``[B, *shape]`` or ``[B, T, *shape]``; labels ``[B]``.
    Raises: UserError where inputs and labels do not fit; GraphError where ranges cannot be kept.
    """
    settings = settings or FineTuning()
    check_labelled(network, inputs, labels)
    if choices.shift_thresholds:
        raise UserError(
            "--qat moves thresholds, which then are no powers of two: leave out --qat or --shift-thresholds"
        )
    model = Trainable(network, precision, choices)
    training = _Training(model, settings, inputs, labels.astype(np.int64), augment)
    ranks = [training.rank()]
    best, kept = 0, training.snapshot()
    for epoch in range(settings.epochs):
        training.run_epoch(epoch)
        ranks.append(training.rank())
        report(f"fine-tuning: epoch {epoch + 1} of {settings.epochs}, held-out accuracy {100 * ranks[-1][0]:.2f} %")
        if ranks[-1] > ranks[best]:
            best, kept = epoch + 1, training.snapshot()
    model.load_state_dict(kept)
    return _exported(model, precision, tuple(accuracy for accuracy, _ in ranks), best, training)


def check_labelled(network: Graph, inputs: Array, labels: Array) -> None:
    """UserError where inputs and labels do not fit the network, or are too few to hold some out."""
    as_frames(network, inputs)  # refuses what does not fit
    check_classes(network, labels)
    if len(labels) != len(inputs) or len(inputs) < 2:
        raise UserError(f"fine-tuning got {len(inputs)} inputs and {len(labels)} labels: give a label for each of them")


def fine_tuning_pass(
    settings: FineTuning,
    inputs: Array,
    labels: Array,
    report: Callable[[str], None] = lambda line: None,
    done: Callable[[FineTuned], None] = lambda tuned: None,
) -> Pass:
    """`fine_tune` as a stage of `snn2chip.quantize.post_training.finish`; `done` is called with what came out."""

    def tune(state: State) -> State:
        report("fine-tuning")
        tuned = fine_tune(state.network, state.precision, state.choices, inputs, labels, settings, report=report)
        done(tuned)
        return replace(state, network=tuned.network, choices=tuned.choices)

    return tune


def _exported(
    model: Trainable, precision: Precision, accuracies: tuple[float, ...], best: int, training: _Training
) -> FineTuned:
    probe = training.held_out
    network, choices = model.export()
    integer = Rounding(network, precision, choices).graph()
    spec.check_integer(integer)
    with torch.no_grad():
        trained = model.counts(torch.from_numpy(as_frames(network, probe).copy())).numpy()
    exported = engine.run(integer, probe).sum(axis=1, dtype=np.int64)
    if not np.array_equal(trained, exported):  # a unit had to be coarsened after all, or float32 was too narrow
        raise UserError(
            "the fine-tuned network does not fit the integer ranges: use a smaller learning rate or fewer steps"
        )
    return FineTuned(network, choices, integer, accuracies, best, training.settings)


class _Training:
    """A model, its optimiser and its data."""

    def __init__(
        self, model: Trainable, settings: FineTuning, inputs: Array, labels: Array, augment: Augment | None
    ) -> None:
        self._model, self.settings, self._augment = model, settings, augment
        self._held_labels: Array
        order = np.random.default_rng(settings.seed).permutation(len(inputs))
        held = max(1, round(settings.held_out * len(inputs)))
        self.held_out, self._held_labels = inputs[order[:held]], labels[order[:held]]
        self._inputs, self._labels = torch.from_numpy(inputs[order[held:]]), torch.from_numpy(labels[order[held:]])
        groups = model.parameter_groups(settings.learning_rate, settings.unit_rate)
        self._optimizer = torch.optim.Adam(groups)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]

    def snapshot(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._model.state_dict().items()}

    def rank(self) -> tuple[float, float]:
        """(accuracy, negative mean cross-entropy) on the held-out inputs: better networks rank higher."""
        parts = np.array_split(self.held_out, max(1, len(self.held_out) // 256))
        with torch.no_grad():
            logits = torch.cat([self._model(self._frames(torch.from_numpy(part))) for part in parts])
        labels = torch.from_numpy(self._held_labels)
        accuracy = (logits.argmax(1) == labels).double().mean()
        return float(accuracy), -float(functional.cross_entropy(logits, labels))

    def run_epoch(self, epoch: int) -> None:
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        batches = torch.split(torch.randperm(len(self._labels), generator=generator), self.settings.batch_size)
        for index, batch in enumerate(batches):
            self._set_rates((epoch + index / len(batches)) / self.settings.epochs)
            images = self._inputs[batch].float()
            images = images if self._augment is None else self._augment(images, generator)
            self._step(images, self._labels[batch])

    def _step(self, images: Tensor, labels: Tensor) -> None:
        logits = self._model(self._frames(images))
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.settings.label_smoothing)
        if not bool(torch.isfinite(loss)):
            raise UserError("fine-tuning diverged: use a smaller learning rate")
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _set_rates(self, done: float) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done))

    def _frames(self, images: Tensor) -> Tensor:
        """``[B, T, *shape]``; an image is shown at every step."""
        network = self._model.network
        shape = network.signals[network.input.name].shape
        return images if images.ndim == len(shape) + 2 else images[:, None].expand(-1, network.steps, *shape)
