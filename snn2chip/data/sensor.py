"""A simulated event camera that saccades over still images; ``docs/data.md`` describes it.

Its principle is that of event-camera simulators such as ESIM (Rebecq et al., 2018): brightness is rendered at short
intervals, the logarithm is taken to move linearly between them, and each crossing of a threshold is an event with its
own time. The path is the triangle of three saccades with which N-MNIST was recorded (Orchard et al., 2015).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2chip.data.events import EVENT, Events

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sensor:
    """A sensor and the scene before it.

    Attributes:
        size: pixels in each direction.
        saccade: microseconds of each of the three saccades.
        substeps: renderings in each saccade.
        contrast: the darkest reflectance, as a fraction of the brightest.
        threshold: change of the natural logarithm of the brightness that makes an event.
        mismatch: standard deviation of the threshold over pixels, as a fraction of it. Real sensors: 2 to 4 %.
        noise: background events per pixel and second.
    """

    size: int = 20
    saccade: int = 100_000
    substeps: int = 20
    contrast: float = 0.2
    threshold: float = 0.4
    mismatch: float = 0.03
    noise: float = 0.1

    @property
    def duration(self) -> int:
        """Microseconds of a recording."""
        return len(CORNERS) * self.saccade


#: Positions and logarithms are rounded to these, so that the last bit of a cosine or logarithm, in which machines
#: differ, cannot add or remove an event.
_PIXEL_STEP = 2.0**-6
_LOG_STEP = 2.0**-16

#: Where the image is, in fractions of the room that it has to move, at the end of each saccade; it starts at the last.
CORNERS: tuple[tuple[float, float], ...] = ((0.5, 1.0), (1.0, 0.0), (0.0, 0.0))


def record(images: Floats, sensor: Sensor, seed: int) -> list[Events]:
    """One recording an image, sorted by time, of type `EVENT`.

    Args:
        images: float32 ``[B, H, W]`` brightness 0..1; H and W at most ``sensor.size``.
        seed: of the thresholds' mismatch, one sensor for all images, and of the background events.
    """
    generator = np.random.default_rng(seed)
    shape = (2, sensor.size, sensor.size)
    spread = 1 + sensor.mismatch * generator.standard_normal(shape, dtype=np.float32)
    thresholds = (sensor.threshold * spread.clip(0.5, 2)).astype(np.float32)
    parts = [*_crossings(images, sensor, thresholds), _background(len(images), sensor, generator)]
    number = np.concatenate([part[0] for part in parts])
    events = np.concatenate([part[1] for part in parts])
    order = np.argsort(number * sensor.duration + events["t"], kind="stable")
    ends = np.searchsorted(number[order], np.arange(1, len(images)))
    return np.split(events[order], ends)


def _offsets(sensor: Sensor, room: tuple[int, int]) -> Iterator[tuple[float, float]]:
    """Rows and columns by which the image is displaced at each rendering: smooth starts and stops, no jump."""
    corners = (CORNERS[-1], *CORNERS)
    for (row, column), (next_row, next_column) in itertools.pairwise(corners):
        for substep in range(1, sensor.substeps + 1):
            done = 0.5 - 0.5 * np.cos(np.pi * substep / sensor.substeps)
            place = room[0] * (row + done * (next_row - row)), room[1] * (column + done * (next_column - column))
            yield _rounded(place[0], _PIXEL_STEP), _rounded(place[1], _PIXEL_STEP)


def _render(images: Floats, sensor: Sensor, offset: tuple[float, float]) -> Floats:
    """Logarithm of the brightness ``[B, size, size]`` with the images displaced, bilinear, before a dark ground."""
    count, height, width = images.shape
    scene = np.zeros((count, sensor.size + 1, sensor.size + 1), np.float32)
    (row, row_part), (column, column_part) = (divmod(value, 1) for value in offset)
    for down, row_weight in ((0, 1 - row_part), (1, row_part)):
        for right, column_weight in ((0, 1 - column_part), (1, column_part)):
            top, left = int(row) + down, int(column) + right
            scene[:, top : top + height, left : left + width] += np.float32(row_weight * column_weight) * images
    brightness = sensor.contrast + (1 - sensor.contrast) * scene[:, : sensor.size, : sensor.size]
    logarithm: Floats = _rounded(np.log(brightness.astype(np.float64)), _LOG_STEP).astype(np.float32)
    return logarithm


def _rounded(value: Any, step: float) -> Any:
    return np.round(value / step) * step


def _crossings(images: Floats, sensor: Sensor, thresholds: Floats) -> Iterator[tuple[NDArray[np.int64], Events]]:
    """Image numbers and events of each rendering interval."""
    room = (sensor.size - images.shape[1], sensor.size - images.shape[2])
    before = _render(images, sensor, (CORNERS[-1][0] * room[0], CORNERS[-1][1] * room[1]))
    reference = before.copy()
    interval = sensor.saccade / sensor.substeps
    for index, offset in enumerate(_offsets(sensor, room)):
        after = _render(images, sensor, offset)
        for polarity, sign in ((0, -1.0), (1, 1.0)):
            step = np.float32(sign) * thresholds[polarity]
            counts = np.floor((after - reference) / step).clip(0).astype(np.int64)
            yield _events(before, after, reference, step, counts, polarity, (index * interval, interval))
            reference += counts * step
        before = after


def _events(
    before: Floats,
    after: Floats,
    reference: Floats,
    step: Floats,
    counts: NDArray[np.int64],
    polarity: int,
    span: tuple[float, float],
) -> tuple[NDArray[np.int64], Events]:
    """The ``counts`` events of every pixel, each at the time at which the line from before to after crosses its level.

    ``span``: start and length of the interval in microseconds.
    """
    number, row, column = np.nonzero(counts)
    times = counts[number, row, column]
    which = np.repeat(np.arange(len(times)), times)
    crossing = np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times) + 1
    number, row, column = number[which], row[which], column[which]
    start, slope = before[number, row, column], (after - before)[number, row, column]
    part = (reference[number, row, column] + crossing * step[row, column] - start) / slope
    events = np.empty(len(which), EVENT)
    events["t"] = span[0] + np.clip(part, 0, np.nextafter(np.float32(1), np.float32(0))) * span[1]
    events["x"], events["y"], events["p"] = column, row, polarity
    return number, events


def _background(count: int, sensor: Sensor, generator: np.random.Generator) -> tuple[NDArray[np.int64], Events]:
    """Events that nothing in the scene caused: a Poisson process with one rate, either polarity alike."""
    expected = sensor.noise * sensor.size**2 * sensor.duration / 1e6
    number = np.repeat(np.arange(count), generator.poisson(expected, count))
    events = np.empty(len(number), EVENT)
    for field, end in (("t", sensor.duration), ("x", sensor.size), ("y", sensor.size), ("p", 2)):
        events[field] = generator.integers(0, end, len(number))
    return number, events
