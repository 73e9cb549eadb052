"""``snn2chip baselines``: train a network and everything that it is fairly compared with."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING, Any

from snn2chip.commands.base import command
from snn2chip.commands.training_options import add_training_options, load_for, machine, recipe_and_data

if TYPE_CHECKING:
    from snn2chip.baselines import Baseline


def add(commands: Any) -> None:
    details = """\
Of the recipe's multi-level network (N levels, T steps) the fair set is derived: binary at N*T and at T steps, the
quantized ANN of as many levels, and of residual networks the other blocks and the barrier with a surrogate backward.
All have the same widths and depth, the same training, seeds and weight bits. Checkpoints that DIR holds already are
not trained again. DIR/fair-set.json holds every run, DIR/fair-set.csv a line a network."""
    parser = command(commands, "baselines", "train a network and its fair baselines", _execute, details)
    parser.add_argument("--recipe", required=True, metavar="NAME", help="a recipe of a multi-level network")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder for checkpoints and tables")
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2], metavar="N,N", help="(default 0,1,2)")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's number, for all alike")
    parser.add_argument(
        "--bits", type=int, default=8, metavar="N", help="weight bits of the integers, 2..8 (default 8)"
    )
    add_training_options(parser)


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give whole numbers with commas between, such as 0,1,2") from None


def _execute(options: argparse.Namespace) -> int:
    from pathlib import Path

    from snn2chip import baselines, terminal

    out = Path(options.out)
    recipe, _ = recipe_and_data(options)
    load = functools.partial(load_for, options)
    found = baselines.train(recipe, out, options.seeds, options.epochs, options.bits, load, machine(options))
    rows = [_row(baseline) for baseline in found.baselines]
    print(terminal.table(("network", "seeds", "test accuracy", f"with {found.weight_bits}-bit weights"), rows))
    print(f"{out / baselines.JSON}, {out / baselines.CSV}")
    return 0


def _row(baseline: Baseline) -> tuple[str, ...]:
    count = len(baseline.runs)
    accuracies = (_percent(spread, count) for spread in (baseline.accuracy, baseline.integer_accuracy))
    return (baseline.label, str(count), *accuracies)


def _percent(spread: tuple[float, float], seeds: int) -> str:
    mean, deviation = spread
    return f"{100 * mean:.2f} ± {100 * deviation:.2f} %" if seeds > 1 else f"{100 * mean:.2f} %"
