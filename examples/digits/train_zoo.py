"""Trains the checkpoints in ``snn2chip/zoo`` and writes their accuracies to ``results.json`` beside them.

    python examples/digits/train_zoo.py [--recipes digits event-digits] [--seeds 0 1 2] [--jobs 2]

An interrupted call goes on where it stopped when it is repeated: logs and unfinished runs lie in ``--work``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

# Each run has one thread: two runs at once then use two cores, and results do not depend on the machine's.
os.environ["OMP_NUM_THREADS"] = "1"

import torch

from snn2chip import zoo
from snn2chip.training import RECIPES, Options, train

SHIPPED = [name for name, recipe in RECIPES.items() if recipe.dataset in zoo.FOLDERS]


def main() -> None:
    arguments = _arguments()
    jobs = [(name, seed, arguments) for seed in arguments.seeds for name in arguments.recipes]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        for line in pool.imap_unordered(_train_one, jobs, chunksize=1):
            print(line, flush=True)
    for folder in {_folder(arguments, name) for name in arguments.recipes}:
        write_results(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=SHIPPED, default=SHIPPED, metavar="RECIPE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--out", type=Path, help="where the checkpoints go (default: the zoo)")
    parser.add_argument("--work", type=Path, default=Path("build/zoo"), help="where logs and states go")
    return parser.parse_args()


def _folder(arguments: argparse.Namespace, name: str) -> Path:
    folder = zoo.FOLDERS[RECIPES[name].dataset]
    return folder if arguments.out is None else Path(arguments.out) / folder.name


def _train_one(job: tuple[str, int, argparse.Namespace]) -> str:
    name, seed, arguments = job
    folder = _folder(arguments, name)
    file = f"{RECIPES[name].label}-seed{seed}.pt"
    start = time.monotonic()
    options = Options(device="cpu", logs=("csv",))
    work = arguments.work / folder.name / file
    result = train(name, work, seed=seed, progress=lambda record, epochs: None, options=options)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{file}"
    shutil.copyfile(result.path, unfinished)
    unfinished.replace(folder / file)
    seconds = time.monotonic() - start
    return f"{name} {file}: epoch {result.best_epoch}, test {100 * result.test_accuracy:.2f} %, {seconds:.0f} s"


def write_results(folder: Path) -> None:
    """Reads what is stored in every checkpoint of ``folder`` and writes ``results.json`` beside them."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(folder.glob("*-seed*.pt")):
        model = torch.load(file, weights_only=True)
        runs.setdefault(file.stem.rpartition("-seed")[0], []).append(_run(file, model))
    order = [recipe.label for recipe in RECIPES.values() if recipe.label in runs]
    labels = dict.fromkeys([*order, *runs])
    results = {label: _summary(runs[label]) for label in labels}
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for label, summary in results.items():
        print(f"{folder.name} {label:14} {100 * summary['mean']:.2f} % +- {100 * summary['standard_deviation']:.2f}")


def _run(file: Path, model: dict[str, Any]) -> dict[str, Any]:
    keys = ("seed", "epochs", "best_epoch", "validation_accuracy", "accuracy")
    return {"file": file.name, **{key: model[key] for key in keys}}


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread over the seeds; accuracies are fractions of the 450 test images."""
    accuracies = [run["accuracy"] for run in runs]
    return {
        "mean": statistics.fmean(accuracies),
        "standard_deviation": statistics.stdev(accuracies) if len(runs) > 1 else 0.0,
        "lowest": min(accuracies),
        "highest": max(accuracies),
        "runs": runs,
    }


if __name__ == "__main__":
    main()
