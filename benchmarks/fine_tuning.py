"""Accuracy on digits after fine-tuning on the integers, beside the float network and calibrated rounding.

Usage: python benchmarks/fine_tuning.py [--bits 4,2] [NAME ...]; mean over the 3 seeds of each shipped network.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from snn2chip import data, engine, frontend, zoo
from snn2chip.graph import Graph
from snn2chip.quantize import Precision
from snn2chip.quantize.calibration import calibration_data
from snn2chip.quantize.post_training import PostTraining, post_training
from snn2chip.quantize.qat import FineTuning, fine_tune

SEEDS = (0, 1, 2)


def accuracies(name: str, seed: int, bits: int) -> tuple[float, float, float]:
    """Fractions on the test part: float, calibrated, fine-tuned."""
    digits = data.load("digits")

    def measured(graph: Graph) -> float:
        logits = engine.run(graph, digits.test.x).sum(axis=1, dtype=np.int64)
        return float((logits.argmax(axis=1) == digits.test.y).mean())

    loaded = frontend.load(zoo.path(name, seed), frontend.ImportOptions())
    assert loaded.model is not None
    with torch.no_grad():
        classes = loaded.model(torch.from_numpy(digits.test.x)).argmax(1).numpy()
    inputs = calibration_data(loaded.graph, loaded.metadata).inputs
    calibrated = post_training(loaded.graph, PostTraining(precision=Precision(bits)), inputs)
    state = calibrated.state
    tuned = fine_tune(state.network, state.precision, state.choices, digits.train.x, digits.train.y, FineTuning())
    return float((classes == digits.test.y).mean()), measured(calibrated.graph), measured(tuned.integer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", default="4,2")
    parser.add_argument("names", nargs="*", default=["sparse-n4-t1"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("network        bits  float   calibrated  fine-tuned  (percent, mean over 3 seeds)")
    for bits in map(int, options.bits.split(",")):
        for name in options.names:
            rows = np.array([accuracies(name, seed, bits) for seed in SEEDS]) * 100
            means = rows.mean(axis=0)
            print(f"{name:14} {bits:4}  {means[0]:6.2f}  {means[1]:10.2f}  {means[2]:10.2f}", flush=True)


if __name__ == "__main__":
    main()
