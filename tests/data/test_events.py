"""Event streams into frames: every event counted once, in its slice, and nothing lost in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from snn2chip.data import EVENT, to_frames
from snn2chip.errors import UserError


def events(*rows: tuple[int, int, int, int]) -> NDArray[np.void]:
    """Rows (t, x, y, p)."""
    return np.array(list(rows), EVENT)


def test_counts_by_hand() -> None:
    stream = events((0, 1, 0, 1), (10, 1, 0, 1), (19, 0, 2, 0), (20, 1, 0, 1), (39, 1, 2, 0))
    frames = to_frames(stream, steps=2, shape=(3, 2), start=0, duration=40)
    expected = np.zeros((2, 2, 3, 2), np.uint8)
    expected[0, 1, 0, 1] = 2
    expected[0, 0, 2, 0] = 1
    expected[1, 1, 0, 1] = 1
    expected[1, 0, 2, 1] = 1
    assert frames.x.dtype == np.uint8
    assert np.array_equal(frames.x, expected)
    assert frames.clipped == 0


def test_a_recording_lasts_from_its_first_event_to_its_last() -> None:
    stream = events((1000, 0, 0, 0), (1499, 0, 0, 0), (1500, 0, 0, 1), (1999, 0, 0, 1))
    counts = to_frames(stream, steps=2, shape=(1, 1)).x[..., 0, 0]
    assert counts.tolist() == [[2, 0], [0, 2]]


def test_pixels_of_a_larger_sensor_are_pooled_by_summing() -> None:
    stream = events((0, 0, 0, 0), (0, 1, 1, 0), (0, 2, 0, 0), (0, 3, 3, 0))
    frames = to_frames(stream, 1, (2, 2), sensor=(4, 4))
    assert frames.x[0, 0].tolist() == [[2, 1], [0, 1]]


def test_what_a_byte_cannot_count_is_clipped_and_reported() -> None:
    stream = np.zeros(300, EVENT)
    frames = to_frames(stream, 1, (1, 1))
    assert frames.x.ravel().tolist() == [255, 0]
    assert frames.clipped == 45


@st.composite
def streams(draw: st.DrawFn) -> NDArray[np.void]:
    rows = st.tuples(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 4), st.integers(0, 1))
    return events(*draw(st.lists(rows, min_size=1, max_size=200)))


@given(streams(), st.integers(1, 12))
def test_frames_add_up_to_the_recording_whatever_their_number(stream: NDArray[np.void], steps: int) -> None:
    whole, frames = to_frames(stream, 1, (5, 7)), to_frames(stream, steps, (5, 7))
    assert np.array_equal(frames.x.sum(0), whole.x[0])
    assert whole.x.sum() == len(stream)


@given(streams(), st.integers(1, 12))
def test_frames_are_what_a_plain_loop_counts(stream: NDArray[np.void], steps: int) -> None:
    start = min(int(event["t"]) for event in stream)
    duration = max(int(event["t"]) for event in stream) - start + 1
    expected = np.zeros((steps, 2, 5, 7), int)
    for event in stream:
        step = (int(event["t"]) - start) * steps // duration
        expected[step, event["p"], event["y"], event["x"]] += 1
    assert np.array_equal(to_frames(stream, steps, (5, 7)).x, expected)


def test_any_order_and_type_of_the_fields_is_taken() -> None:
    other = np.array([(1, 2, True, 7)], np.dtype([("y", "u2"), ("x", "i8"), ("p", "?"), ("t", "u8")]))
    assert to_frames(other, 1, (3, 3)).x[0, 1, 1, 2] == 1


@pytest.mark.parametrize(
    ("stream", "sentence"),
    [
        (np.zeros(1, [("t", "i8"), ("x", "i2"), ("y", "i2")]), "events without the field 'p'"),
        (np.zeros((3, 4)), "events without the field 't'"),
        (np.zeros(0, EVENT), "a recording without events"),
        (events((0, 3, 0, 0)), r"column x is 3, outside 0..2: is this another sensor"),
        (events((0, 0, -1, 0)), r"row y is -1, outside 0..2"),
        (events((0, 0, 0, 2)), r"polarity p is 2, outside 0..1"),
    ],
)
def test_what_is_no_recording_of_this_sensor_is_refused(stream: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        to_frames(stream, 1, (3, 3))


def test_events_outside_the_duration_are_refused() -> None:
    with pytest.raises(UserError, match=r"time since the start, in microseconds, is 50, outside 0..49"):
        to_frames(events((50, 0, 0, 0)), 1, (1, 1), start=0, duration=50)
    with pytest.raises(UserError, match="every size must be at least 1"):
        to_frames(events((0, 0, 0, 0)), 0, (1, 1))
