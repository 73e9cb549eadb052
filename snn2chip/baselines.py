"""`snn2chip baselines`: a network and its fair set, trained alike and quantized alike.

The same recipe, budget, seeds and weight bits for all: what differs is the neuron, the number of steps, or the block.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2chip import files

if TYPE_CHECKING:
    from snn2chip.data import Dataset, Split
    from snn2chip.training import Recipe
    from snn2chip.training.fair_set import Load
    from snn2chip.training.train import Options

JSON, CSV = "fair-set.json", "fair-set.csv"


@dataclass(frozen=True)
class Run:
    """One network from one seed. Accuracies are fractions of the test part, of the trained network and its integers."""

    seed: int
    file: str
    best_epoch: int
    validation_accuracy: float
    accuracy: float
    integer_accuracy: float


@dataclass(frozen=True)
class Baseline:
    """The runs of one network in the order of their seeds."""

    label: str
    arch_kwargs: Mapping[str, Any]
    runs: tuple[Run, ...]

    @property
    def accuracy(self) -> tuple[float, float]:
        """Mean and standard deviation (n - 1; 0 for a single run) of the trained network."""
        return _spread([run.accuracy for run in self.runs])

    @property
    def integer_accuracy(self) -> tuple[float, float]:
        """Mean and standard deviation of the quantized network."""
        return _spread([run.integer_accuracy for run in self.runs])


@dataclass(frozen=True)
class Comparison:
    """A fair set, trained and quantized; the network that it was derived from comes first."""

    recipe: Mapping[str, Any]
    epochs: int
    weight_bits: int
    baselines: tuple[Baseline, ...]

    def write(self, folder: Path) -> None:
        """``fair-set.json`` (every run) and ``fair-set.csv`` (a line a network), beside the checkpoints."""
        files.write_bytes(folder / JSON, files.canonical_json(self._document()).encode())
        files.write_bytes(folder / CSV, self._lines().encode())

    def _document(self) -> dict[str, Any]:
        return {
            "recipe": dict(self.recipe),
            "epochs": self.epochs,
            "weight_bits": self.weight_bits,
            "networks": [
                {
                    "label": baseline.label,
                    "arch_kwargs": dict(baseline.arch_kwargs),
                    "accuracy": _document(baseline.accuracy),
                    "integer_accuracy": _document(baseline.integer_accuracy),
                    "runs": [vars(run) for run in baseline.runs],
                }
                for baseline in self.baselines
            ],
        }

    def _lines(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["network", "seeds", "weight_bits", "mean", "sd", "integer_mean", "integer_sd"])
        for baseline in self.baselines:
            spread = (*baseline.accuracy, *baseline.integer_accuracy)
            writer.writerow(
                [baseline.label, len(baseline.runs), self.weight_bits, *(f"{value:.6f}" for value in spread)]
            )
        return text.getvalue()


def train(
    recipe: Recipe,
    out: Path,
    seeds: Sequence[int],
    epochs: int | None = None,
    weight_bits: int = 8,
    load: Load | None = None,
    options: Options | None = None,
) -> Comparison:
    """Trains the fair set of ``recipe`` into the folder ``out``, quantizes each network and writes the tables.

    Args:
        recipe: of a multi-level network.
        out: a folder; checkpoints that it holds already are not trained again.
        seeds: at least one.
        epochs: instead of the recipe's, for all networks alike.
        weight_bits: 2..8, of all networks alike.
        load: the data of a recipe; by default what it names, where that needs no files.
        options: device, mixed precision and logs.

    Raises: UserError as `snn2chip.training.fair_set.train_fair_set`, or where a network cannot be quantized.
    """
    from snn2chip.quantize import Precision
    from snn2chip.training import fair_set
    from snn2chip.training.train import DEFAULTS

    precision, load = Precision(weight_bits), _once(load or fair_set.load)
    recipes = fair_set.fair_recipes(recipe)
    runs: dict[str, list[Run]] = {label: [] for label in recipes}
    for label, result in fair_set.train_fair_set(recipe, out, seeds, epochs, load, options or DEFAULTS):
        integer = _integer_accuracy(result.path, precision, load(recipes[label]).test)
        accuracies = (result.validation_accuracy, result.test_accuracy, integer)
        runs[label].append(Run(result.seed, result.path.name, result.best_epoch, *accuracies))
    baselines = tuple(Baseline(label, recipes[label].arch_kwargs, tuple(found)) for label, found in runs.items())
    comparison = Comparison(recipe.as_dict(), recipe.epochs if epochs is None else epochs, weight_bits, baselines)
    comparison.write(out)
    return comparison


def _once(load: Load) -> Load:
    """Loads the data of each number of steps once."""
    loaded: dict[int, Dataset] = {}

    def known(recipe: Recipe) -> Dataset:
        if recipe.steps not in loaded:
            loaded[recipe.steps] = load(recipe)
        return loaded[recipe.steps]

    return known


def _integer_accuracy(checkpoint: Path, precision: Any, test: Split) -> float:
    from snn2chip import engine, frontend
    from snn2chip.quantize import quantize

    graph = quantize(frontend.load(checkpoint).graph, precision)
    logits = engine.run(graph, test.x).sum(axis=1)
    return float((logits.argmax(axis=1) == test.y).mean())


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _document(spread: tuple[float, float]) -> dict[str, float]:
    return {"mean": spread[0], "standard_deviation": spread[1]}
