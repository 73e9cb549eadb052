"""One recording, one time step or ten: a Sparse-ResNet with graded spikes beside a binary network, over three seeds.

    python examples/event_digits/compare.py [--chip loihi2] [--samples 450] [--json FILE]

Both read the same simulated recordings: one as the sum of all events (T = 1), one as ten frames (T = 10). Accuracies
are those of the integer networks, on the test part; counts and energies are means per inference of what flowed there.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from snn2chip import api, engine, terminal, zoo
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.results import NetworkReport
from snn2chip.hw_models.simulate import simulate

DATASET = "event-digits"
NETWORKS = {"Sparse, N = 4, T = 1": "sparse-n4-t1", "binary, T = 10": "binary-t10"}
FIGURES: dict[str, Callable[[NetworkReport], float]] = {
    "accuracy, %": lambda report: 100 * (report.accuracy or 0.0),
    "events": lambda report: report.totals.events_out,
    "synaptic operations": lambda report: report.totals.synaptic_operations,
    "neuron updates": lambda report: report.totals.neuron_updates,
    "steps": lambda report: report.latency.steps,
    "dynamic energy, uJ: low": lambda report: 1e6 * report.energy.dynamic.low,
    "dynamic energy, uJ: nominal": lambda report: 1e6 * report.energy.dynamic.nominal,
    "dynamic energy, uJ: high": lambda report: 1e6 * report.energy.dynamic.high,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--chip", default="loihi2")
    parser.add_argument("--samples", type=int, default=450, help="test recordings (default: all 450)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path, help="every figure of every seed")
    arguments = parser.parse_args()
    chip = load_chip(arguments.chip)
    reports = {
        title: [run(label, seed, chip, arguments.samples) for seed in arguments.seeds]
        for title, label in NETWORKS.items()
    }
    measured = {
        title: {name: [figure(report) for report in found] for name, figure in FIGURES.items()}
        for title, found in reports.items()
    }
    rows = [(name, *(spread(measured[title][name]) for title in NETWORKS)) for name in FIGURES]
    print(f"{chip.name}, {arguments.samples} test recordings, seeds {arguments.seeds}: mean +- standard deviation")
    print(terminal.table(("per inference", *NETWORKS), rows))
    print("Recordings of a simulated sensor; prices are published or assumed, never measured on silicon.")
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


def run(label: str, seed: int, chip: Chip, count: int) -> NetworkReport:
    """The shipped checkpoint as integers, on `count` recordings of the test part."""
    compiled = api.compile_file(zoo.path(label, seed, DATASET))
    assert compiled.samples is not None  # the data set comes with the package
    x, y = compiled.samples.x[:count], compiled.samples.y
    assert y is not None
    return simulate(compiled.graph, x, y[:count], chip, label=label, execute=engine.run)


def spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):,.6g} +- {deviation:.3g}"


if __name__ == "__main__":
    main()
