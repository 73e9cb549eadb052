"""Event streams, and their sums: T frames of counts, which are graded spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import UserError

#: One event: time in microseconds, column, row, polarity (0 darker, OFF; 1 brighter, ON).
EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
POLARITIES = 2
MOST_COUNT = 255

Events = NDArray[np.void]


@dataclass(frozen=True)
class Frames:
    """Counts ``x`` uint8 ``[T, 2, H, W]``, OFF before ON, and how many events fell to the clip at 255."""

    x: NDArray[np.uint8]
    clipped: int


def to_frames(
    events: Any,
    steps: int,
    shape: tuple[int, int],
    sensor: tuple[int, int] | None = None,
    start: int | None = None,
    duration: int | None = None,
) -> Frames:
    """The events of one recording, summed per polarity, pixel and step: ``steps`` slices of equal duration.

    Args:
        events: an array with the fields t (microseconds), x, y, p, in any order; `EVENT` is one such type.
        steps: T; T = 1 is the sum of the whole recording, and the sum over T frames is the same for every T
            (unless counts were clipped).
        shape: ``(H, W)`` of the frames.
        sensor: ``(H, W)`` of the sensor, where it is not `shape`: its pixels are pooled by summing.
        start, duration: of the recording, in microseconds; by default from its first event to its last.

    Raises: UserError where a field is missing, there is no event, or one lies outside the sensor or the recording.
    """
    time, column, row, polarity = _fields(events)
    height, width = sensor or shape
    if steps < 1 or min(height, width, *shape) < 1:
        raise UserError(f"{steps} frames of {shape} from a sensor of {(height, width)}: every size must be at least 1")
    _check_within("column x", column, width)
    _check_within("row y", row, height)
    _check_within("polarity p", polarity, POLARITIES)
    elapsed = time - (int(time.min()) if start is None else start)
    duration = int(elapsed.max()) + 1 if duration is None else duration
    _check_within("time since the start, in microseconds,", elapsed, duration)
    step = elapsed * steps // duration
    cell = np.ravel_multi_index(
        (step, polarity, row * shape[0] // height, column * shape[1] // width), (steps, POLARITIES, *shape)
    )
    counts = np.bincount(cell, minlength=steps * POLARITIES * shape[0] * shape[1])
    clipped = int(np.maximum(counts - MOST_COUNT, 0).sum())
    frames = np.minimum(counts, MOST_COUNT).astype(np.uint8).reshape(steps, POLARITIES, *shape)
    return Frames(frames, clipped)


def _fields(events: Any) -> tuple[NDArray[np.int64], ...]:
    names = getattr(getattr(events, "dtype", None), "names", None) or ()
    if missing := [name for name in "txyp" if name not in names]:
        raise UserError(f"events without the field {missing[0]!r}: give an array with the fields t, x, y and p")
    if not len(events):
        raise UserError("a recording without events: remove it")
    return tuple(np.asarray(events[name]).astype(np.int64) for name in "txyp")


def _check_within(what: str, values: NDArray[np.int64], size: int) -> None:
    if (least := int(values.min())) < 0 or int(values.max()) >= size:
        worst = int(values.max()) if least >= 0 else least
        raise UserError(f"an event whose {what} is {worst}, outside 0..{size - 1}: is this another sensor?")
