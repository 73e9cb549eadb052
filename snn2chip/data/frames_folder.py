"""Frames of many recordings, summed one recording at a time and kept on disk, so that the next load takes no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import progress as bars
from rich.console import Console

from snn2chip import files, numpy_files
from snn2chip.data.dataset import Dataset, as_split
from snn2chip.data.events import POLARITIES, to_frames
from snn2chip.errors import UserError

FORMAT = "snn2chip-frames-1"
_DOCUMENT = "frames.json"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Recording:
    """Where its events are (for messages), a function that reads them, and the class."""

    where: str
    events: Callable[[], Any]
    label: int


@dataclass(frozen=True)
class Geometry:
    """T, the ``(H, W)`` of the frames, and that of the sensor."""

    steps: int
    shape: tuple[int, int]
    sensor: tuple[int, int]


def write(folder: Path, geometry: Geometry, train: Sequence[Recording], test: Sequence[Recording]) -> None:
    """The frames of both parts as ``.npy`` files in `folder`, whole or not at all.

    Raises: UserError naming the recording that cannot be summed, or the folder where it cannot be written.
    """
    clipped = {}
    with files.replacing(folder) as temporary, _bar(folder.name, len(train) + len(test)) as advance:
        for part, recordings in (("train", train), ("test", test)):
            shape = (len(recordings), geometry.steps, POLARITIES, *geometry.shape)
            frames = np.lib.format.open_memmap(temporary / f"x_{part}.npy", "w+", np.uint8, shape)
            clipped[part] = 0
            for index, recording in enumerate(recordings):
                clipped[part] += _sum(recording, geometry, frames, index)
                advance()
            frames.flush()
            labels = np.array([recording.label for recording in recordings], np.int64)
            np.save(temporary / f"y_{part}.npy", labels, allow_pickle=False)
        document = {"format": FORMAT, "clipped": clipped, "sensor": list(geometry.sensor)}
        (temporary / _DOCUMENT).write_text(files.canonical_json(document), encoding="utf-8")


def read(folder: Path, name: str, class_names: tuple[str, ...], provenance: str) -> Dataset:
    """The data set that `write` left in `folder`, mapped into memory.

    Raises: UserError where a file is missing or damaged.
    """
    document = files.read_json(folder / _DOCUMENT)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UserError(f"{folder}: it was not written by this version: delete it, and it is made again")
    arrays = {part: numpy_files.read(folder / f"{part}.npy")["x"] for part in _ARRAYS}
    train = as_split(f"{folder} (training part)", arrays["x_train"], arrays["y_train"])
    test = as_split(f"{folder} (test part)", arrays["x_test"], arrays["y_test"])
    notes = [f"frames kept in {folder}: delete it to have them made again"]
    for part, lost in document["clipped"].items():
        notes.append(f"{lost} events of the {part} part were lost where a pixel had more than 255 in one frame")
    largest = max(1, int(train.x.max()), int(test.x.max()))
    return Dataset(name, train, test, class_names, largest, provenance, notes=tuple(notes))


def _sum(recording: Recording, geometry: Geometry, target: Any, index: int) -> int:
    """Writes the frames of a recording into ``target[index]``; how many events were clipped."""
    try:
        frames = to_frames(recording.events(), geometry.steps, geometry.shape, geometry.sensor)
    except UserError as error:
        raise UserError(f"{recording.where}: {error}") from None
    target[index] = frames.x
    return frames.clipped


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error that a pipe never sees, and the function that moves it on by one."""
    console = Console(stderr=True)
    with bars.Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)
