"""Data sets in NumPy files, and files that were made to harm."""

from __future__ import annotations

import io
import pickle
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import data, numpy_files
from snn2chip.data.dataset import Dataset, Split, checked
from snn2chip.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 200, (40, 3, 5, 4), dtype=np.uint8)
CLASSES = np.arange(40) % 4


def test_an_npz_of_x_and_y_is_split_by_class_always_the_same_way(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=IMAGES, y=CLASSES)
    loaded = data.load(tmp_path / "own.npz")
    assert (len(loaded.train), len(loaded.test)) == (30, 10)
    assert loaded.input_shape == (3, 5, 4)
    assert loaded.steps is None
    assert loaded.largest == int(IMAGES.max())
    assert loaded.class_names == ("0", "1", "2", "3")
    assert set(np.bincount(loaded.test.y)) <= {2, 3}
    assert np.array_equal(data.load(tmp_path / "own.npz").test.x, loaded.test.x)


def test_four_arrays_keep_their_own_split(tmp_path: Path) -> None:
    frames = IMAGES[:, np.newaxis].repeat(6, axis=1)
    names = np.array(["ant", "bee", "cat", "dog"])
    np.savez_compressed(
        tmp_path / "own.npz",
        x_train=frames[:30], y_train=CLASSES[:30], x_test=frames[30:], y_test=CLASSES[30:], class_names=names,
    )  # fmt: skip
    loaded = data.load(tmp_path / "own.npz", steps=6)
    assert np.array_equal(loaded.test.x, frames[30:])
    assert loaded.steps == 6
    assert loaded.class_names == ("ant", "bee", "cat", "dog")
    with pytest.raises(UserError, match=r"own.npz: it has 6 frames per input, but the network takes 4 steps"):
        data.load(tmp_path / "own.npz", steps=4)


def test_a_folder_of_npy_files_is_not_read_into_memory(tmp_path: Path) -> None:
    large = np.zeros((200, 1, 100, 200), np.uint8)
    large[:, 0, 0, 0] = 1 + np.arange(200) % 255
    for part in ("train", "test"):
        np.save(tmp_path / f"x_{part}.npy", large)
        np.save(tmp_path / f"y_{part}.npy", np.arange(200) % 7)
    for path in (tmp_path, tmp_path / "x_train.npy"):
        loaded = data.load(path)
        assert isinstance(loaded.train.x, np.memmap)
        assert np.array_equal(loaded.train.x, large)


def test_booleans_and_wider_whole_numbers_are_taken_where_they_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=(IMAGES > 100), y=CLASSES.astype(np.uint8))
    assert data.load(tmp_path / "own.npz").largest == 1
    np.savez(tmp_path / "own.npz", x=IMAGES.astype(np.int64) + 100, y=CLASSES)
    with pytest.raises(UserError, match=r"its inputs hold 100\.\.299, but 0\.\.255 is what they may hold"):
        data.load(tmp_path / "own.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": IMAGES}, "a data set needs the arrays x and y, or x_train, .*; found: x"),
        ({"pixels": IMAGES}, "found: none of these"),
        ({"x": IMAGES / 255, "y": CLASSES}, "its inputs are float64, but whole numbers"),
        ({"x": IMAGES[0], "y": CLASSES}, r"its inputs have shape \(3, 5, 4\), but \[B, C, H, W\]"),
        ({"x": IMAGES, "y": CLASSES[:3]}, r"its classes have shape \(3,\), but one for each of 40 inputs"),
        ({"x": IMAGES, "y": CLASSES - 1}, r"its classes hold -1\.\.2, but indices from 0"),
        ({"x": IMAGES, "y": CLASSES / 2}, "its classes are float64, but whole numbers"),
        ({"x": IMAGES, "y": np.arange(40)}, "40 inputs cannot be split by class"),
        ({"x": IMAGES, "y": CLASSES, "class_names": np.arange(4)}, "its class_names are int64"),
        ({"x": IMAGES, "y": CLASSES, "class_names": np.array(["a"])}, "it has the class 3, but only 1 classes"),
    ],
)
def test_what_is_no_data_set_is_refused_in_a_sentence(arrays: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(UserError, match=sentence):
        data.load(tmp_path / "own.npz")


def test_parts_that_do_not_fit_together_are_refused() -> None:
    split = Split(IMAGES, CLASSES)
    narrow = Split(IMAGES[..., :3], CLASSES)
    with pytest.raises(UserError, match=r"'own', test part: inputs of shape \(3, 5, 3\) beside \(3, 5, 4\)"):
        checked(Dataset("own", split, narrow, tuple("abcd"), 255, ""))
    with pytest.raises(UserError, match=r"'own', training part: it holds 199, but its largest value is said to be 16"):
        checked(Dataset("own", split, split, tuple("abcd"), 16, ""))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.array([Harm(tmp_path / "harmed")], object), allow_pickle=True)
    np.savez(tmp_path / "own.npz", x=np.array([Harm(tmp_path / "harmed")], object), y=CLASSES)
    for name in ("own.npy", "own.npz"):
        with pytest.raises(UserError, match="holds Python objects, which only pickle reads"):
            numpy_files.read(tmp_path / name)
    assert not (tmp_path / "harmed").exists()
    with (tmp_path / "own.npy").open("rb") as stream:
        np.lib.format.read_array(stream, allow_pickle=True)
    assert (tmp_path / "harmed").exists(), "the file would have done harm"


