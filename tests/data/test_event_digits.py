"""The simulated event camera, and the digits before it."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from snn2chip import data
from snn2chip.data import digits, event_digits
from snn2chip.data.events import EVENT
from snn2chip.data.sensor import Sensor, record

CLEAN = Sensor(size=6, mismatch=0.0, noise=0.0)


def bright_pixel() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.ones((1, 1, 1), np.float32)


def test_one_pixel_makes_the_events_that_its_brightness_asks_for() -> None:
    """A point that passes over a pixel changes its logarithm by ln(1/contrast), up and down again."""
    (stream,) = record(bright_pixel(), CLEAN, seed=0)
    levels = int(np.log(1 / CLEAN.contrast) / CLEAN.threshold)
    start = stream[(stream["x"] == 0) & (stream["y"] == 0)]
    assert start["p"].tolist() == [0] * levels + [1] * levels  # leaves at the start, is back at the end
    assert start["t"][levels - 1] < CLEAN.saccade < 2 * CLEAN.saccade < start["t"][levels]
    corner = stream[(stream["x"] == 5) & (stream["y"] == 2)]
    assert set(corner["t"] // CLEAN.saccade) <= {0, 1}


def test_the_scene_ends_as_it_began() -> None:
    """The path is closed: without noise, each pixel brightens as often as it darkens, give or take one threshold."""
    images = np.random.default_rng(0).random((3, 4, 4), dtype=np.float32)
    for stream in record(images, CLEAN, seed=0):
        balance = np.zeros((6, 6), int)
        np.add.at(balance, (stream["y"], stream["x"]), 2 * stream["p"].astype(int) - 1)
        assert abs(balance).max() <= 1
        assert len(stream) > 50


def test_a_dark_scene_makes_background_events_alone() -> None:
    dark = np.zeros((200, 2, 2), np.float32)
    assert not any(map(len, record(dark, CLEAN, seed=0)))
    noisy = dataclasses.replace(CLEAN, noise=5.0)
    counts = [len(stream) for stream in record(dark, noisy, seed=0)]
    expected = 5.0 * 36 * 0.3
    assert np.mean(counts) == pytest.approx(expected, abs=4 * np.sqrt(expected / 200))


def test_more_contrast_and_lower_thresholds_make_more_events() -> None:
    image = np.random.default_rng(1).random((1, 4, 4), dtype=np.float32)
    plain = len(record(image, CLEAN, seed=0)[0])
    assert len(record(image, dataclasses.replace(CLEAN, threshold=0.2), seed=0)[0]) > 1.5 * plain
    assert len(record(image, dataclasses.replace(CLEAN, contrast=0.5), seed=0)[0]) < 0.7 * plain


def test_a_seed_fixes_the_recordings() -> None:
    images = np.random.default_rng(2).random((2, 4, 4), dtype=np.float32)
    sensor = Sensor(size=6, noise=2.0)
    first, again, other = (record(images, sensor, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_recordings_are_streams_of_20_by_20_pixels_and_300_ms() -> None:
    train, test = event_digits.recordings()
    assert (len(train), len(test)) == (1347, 450)
    for stream in (*train[:20], *test[:20]):
        assert stream.dtype == EVENT
        assert (np.diff(stream["t"]) >= 0).all()
        assert 0 <= stream["t"][0] <= stream["t"][-1] < 300_000
        assert 0 <= stream["x"].min() <= stream["x"].max() < 20
        assert 500 < len(stream) < 2000


def test_one_frame_and_ten_come_from_the_same_recordings() -> None:
    one, ten = data.load("event-digits"), data.load("event-digits", steps=10)
    assert one.train.x.shape == (1347, 1, 2, 20, 20)
    assert ten.test.x.shape == (450, 10, 2, 20, 20)
    assert np.array_equal(ten.train.x.sum(1), one.train.x[:, 0])
    assert np.array_equal(ten.test.x.sum(1), one.test.x[:, 0])
    assert (one.largest, ten.largest) == (int(one.train.x.max()), int(ten.train.x.max()))
    assert one.train.x.max() > 3, "frames are graded: counts, not bits"


def test_they_are_the_digits_in_their_order_and_say_what_they_are() -> None:
    one, images = data.load("event-digits"), digits.load()
    assert np.array_equal(one.train.y, images.train.y)
    assert np.array_equal(one.test.y, images.test.y)
    assert one.synthetic
    assert "simulated sensor, not a recording" in one.provenance
    means = np.stack([one.train.x[one.train.y == label].mean(0) for label in range(10)])
    distances = ((one.test.x[:, np.newaxis] - means) ** 2).sum((2, 3, 4, 5))
    assert (distances.argmin(1) == one.test.y).mean() > 0.8, "a nearest-mean classifier tells them apart"


def test_the_recordings_are_those_that_the_shipped_checkpoints_were_trained_on() -> None:
    train, test = event_digits.recordings()
    content = b"".join(stream.tobytes() for stream in (*train, *test))
    assert hashlib.sha256(content).hexdigest()[:16] == "42edb4900e4f14d4"
