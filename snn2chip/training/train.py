"""``train``: from a recipe to a checkpoint, with logs, resumable after a kill at any moment."""

from __future__ import annotations

import os
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from snn2chip import data
from snn2chip import nn as networks
from snn2chip.data import Dataset, Split
from snn2chip.errors import UserError
from snn2chip.nn.files import write_atomically
from snn2chip.training import logs, precision, recipes
from snn2chip.training.loop import Epoch, Trainer, evaluate
from snn2chip.training.progress import Progress, reporting
from snn2chip.training.recipes import Recipe


@dataclass(frozen=True)
class TrainingResult:
    """What `train` made; accuracies are fractions.

    ``test_accuracy`` was measured once, at the end, on inputs that chose neither the epoch nor the recipe.
    """

    path: Path
    log: Path
    recipe: str
    seed: int
    epochs: int
    best_epoch: int
    validation_accuracy: float
    test_accuracy: float


@dataclass(frozen=True)
class Options:
    """Where and how a run computes, and what it logs; it changes neither recipe nor data.

    Attributes:
        device: ``auto`` (a CUDA GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        amp: mixed precision: convolutions and linear layers in bfloat16 (CPU) or float16 (CUDA).
        logs: further logs, of `snn2chip.training.logs.KINDS`.
    """

    device: str = "auto"
    amp: bool = False
    logs: tuple[str, ...] = ()


DEFAULTS = Options()


def train(
    recipe: str | Recipe,
    out: str | os.PathLike[str],
    seed: int = 0,
    epochs: int | None = None,
    resume: bool = True,
    progress: Progress | None = None,
    dataset: Dataset | None = None,
    options: Options = DEFAULTS,
) -> TrainingResult:
    """Trains ``recipe`` and writes the epoch that was best on held-out training inputs to ``out``.

    Beside ``out`` it writes ``<out>.log.jsonl`` (one JSON object per epoch) and, until it is done,
    ``<out>.state``, replaced atomically after each epoch: an interrupted run that is started again goes on
    from there and ends with the same weights as an unbroken one (same machine, device and number of threads).

    Args:
        recipe: a name (see `snn2chip.training.recipes.RECIPES`) or a `Recipe`.
        out: the checkpoint; an older file is replaced at the end, and not before.
        seed: of the initial weights, the held-out part, the order and the augmentation.
        epochs: instead of the recipe's.
        resume: go on from ``<out>.state`` if there is one; False starts anew.
        progress: called after each epoch with its `Epoch` and the number of epochs; None draws a bar on a
            terminal and stays quiet in a pipe.
        dataset: what to train on; by default what the recipe names, where it needs no files.
        options: device, mixed precision and logs.

    Raises:
        UserError: an unknown recipe, fewer than one epoch, a seed out of range, data that do not fit the network, a
            device that is not there, an ``out`` that cannot be written, or a state file that another run left.
    """
    chosen = recipes.get(recipe) if isinstance(recipe, str) else recipe
    total = chosen.epochs if epochs is None else epochs
    if total < 1:
        raise UserError(f"--epochs must be at least 1, not {total}")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed must lie in 0..2**32 - 1, not {seed}")
    recipes.check(chosen)
    where = precision.device(options.device)
    _check_writable(Path(out))
    loaded = data.load(chosen.dataset, steps=chosen.steps) if dataset is None else dataset
    _check_fit(chosen, loaded)
    run = _Run(chosen, Path(out), seed, total, loaded, options, where)
    if resume:
        run.resume()
    train_part, validation = data.hold_out(loaded.train, chosen.validation_fraction, seed)
    with reporting(progress, chosen.name, total) as report, precision.deterministic(where):
        run.go_on(train_part, validation, report)
        return run.finish(loaded.test)


def finished(recipe: Recipe, out: Path, seed: int, epochs: int | None = None) -> TrainingResult | None:
    """What `train` with these arguments made earlier, if ``out`` is that; None where it is missing or another's."""
    try:
        content = torch.load(out, weights_only=True, map_location="cpu")
        wanted = (recipe.as_dict(), seed, recipe.epochs if epochs is None else epochs)
        if (content["recipe"], content["seed"], content["epochs"]) != wanted:
            return None
        best, validated, tested = (content[key] for key in ("best_epoch", "validation_accuracy", "accuracy"))
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError):
        return None
    log = logs.JsonLines(out).path
    return TrainingResult(out, log, recipe.name, seed, wanted[2], best, validated, tested)


