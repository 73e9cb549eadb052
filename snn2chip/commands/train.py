"""``snn2chip train``: train a network of a recipe."""

from __future__ import annotations

import argparse
from typing import Any

from snn2chip.commands.base import command


def add(commands: Any) -> None:
    details = """\
Recipes: digits (Sparse, N=4, T=1), digits-binary-t4, digits-binary-t1, digits-sew, digits-qann. The data are
scikit-learn's handwritten digits; the best epoch is chosen on a part of the training split. A killed training
goes on where it stopped when the same command is given again; MODEL.log.jsonl holds one line an epoch."""
    parser = command(commands, "train", "train a network of a recipe", _execute, details)
    parser.add_argument("--recipe", required=True, metavar="NAME", help="which network on which data")
    parser.add_argument("--out", required=True, metavar="MODEL", help="the checkpoint to write, such as model.pt")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and augmentation (default 0)")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's number")


def _execute(options: argparse.Namespace) -> int:
    from snn2chip import training

    result = training.train(options.recipe, options.out, seed=options.seed, epochs=options.epochs)
    print(f"{options.out}: {100 * result.test_accuracy:.2f} % on the test split (best epoch: {result.best_epoch + 1})")
    return 0
