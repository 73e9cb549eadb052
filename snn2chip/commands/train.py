"""``snn2chip train``: train a network of a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn2chip.commands.base import command
from snn2chip.commands.training_options import add_training_options, machine, recipe_and_data
from snn2chip.errors import UserError

if TYPE_CHECKING:
    from snn2chip.data import Dataset
    from snn2chip.training import Recipe

_DETAILS = """\
Recipes that need no files: digits (Sparse, N=4, T=1), digits-binary-t4, digits-binary-t1, digits-sew, digits-ms,
digits-spiking, digits-barrier (surrogate backward at the barrier), digits-qann, on scikit-learn's handwritten digits;
event-digits (Sparse, N=4, T=1), event-digits-binary-t10, on the same digits before a simulated event camera.
With --root, where the original binary files are: cifar10-resnet18, cifar10-resnet19, cifar10-vgg16, and cifar100-...
of each.
The best epoch is chosen on a part of the training split. A killed training goes on where it stopped when the same
command is given again; MODEL.log.jsonl holds one line an epoch."""


def add(commands: Any) -> None:
    parser = command(commands, "train", "train a network of a recipe", _execute, _DETAILS)
    parser.add_argument("--recipe", required=True, metavar="NAME", help="which network on which data")
    parser.add_argument("--out", required=True, metavar="MODEL", help="the checkpoint to write, such as model.pt")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, default=0, help="seed of weights, order and augmentation (default 0)")
    seeds.add_argument("--seeds", metavar="N,N,...", help="several seeds, one after the other, into MODEL-seedN.pt")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's number")
    add_training_options(parser)


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import files, training

    if options.seeds is None:
        files.check_writable(options.out)  # before anything is read or said
    seeds = None if options.seeds is None else _numbers(options.seeds)
    recipe, dataset = recipe_and_data(options)
    for line in (dataset.provenance, *dataset.notes):
        print(f"data: {line}")
    if seeds is not None:
        return _several(recipe, dataset, seeds, options)
    result = training.train(
        recipe, options.out, options.seed, options.epochs, dataset=dataset, options=machine(options)
    )
    print(f"{options.out}: {100 * result.test_accuracy:.2f} % on the test split (best epoch: {result.best_epoch + 1})")
    return 0


def _several(recipe: Recipe, dataset: Dataset, seeds: list[int], options: argparse.Namespace) -> int:
    from snn2chip import training

    result = training.train_seeds(
        recipe,
        Path(options.out),
        seeds,
        options.epochs,
        dataset,
        machine(options),
        report=lambda run: print(f"{run.path}: {100 * run.test_accuracy:.2f} % on the test split"),
    )
    mean, deviation = 100 * result.mean, 100 * result.standard_deviation
    print(f"{result.summary}: {mean:.2f} % +- {deviation:.2f} over {len(result.runs)} seeds (mean, standard deviation)")
    return 0


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds {text!r}: give whole numbers with commas between, such as 0,1,2") from None
