"""``.npy`` and ``.npz`` files that may come from anyone: looked at before memory is taken, and never unpickled."""

from __future__ import annotations

import io
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import UserError
from snn2chip.files import check_regular

#: Bytes of all arrays that are read from one file.
MOST_BYTES = 2**35
#: What an archive may expand to, whatever its size; beyond it, at most `MOST_EXPANSION` times the file.
FREE_BYTES = 2**28
MOST_EXPANSION = 100
#: NumPy writes the header of an ordinary array in 118 bytes.
_MOST_HEADER = 10_000
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: What NumPy, zip and the decompressors raise for files that are damaged or were made to harm.
_UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    MemoryError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    RecursionError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)

AnyArray = NDArray[Any]


def read(path: Path, names: Container[str] | None = None) -> Mapping[str, AnyArray]:
    """The arrays of an ``.npz``, those in `names` alone where given; a ``.npy`` is an archive with one array, ``x``.

    The content decides which of the two it is, not the name. A ``.npy`` is mapped into memory, read-only: it may be
    larger than the memory.

    Raises: UserError naming the file, the array in it and the mend, where the file is missing or damaged, an array
    holds Python objects, or the arrays would take more than `MOST_BYTES`, or far more than the file.
    """
    check_regular(path, MOST_BYTES)
    with path.open("rb") as stream:
        is_array = stream.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX
    if is_array or not path.stat().st_size or not zipfile.is_zipfile(path):  # zipfile looks at the end alone
        return {"x": _map(path)}
    return _read_archive(path, names)


def _map(path: Path) -> AnyArray:
    try:
        with path.open("rb") as stream:
            shape, fortran, dtype = _header(stream)
            offset = stream.tell()
        _check_dtype(f"{path}: its array", dtype)
        declared, held = _bytes(shape, dtype), path.stat().st_size - offset
        if declared == held:
            return _mapped(path, dtype, offset, shape, fortran) if declared else np.empty(shape, dtype)
    except _UNREADABLE as error:
        raise UserError(f"{path}: this is not a NumPy file: write one with numpy.save or numpy.savez") from error
    mend = "the file was cut off, copy it again" if held < declared else "write it again with numpy.save"
    raise UserError(f"{path}: its header promises {declared} bytes, and {held} follow: {mend}")


def _mapped(path: Path, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...], fortran: bool) -> AnyArray:
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _read_archive(path: Path, names: Container[str] | None) -> dict[str, AnyArray]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            if len(members) < len(archive.infolist()):
                raise UserError(f"{path}: two of its arrays have the same name: write it anew with numpy.savez")
            wanted = {name: entry for name, entry in members.items() if names is None or name in names}
            _check_expansion(path, wanted)
            return {name: _read_member(path, archive, entry, name) for name, entry in wanted.items()}
    except _UNREADABLE as error:
        raise UserError(f"{path}: this archive cannot be read ({str(error)[:120]}): use numpy.savez") from error


def _check_expansion(path: Path, members: Mapping[str, zipfile.ZipInfo]) -> None:
    total, size = sum(entry.file_size for entry in members.values()), path.stat().st_size
    if total > MOST_BYTES:
        raise UserError(f"{path}: its arrays take {total} bytes, and at most {MOST_BYTES} are read: use a smaller file")
    if total > max(FREE_BYTES, MOST_EXPANSION * size):
        raise UserError(
            f"{path}: its {size} bytes would expand to {total}, more than {MOST_EXPANSION} times as many, as in files "
            "made to exhaust memory: if it is genuine, write it without compression, with numpy.savez"
        )


def _read_member(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> AnyArray:
    if entry.compress_type not in _COMPRESSIONS or entry.flag_bits & 1:
        raise UserError(f"{path}: {name!r} in it is encrypted or compressed in an unusual way: use numpy.savez")
    with archive.open(entry) as member:
        head = io.BytesIO(member.read(_MOST_HEADER + 32))
    shape, fortran, dtype = _header(head)
    _check_dtype(f"{path}: the array {name!r}", dtype)
    declared, held = _bytes(shape, dtype), entry.file_size - head.tell()
    if declared != held:
        raise UserError(f"{path}: the header of {name!r} promises {declared} bytes, and {held} follow: write it again")
    content = np.empty(shape, dtype, "F" if fortran else "C")
    with archive.open(entry) as member:
        member.read(head.tell())
        _fill(member, content.reshape(-1, order="A").view(np.uint8))
    return content


def _fill(stream: Any, target: NDArray[np.uint8]) -> None:
    block = 1 << 20
    for start in range(0, len(target), block):
        piece = stream.read(min(block, len(target) - start))
        target[start : start + block] = np.frombuffer(piece, np.uint8)  # a short piece does not fit: ValueError
    if stream.read(1):
        raise ValueError("more bytes than promised")


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADER_READERS:
        raise ValueError(f"version {version} of the format is for named fields")
    return _HEADER_READERS[version](stream, max_header_size=_MOST_HEADER)


def _check_dtype(what: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise UserError(f"{what} holds Python objects, which only pickle reads: convert it to numbers before saving")
    if dtype.itemsize == 0:
        raise UserError(f"{what} has the type {dtype}, whose values take no room: convert it to numbers before saving")


def _bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    if any(size < 0 for size in shape):
        raise ValueError(f"negative sizes in the shape {shape}")
    return math.prod(shape) * dtype.itemsize
