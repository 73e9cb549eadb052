"""How the cost of counting grows with width, depth, T, activity, cores and samples: small networks, one thread.

Each axis changes one thing of a small residual network. Prints processor time per inference (medians, so that
other programs on the machine count little) and draws docs/images/scaling.svg, or the SVG file that is named: ``make
bench``, or ``python benchmarks/scaling.py FIGURE.svg``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from counting import IMAGES, ROUNDS, calibrated, medians
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from snn2chip import api, engine
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.placement import place
from snn2chip.hw_models.simulate import simulate
from snn2chip.lowering import to_populations
from snn2chip.report import drawing

BATCH = 16
BASE: dict[str, Any] = {"width": 16, "blocks_per_stage": (1, 1), "strides": (1, 2), "steps": 4}
SERIES = ("forward pass", "and the work of every core and step", "and placement, prices and the report")
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "scaling.svg"


@dataclass(frozen=True)
class Point:
    """One network on one chip.

    Attributes:
        x: the place on its axis.
        activity: events per neuron and step.
        milliseconds: per inference, in the order of `SERIES`.
    """

    x: float
    cores: int
    activity: float
    milliseconds: tuple[float, ...]


def crowded(neurons_per_core: int, folder: Path) -> Chip:
    """``loihi2`` whose cores hold so many neurons at most."""
    file = folder / f"loihi2-{neurons_per_core}.toml"
    file.write_text(
        f'name = "{file.stem}"\ntitle = "Loihi 2 with small cores"\nmodel = "neurocore"\ninherits = "loihi2"\n'
        'scenario = "fewer neurons per core"\n[sources]\nbenchmark = "convention of this benchmark"\n[limits]\n'
        f'neurons_per_core = {{ value = {neurons_per_core}, unit = "1", kind = "assumed", source = "benchmark" }}\n',
        encoding="utf-8",
    )
    return load_chip(file)


def measured(chip: Chip, samples: int = BATCH, **changes: Any) -> Point:
    """The base network with `changes`, on `chip`, so many samples in one batch; `Point.x` is the number of cores."""
    graph = api.compile_module(calibrated(**{**BASE, **changes}), "resnet", IMAGES.shape[1:]).graph
    images = np.random.default_rng(1).integers(0, 256, (samples, *IMAGES.shape[1:])).astype(np.uint8)
    network = to_populations(graph)
    placement = place(network, chip)
    model = Neurocores(network, chip, placement)
    report = simulate(graph, images, None, chip, execute=engine.run, batch_size=samples)
    hidden = report.layers[1:]
    events, visits = sum(layer.events_out for layer in hidden), sum(layer.neurons for layer in hidden) * graph.steps
    seconds = medians(
        lambda: engine.run(graph, images, batch_size=samples),
        lambda: engine.run(network.graph, images, [model.activity(samples)], batch_size=samples),
        lambda: simulate(graph, images, None, chip, execute=engine.run, batch_size=samples),
    )
    milliseconds = tuple(1000 * each / samples for each in seconds)
    return Point(placement.cores, placement.cores, events / visits, milliseconds)


def axes_of(folder: Path) -> Iterator[tuple[str, list[Point]]]:
    """Every axis: its label, and its points."""
    chip = load_chip("loihi2")
    axes: dict[str, dict[float, dict[str, Any]]] = {
        "width (channels of the first stage)": {width: {"width": width} for width in (8, 16, 32, 64)},
        "depth (residual blocks)": {2 * each: {"blocks_per_stage": (each, each)} for each in (1, 2, 4, 8)},
        "T (steps)": {steps: {"steps": steps} for steps in (1, 2, 4, 8, 16)},
        "samples in one batch": {samples: {"samples": samples} for samples in (1, 4, 16, 64)},
    }
    for label, changes in axes.items():
        yield label, [replace(measured(chip, **options), x=x) for x, options in changes.items()]
    thresholds = [measured(chip, threshold=threshold) for threshold in (32.0, 16.0, 8.0, 1.0)]
    yield "activity (events per neuron and step)", [replace(point, x=point.activity) for point in thresholds]
    yield "cores", [measured(crowded(neurons, folder)) for neurons in (8192, 2048, 512, 128)]


def tabulated(label: str, points: list[Point]) -> None:
    print(
        f"\n{label}\n{'':>8} {'cores':>6} {'activity':>9} {'forward':>9} {'counted':>9} {'report':>9}   beside forward"
    )
    for point in points:
        forward, counted, report = point.milliseconds
        print(
            f"{point.x:8.3g} {point.cores:6} {point.activity:9.3f} {forward:6.2f} ms {counted:6.2f} ms {report:6.2f} ms"
            f"   {counted / forward:.2f} {report / forward:.2f}"
        )


def drawn(found: list[tuple[str, list[Point]]]) -> str:
    """Processor time over every axis, as SVG: a panel for each, doubly logarithmic, of one height."""
    with drawing.style(drawing.WIDE):
        figure = Figure(figsize=(drawing.WIDE.inches, 6.2), layout="constrained")
        grid = figure.subplots(2, 3, sharey=True)
        for axes, (label, points) in zip(grid.flat, found, strict=True):
            panel(axes, label, points)
        for axes in grid[:, 0]:
            axes.set_ylabel("processor ms per inference")
        drawing.legend(figure, grid.flat[0], drawing.WIDE)
        return drawing.svg(figure)


def panel(axes: Axes, label: str, points: list[Point]) -> None:
    places = [point.x for point in points]
    for index, name in enumerate(SERIES):
        values = [point.milliseconds[index] for point in points]
        axes.plot(places, values, drawing.MARKERS[index] + "-", color=drawing.COLOURS[index], label=name, markersize=5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(places, [f"{place:.2g}" if place < 1 else f"{place:.0f}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(color=drawing.FAINT)
    axes.set_xlabel(label)


def main() -> None:
    """The tables, and the figure."""
    torch.set_num_threads(1)
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURE
    print(f"{BATCH} samples in one batch where nothing else is said, medians of {ROUNDS} rounds, processor time")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for label, points in axes_of(Path(folder)):
            tabulated(label, points)
            found.append((label, points))
    target.write_text(drawn(found), encoding="utf-8")


if __name__ == "__main__":
    main()
