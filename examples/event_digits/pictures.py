"""Draws the pictures of docs/data.md and docs/training.md.

    python examples/event_digits/pictures.py recording docs/images/event-digits.png
    python examples/event_digits/pictures.py curves docs/images/training-curves.svg build/zoo

The second reads the CSV logs that ``examples/digits/train_zoo.py`` leaves in its ``--work`` folder.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

from matplotlib import pyplot as plt

from snn2chip.data import digits, event_digits, to_frames
from snn2chip.data.events import Events
from snn2chip.training import RECIPES

SAMPLE = 3
STEPS = 10
ON, OFF = "#c0392b", "#2c5aa0"
CURVES = ("digits", "digits-binary-t4", "event-digits", "event-digits-binary-t10")


def recording(target: Path) -> None:
    """A digit, its events in space and time, and their sums into one frame and into ten."""
    image, events = digits.load().train.x[SAMPLE, 0], event_digits.recordings()[0][SAMPLE]
    figure = plt.figure(figsize=(10, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, STEPS, height_ratios=[2.4, 1])
    _image(figure.add_subplot(grid[0, :2]), image, f"digit {digits.load().train.y[SAMPLE]}, 8x8")
    _scatter(figure.add_subplot(grid[0, 2:8], projection="3d"), events)
    _frame(figure.add_subplot(grid[0, 8:]), _frames(events, 1)[0], "T = 1: the sum")
    for step, counts in enumerate(_frames(events, STEPS)):
        _frame(figure.add_subplot(grid[1, step]), counts, f"{30 * step} ms")
    figure.suptitle("Event digits: a simulated sensor, not a recording")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110, metadata={"Software": None})


def _frames(events: Events, steps: int) -> Any:
    sensor = event_digits.SENSOR
    return to_frames(events, steps, (sensor.size, sensor.size), start=0, duration=sensor.duration).x


def _image(axes: Any, image: Any, title: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=digits.GREY_LEVELS)
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def _frame(axes: Any, counts: Any, title: str) -> None:
    """ON counts red, OFF counts blue."""
    on, off = counts[1] / max(1, counts.max()), counts[0] / max(1, counts.max())
    axes.imshow(np.stack([1 - off, 1 - np.maximum(on, off), 1 - on], axis=2))
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def _scatter(axes: Any, events: Events) -> None:
    colours = np.where(events["p"] == 1, ON, OFF)
    axes.scatter(events["t"] / 1000, events["x"], -events["y"], s=2, c=colours)
    axes.set_box_aspect((3, 1, 1), zoom=1.35)
    axes.set_xlabel("ms", fontsize=8)
    axes.set_yticks([])
    axes.set_zticks([])
    axes.set_title(f"{len(events)} events (ON red, OFF blue)", fontsize=9)


def curves(target: Path, logs: Path) -> None:
    """Loss and error over epochs, one line a seed."""
    figure, panels = plt.subplots(2, 2, figsize=(9, 5.5), sharex="col", layout="constrained")
    for column, dataset in enumerate(("digits", "event-digits")):
        for colour, name in zip((ON, OFF), [name for name in CURVES if RECIPES[name].dataset == dataset], strict=True):
            _lines(panels[:, column], logs / dataset, name, colour)
        panels[0, column].set_title(dataset)
        panels[0, column].set_ylabel("training loss")
        panels[1, column].set_ylabel("validation error, %")
        panels[1, column].set_xlabel("epoch")
        panels[1, column].set_yscale("symlog", linthresh=1)
        panels[1, column].xaxis.get_major_locator().set_params(integer=True)
        panels[0, column].legend(fontsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "snn2chip"}):
        figure.savefig(target, metadata={"Date": None})
    _strip_machine(target)


def _lines(panels: Any, logs: Path, name: str, colour: str) -> None:
    label: str | None = name
    for file in sorted(logs.glob(f"{RECIPES[name].label}-seed*.pt.log.csv")):
        with file.open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        epochs = [int(row["epoch"]) + 1 for row in rows]
        panels[0].plot(epochs, [float(row["train_loss"]) for row in rows], colour, lw=1, label=label)
        error = [100 - 100 * float(row["validation_accuracy"]) for row in rows]
        panels[1].plot(epochs, error, colour, lw=1)
        label = None
    if label is not None:
        sys.exit(f"{logs}: no CSV logs of {name}: run examples/digits/train_zoo.py first")


def _strip_machine(target: Path) -> None:
    """Matplotlib notes its version and home page in every SVG."""
    text = target.read_text(encoding="utf-8")
    target.write_text(re.sub(r" *<metadata>.*?</metadata>\n", "", text, flags=re.S), encoding="utf-8")


if __name__ == "__main__":
    commands: dict[str, Any] = {"recording": recording, "curves": curves}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*map(Path, sys.argv[2:]))
