"""Event digits: scikit-learn's digits before a simulated event camera. Not a recording of any sensor."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from snn2chip.data import digits
from snn2chip.data.dataset import Dataset, Split
from snn2chip.data.events import Events, to_frames
from snn2chip.data.sensor import Sensor, record

ENLARGED = 16
SEED = 0
SENSOR = Sensor()
PROVENANCE = (
    "simulated sensor, not a recording: scikit-learn's digits, enlarged to 16x16, before the event camera model "
    f"of snn2chip.data.sensor (20x20 pixels, three saccades of 100 ms, seed {SEED}); the split of 'digits'"
)


def load(steps: int = 1) -> Dataset:
    """The recordings as frames, uint8 ``[B, steps, 2, 20, 20]``; the same recordings for every number of steps."""
    images, streams = digits.load(), _recordings()
    x = np.stack([_frames(events, steps) for events in streams])
    limit = len(images.train)
    train, test = Split(x[:limit], images.train.y), Split(x[limit:], images.test.y)
    each = f"{steps} frames of {SENSOR.duration / 1000 / steps:g} ms" if steps > 1 else "one frame"
    notes = (f"each recording, of {SENSOR.duration // 1000} ms, as {each}",)
    names, largest = images.class_names, int(x.max())
    return Dataset("event-digits", train, test, names, largest, PROVENANCE, synthetic=True, notes=notes)


def recordings() -> tuple[list[Events], list[Events]]:
    """The event streams of the training and of the test images, in the order of the split of `digits`."""
    every = _recordings()
    limit = len(digits.load().train)
    return every[:limit], every[limit:]


def _frames(events: Events, steps: int) -> NDArray[np.uint8]:
    frames = to_frames(events, steps, (SENSOR.size, SENSOR.size), start=0, duration=SENSOR.duration)
    assert not frames.clipped, "a pixel of this sensor fires far fewer than 255 times in a recording"
    return frames.x


@cache
def _recordings() -> list[Events]:
    images = digits.load()
    grey = np.concatenate([images.train.x, images.test.x])[:, 0].astype(np.float32)
    return record(enlarge(grey * np.float32(1 / digits.GREY_LEVELS), ENLARGED), SENSOR, SEED)


def enlarge(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """``[B, S, S]`` -> ``[B, size, size]``, bilinear, pixel centres aligned as in every image library."""
    weights = _interpolation(images.shape[1], size)
    enlarged: NDArray[np.float32] = np.einsum("ij,bjk,lk->bil", weights, images, weights, optimize=True)
    return enlarged


def _interpolation(source: int, target: int) -> NDArray[np.float32]:
    """Weights ``[target, source]`` of linear interpolation, repeating the border."""
    place = ((np.arange(target) + 0.5) * source / target - 0.5).clip(0, source - 1)
    return np.maximum(0, 1 - abs(place[:, np.newaxis] - np.arange(source))).astype(np.float32)