def _check_writable(out: Path) -> None:
    """Before the first epoch, not after the last."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}): choose another --out") from None
    if out.is_dir():
        raise UserError(f"{out}: this is a folder: name a file, such as {out / 'model.pt'}")


def _check_fit(recipe: Recipe, dataset: Dataset) -> None:
    wanted = recipe.on(dataset).arch_kwargs
    for key, what in (("in_channels", "channels"), ("classes", "classes"), ("image_size", "rows")):
        if key in recipe.arch_kwargs and recipe.arch_kwargs[key] != wanted.get(key, recipe.arch_kwargs[key]):
            raise UserError(
                f"recipe {recipe.name!r} is for {recipe.arch_kwargs[key]} {what}, but {dataset.name!r} has "
                f"{wanted[key]}: train Recipe.on(dataset) instead"
            )
    if dataset.steps not in (None, recipe.steps):
        raise UserError(
            f"recipe {recipe.name!r} has {recipe.steps} steps, but {dataset.name!r} has {dataset.steps} frames"
        )
    if recipe.autoaugment and (dataset.steps is not None or dataset.input_shape[0] != 3):
        raise UserError(f"recipe {recipe.name!r}: AutoAugment is for colour images, which {dataset.name!r} has not")


class _Run:
    """A training run and its files."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        seed: int,
        epochs: int,
        dataset: Dataset,
        options: Options,
        where: torch.device,
    ) -> None:
        self.out, self.dataset = out, dataset
        self.state = out.with_name(out.name + ".state")
        self.logs = logs.open_logs(out, options.logs)
        self.trainer = Trainer(recipe, seed, epochs, dataset.largest, where, options.amp)
        self.settings = {"recipe": recipe.as_dict(), "seed": seed, "epochs": epochs, "amp": options.amp}
        self.history: list[Epoch] = []
        self.best: Epoch | None = None
        self.best_weights: dict[str, torch.Tensor] = {}

    def resume(self) -> None:
        if not self.state.exists():
            return
        saved = _read_state(self.state)
        if saved["settings"] != self.settings:
            raise UserError(
                f"{self.state} was left by a run with another recipe, seed or number of epochs; "
                "repeat those to go on with it, or delete it to start anew."
            )
        self.trainer.load_state_dict(saved["trainer"])
        self.history = [Epoch(**record) for record in saved["history"]]
        self.best, self.best_weights = Epoch(**saved["best"]), saved["best_weights"]

    def go_on(self, train: Split, validation: Split, report: Progress) -> None:
        for log in self.logs:
            log.start(self.history)
        for index in range(len(self.history), self.trainer.epochs):
            record = self.trainer.run_epoch(index, train, validation)
            self._keep(record)
            report(record, self.trainer.epochs)

    def finish(self, test: Split) -> TrainingResult:
        assert self.best is not None  # at least one epoch has run
        model = self.trainer.average
        model.load_state_dict(self.best_weights)
        _, accuracy = evaluate(model, test)
        result = TrainingResult(
            path=self.out,
            log=logs.JsonLines(self.out).path,
            recipe=self.trainer.recipe.name,
            seed=self.trainer.seed,
            epochs=self.trainer.epochs,
            best_epoch=self.best.epoch,
            validation_accuracy=self.best.validation_accuracy,
            test_accuracy=accuracy,
        )
        networks.save(model, self.out, **_metadata(result, self.trainer.recipe, self.dataset))
        self.state.unlink(missing_ok=True)
        return result

    def _keep(self, record: Epoch) -> None:
        self.history.append(record)
        if self.best is None or record.rank > self.best.rank:
            self.best = record
            self.best_weights = {name: value.clone() for name, value in self.trainer.average.state_dict().items()}
        # The state goes first: after a kill between the two, the next start rewrites the logs from the state.
        write_atomically(self._state(self.best), self.state)
        for log in self.logs:
            log.add(record)

    def _state(self, best: Epoch) -> dict[str, Any]:
        return {
            "settings": self.settings,
            "trainer": self.trainer.state_dict(),
            "history": [record.as_dict() for record in self.history],
            "best": best.as_dict(),
            "best_weights": self.best_weights,
        }


def _read_state(path: Path) -> dict[str, Any]:
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} is damaged or no training state; delete it to start anew.") from error
    if not isinstance(saved, dict) or "settings" not in saved:
        raise UserError(f"{path} is no training state; delete it to start anew.")
    return saved


def _metadata(result: TrainingResult, recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    frames = {} if dataset.steps is None else {"frames": dataset.steps}
    return {
        "input_shape": list(dataset.input_shape),
        "input_largest": dataset.largest,
        "class_names": list(dataset.class_names),
        "dataset": dataset.name,
        **frames,
        "provenance": dataset.provenance,
        "recipe": recipe.as_dict(),
        "seed": result.seed,
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "accuracy": result.test_accuracy,
        "validation_accuracy": result.validation_accuracy,
    }
