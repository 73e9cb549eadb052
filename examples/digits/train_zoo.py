"""Trains the checkpoints in ``snn2chip/zoo/digits`` and writes their accuracies to ``results.json`` there.

    python examples/digits/train_zoo.py [--recipes digits digits-sew] [--seeds 0 1 2] [--jobs 2]

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
from snn2chip.training import RECIPES, train


def main() -> None:
    arguments = _arguments()
    jobs = [(name, seed, arguments) for seed in arguments.seeds for name in arguments.recipes]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        for line in pool.imap_unordered(_train_one, jobs, chunksize=1):
            print(line, flush=True)
    write_results(arguments.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--out", type=Path, default=zoo.DIGITS, help="where the checkpoints go")
    parser.add_argument("--work", type=Path, default=Path("build/zoo"), help="where logs and states go")
    return parser.parse_args()


def _train_one(job: tuple[str, int, argparse.Namespace]) -> str:
    name, seed, arguments = job
    file = f"{RECIPES[name].label}-seed{seed}.pt"
    start = time.monotonic()
    result = train(name, arguments.work / file, seed=seed, progress=lambda record, epochs: None)
    arguments.out.mkdir(parents=True, exist_ok=True)
    unfinished = arguments.out / f".{file}"
    shutil.copyfile(result.path, unfinished)
    unfinished.replace(arguments.out / file)
    seconds = time.monotonic() - start
    return f"{file}: epoch {result.best_epoch}, test {100 * result.test_accuracy:.2f} %, {seconds:.0f} s"


def write_results(folder: Path) -> None:
    """Reads what is stored in every checkpoint of ``folder`` and writes ``results.json`` beside them."""
    runs: dict[str, list[dict[str, Any]]] = {recipe.label: [] for recipe in RECIPES.values()}
    for file in sorted(folder.glob("*-seed*.pt")):
        model = torch.load(file, weights_only=True)
        runs[model["recipe"]["label"]].append(_run(file, model))
    results = {label: _summary(found) for label, found in runs.items() if found}
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for label, summary in results.items():
        print(f"{label:14} {100 * summary['mean']:.2f} % +- {100 * summary['standard_deviation']:.2f}")


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