class Harm:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def bomb(path: Path, megabytes: int) -> None:
    """An archive of zeros, a thousand times smaller than what it expands to."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as x,
    ):
        x.write(header((megabytes, 2**20)))
        for _ in range(megabytes):
            x.write(bytes(2**20))


def test_a_zip_bomb_is_refused_before_it_expands(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.npz", 300)
    assert (tmp_path / "bomb.npz").stat().st_size < 2**22
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(UserError, match=r"bomb.npz: its \d+ bytes would expand to 314572928, more than 100 times"):
        numpy_files.read(tmp_path / "bomb.npz")
    assert time.monotonic() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.parametrize("shape", [(10**15,), (2**40, 2**40), (10**9, 10**9, 0, 1), (-1, 5)])
def test_a_shape_that_the_content_does_not_fill_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    content = header(shape) + b"four"
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("x.npy", content)
    for name in ("x.npy", "own.npz"):
        with pytest.raises(UserError, match=rf"{name}: "):
            numpy_files.read(tmp_path / name)


def test_a_size_that_the_directory_lies_about_is_refused(tmp_path: Path) -> None:
    """The directory of the archive says 100 bytes more than the member has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", header((104,)) + b"four")
        archive.getinfo("x.npy").file_size += 100
    (tmp_path / "own.npz").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match=r"own.npz: this archive cannot be read"):
        numpy_files.read(tmp_path / "own.npz")


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    """The suffix belongs to the member, not to the name of the array."""
    np.savez(tmp_path / "own.npz", x=IMAGES)
    with zipfile.ZipFile(tmp_path / "own.npz", "a") as archive:
        archive.writestr("x", archive.read("x.npy"))
    with pytest.raises(UserError, match=r"own.npz: two of its arrays have the same name: write it anew"):
        numpy_files.read(tmp_path / "own.npz")


def test_an_array_with_an_archive_behind_it_is_no_archive(tmp_path: Path) -> None:
    """zipfile looks at the end of a file, NumPy at its beginning: what is read is what NumPy would read, or nothing."""
    np.save(tmp_path / "x.npy", CLASSES)
    np.savez(tmp_path / "own.npz", x=IMAGES)
    behind = (tmp_path / "own.npz").read_bytes()
    with (tmp_path / "x.npy").open("ab") as stream:
        stream.write(behind)
    assert zipfile.is_zipfile(tmp_path / "x.npy")
    promised = rf"promises {CLASSES.nbytes} bytes, and {CLASSES.nbytes + len(behind)} follow: write it again with numpy"
    with pytest.raises(UserError, match=promised):
        numpy_files.read(tmp_path / "x.npy")


@pytest.mark.parametrize("content", [b"", b"no array", b"PK\x05\x06", b"\x93NUMPY\x01\x00\xff\xff{", pickle.dumps([1])])
def test_what_is_no_numpy_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"x.npy: this (is not a NumPy file|archive cannot be read)"):
        numpy_files.read(tmp_path / "x.npy")


def test_a_pipe_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x.npz: no such file"):
        numpy_files.read(tmp_path / "x.npz")
    with pytest.raises(UserError, match=r"/dev/zero: this is a device or a pipe"):
        numpy_files.read(Path("/dev/zero"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_every_order_and_type_comes_back_as_it_was(order: Any, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "a": np.asarray(np.arange(24, dtype=">i4").reshape(2, 3, 4), order=order),
        "b": np.float64(3.5),
        "c": np.zeros((0, 3), np.int8),
        "d": np.array(["one", "three"]),
    }
    np.savez_compressed(tmp_path / "own.npz", **arrays)
    read = numpy_files.read(tmp_path / "own.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.save(tmp_path / "x.npy", array)
        for found in (read[name], numpy_files.read(tmp_path / "x.npy")["x"]):
            assert found.dtype == np.asarray(array).dtype
            assert np.array_equal(found, array)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (np.arange(40) % 4 + 1, "its classes go up to 4, but class 0 has no training input: number them from 0"),
        (np.array([0, 1, 3, 4] * 10), "its classes go up to 4, but class 2 has no training input"),
        (np.array([0, 2**31 - 2] * 20), "its classes go up to 2147483646, but class 1 has no training input"),
    ],
)
def test_classes_are_numbered_without_gaps(tmp_path: Path, classes: Any, message: str) -> None:
    np.savez(tmp_path / "own.npz", x=np.zeros((40, 1, 2, 2), np.uint8), y=classes)
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "own.npz"))


def test_test_classes_that_nothing_was_trained_on_are_refused(tmp_path: Path) -> None:
    x, names = np.zeros((4, 1, 2, 2), np.uint8), np.array(["a", "b", "c"])
    np.savez(tmp_path / "own.npz", x_train=x, y_train=[0, 1, 0, 1], x_test=x, y_test=[0, 1, 2, 1], class_names=names)
    with pytest.raises(UserError, match="test part: it has the class 2, of which the training part has no input"):
        data.load(str(tmp_path / "own.npz"))
