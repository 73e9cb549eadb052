"""CIFAR10-DVS, DVS128 Gesture and N-MNIST, read by tonic itself from files in their formats.

The recordings are those of the event digits: the tests write them as each camera's software would, in folders such as
tonic unpacks. The published recordings themselves are not at hand.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from numpy.typing import NDArray

from snn2chip import data
from snn2chip.data import event_digits, to_frames
from snn2chip.data.events import Events
from snn2chip.errors import UserError

#: How many different recordings a folder has; the rest, up to the number that tonic expects, are links to them.
DIFFERENT = 20
STREAMS = event_digits.recordings()[0][:DIFFERENT]


def n_mnist(events: Events) -> bytes:
    """ATIS events: column, row, polarity and 23 bits of time, big end first, in five bytes."""
    rows = np.zeros((len(events), 5), np.uint8)
    time = events["t"]
    rows[:, 0], rows[:, 1] = events["x"], events["y"]
    rows[:, 2] = events["p"] << 7 | time >> 16
    rows[:, 3], rows[:, 4] = time >> 8 & 255, time & 255
    return rows.tobytes()


def dvs_gesture(events: Events) -> bytes:
    """An array of x, y, polarity and milliseconds, as tonic's edition of the data set holds it."""
    import io

    buffer = io.BytesIO()
    columns = [events["x"], events["y"], events["p"], events["t"] // 1000]
    np.save(buffer, np.stack([column.astype(np.int64) for column in columns], axis=1))
    return buffer.getvalue()


def aedat4(events: Events) -> bytes:
    """iniVation's AEDAT 4: a header and one packet, both size-prefixed flatbuffers, without compression."""
    content = _packet(events)
    return b"#!AER-DAT4.0\r\n" + _header() + struct.pack("<ii", 0, len(content)) + content


def _header() -> bytes:
    size = '<attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr>'
    stream = f'<attr key="typeIdentifier" type="string">EVTS</attr><node name="info" path="/0/info/">{size}</node>'
    text = f'<dv version="2.0"><node name="outInfo" path="/"><node name="0" path="/0/">{stream}</node></node></dv>'
    builder = flatbuffers.Builder(1024)
    node = builder.CreateString(text)
    builder.StartObject(3)
    builder.PrependInt64Slot(1, -1, 0)
    builder.PrependUOffsetTRelativeSlot(2, node, 0)
    builder.FinishSizePrefixed(builder.EndObject(), file_identifier=b"IOHE")
    return bytes(builder.Output())


def _packet(events: Events) -> bytes:
    builder = flatbuffers.Builder(16 * len(events) + 1024)
    builder.StartVector(16, len(events), 8)
    for event in events[::-1]:
        builder.Prep(8, 16)
        builder.Pad(3)
        builder.PrependBool(bool(event["p"]))
        builder.PrependInt16(int(event["y"]))
        builder.PrependInt16(int(event["x"]))
        builder.PrependInt64(int(event["t"]))
    elements = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, elements, 0)
    builder.FinishSizePrefixed(builder.EndObject(), file_identifier=b"EVTS")
    return bytes(builder.Output())


def fill(contents: Sequence[bytes], files: Sequence[Path]) -> None:
    """`files` with `contents` over and over; all but the first of each are links to it."""
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        if number < len(contents):
            file.write_bytes(contents[number])
        else:
            os.link(files[number % len(contents)], file)


def expected(
    number: int, steps: int, shape: tuple[int, int], sensor: tuple[int, int], unit: int = 1
) -> NDArray[np.uint8]:
    stream = STREAMS[number % DIFFERENT].copy()
    stream["t"] = stream["t"] // unit * unit
    return to_frames(stream, steps, shape, sensor).x


def test_n_mnist(tmp_path: Path) -> None:
    contents = list(map(n_mnist, STREAMS))
    for part in ("Train", "Test"):
        names = [tmp_path / "NMNIST" / part / str(number % 10) / f"{number:05}.bin" for number in range(10_000)]
        fill(contents, names)
        (tmp_path / "NMNIST" / f"{part.lower()}.zip").touch()
    loaded = data.load("n-mnist", root=tmp_path, steps=3)
    assert loaded.train.x.shape == (10_000, 3, 2, 34, 34)
    assert np.bincount(loaded.test.y).tolist() == [1000] * 10
    order = sorted(range(10_000), key=lambda number: (number % 10, number))
    for place in (0, 1, 2000, 9_999):
        assert np.array_equal(loaded.train.x[place], expected(order[place], 3, (34, 34), (34, 34)))
        assert loaded.train.y[place] == order[place] % 10


def test_dvs_gesture(tmp_path: Path) -> None:
    contents = list(map(dvs_gesture, STREAMS))
    for part, users in (("Train", 10), ("Test", 12)):
        folders = [tmp_path / "DVSGesture" / f"ibmGesture{part}" / f"user{user + 1:02}_led" for user in range(users)]
        fill(contents, [folder / f"{label}.npy" for folder in folders for label in range(11)])
        (tmp_path / "DVSGesture" / f"ibmGesture{part}.tar.gz").touch()
    loaded = data.load("dvs-gesture", root=tmp_path, steps=5, size=32)
    assert loaded.train.x.shape == (110, 5, 2, 32, 32)
    assert loaded.test.x.shape == (132, 5, 2, 32, 32)
    assert loaded.class_names[2] == "left hand wave"
    for place in (0, 7, 50, 109):
        assert loaded.train.y[place] == place % 11
        assert np.array_equal(loaded.train.x[place], expected(place, 5, (32, 32), (128, 128), unit=1000))


def test_cifar10_dvs(tmp_path: Path) -> None:
    contents, folder = list(map(aedat4, STREAMS)), tmp_path / "CIFAR10DVS"
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    fill(contents, [folder / name / f"cifar10_{name}_{number}.aedat4" for name in classes for number in range(100)])
    (folder / "CIFAR10DVS.zip").touch()
    loaded = data.load("cifar10-dvs", root=tmp_path, steps=10, size=64)
    assert loaded.train.x.shape == (900, 10, 2, 64, 64)
    assert loaded.test.y.tolist() == sorted([*range(10)] * 10)
    assert loaded.class_names == classes
    for place in (0, 9, 10, 95, 899):
        assert loaded.train.y[place] == place // 90
        number = place // 90 * 100 + place % 90
        assert np.array_equal(loaded.train.x[place], expected(number, 10, (64, 64), (128, 128)))
    broken = folder / "cat" / "cifar10_cat_3.aedat4"
    broken.unlink()
    broken.write_bytes(contents[0][:500])
    with pytest.raises(UserError, match=r"cifar10_cat_3.aedat4: tonic cannot read it"):
        data.load("cifar10-dvs", root=tmp_path, steps=2)
