"""One recipe from several seeds: a checkpoint each, and their mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from snn2chip.data import Dataset
from snn2chip.errors import UserError
from snn2chip.files import canonical_json, write_bytes
from snn2chip.training.recipes import Recipe
from snn2chip.training.train import DEFAULTS, Options, TrainingResult, finished, train


@dataclass(frozen=True)
class SeedsResult:
    """The runs in the order of their seeds; accuracies are fractions, on the test part.

    ``standard_deviation`` is that of a sample (n - 1); 0 for a single run.
    """

    runs: tuple[TrainingResult, ...]
    summary: Path

    @property
    def mean(self) -> float:
        return statistics.fmean(run.test_accuracy for run in self.runs)

    @property
    def standard_deviation(self) -> float:
        accuracies = [run.test_accuracy for run in self.runs]
        return statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0


def file_of(out: Path, seed: int) -> Path:
    """``model.pt`` -> ``model-seed0.pt``."""
    return out.with_name(f"{out.stem}-seed{seed}{out.suffix}")


def train_seeds(
    recipe: Recipe,
    out: Path,
    seeds: Sequence[int],
    epochs: int | None = None,
    dataset: Dataset | None = None,
    options: Options = DEFAULTS,
    report: Callable[[TrainingResult], None] = lambda result: None,
) -> SeedsResult:
    """Trains ``recipe`` from each seed, into ``<out>-seed<n>``, and writes ``<out>-seeds.json`` with mean and spread.

    A seed whose checkpoint is there already, of the same recipe and number of epochs, is not trained again: an
    interrupted call that is repeated goes on where it was. Arguments and errors otherwise as in `train`; ``report``
    is called with each result.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {list(seeds)}: give at least one, and each of them once")
    runs = []
    for seed in seeds:
        file = file_of(out, seed)
        done = finished(recipe, file, seed, epochs)
        runs.append(done or train(recipe, file, seed, epochs, dataset=dataset, options=options))
        report(runs[-1])
    result = SeedsResult(tuple(runs), out.with_name(f"{out.stem}-seeds.json"))
    write_bytes(result.summary, canonical_json(_summary(recipe, result)).encode())
    return result


def _summary(recipe: Recipe, result: SeedsResult) -> dict[str, object]:
    runs = [
        {"file": run.path.name, "seed": run.seed, "epochs": run.epochs, "best_epoch": run.best_epoch,
         "validation_accuracy": run.validation_accuracy, "accuracy": run.test_accuracy}
        for run in result.runs
    ]  # fmt: skip
    spread = {"mean": result.mean, "standard_deviation": result.standard_deviation}
    return {"recipe": recipe.as_dict(), "accuracy": spread, "runs": runs}
