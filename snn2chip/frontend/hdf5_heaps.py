"""HDF5's global heaps, where texts of variable length lie, looked at before HDF5 reads them.

libhdf5 (2.0.0 was tried) steps from object to object by their sizes, and never ends where free space has none.
Layout: HDF5 File Format Specification 3.0, section III.E.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from snn2chip.errors import UserError

_SIGNATURE = b"GCOL\x01"
_COLLECTION_HEADER = 16
_OBJECT_HEADER = 16
_MOST_STEPS = 2**20


def check_heaps(path: Path) -> None:
    """UserError where reading a text in the file might never end. Lengths must take 8 bytes in the file."""
    if not path.stat().st_size:
        return
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        steps, start = 0, content.find(_SIGNATURE)
        while start >= 0:
            steps += 1 + _check_heap(path, content, start)
            if steps > _MOST_STEPS:
                raise UserError(f"{path}: it holds more than {_MOST_STEPS} texts: no network needs as many")
            start = content.find(_SIGNATURE, start + 1)


def _check_heap(path: Path, content: mmap.mmap, start: int) -> int:
    """The number of objects in the collection that starts there, as far as it is whole."""
    end = start + int.from_bytes(content[start + 8 : start + _COLLECTION_HEADER], "little")
    place, steps = start + _COLLECTION_HEADER, 0
    while place + _OBJECT_HEADER <= min(end, len(content)) and steps <= _MOST_STEPS:
        index = int.from_bytes(content[place : place + 2], "little")
        size = int.from_bytes(content[place + 8 : place + _OBJECT_HEADER], "little")
        if index == 0 and size < _OBJECT_HEADER:
            raise UserError(f"{path}: its texts are damaged (free space of {size} bytes): write the file again")
        # Free space counts its own header; texts do not, and are padded.
        place += size if index == 0 else _OBJECT_HEADER + -(-size // 8) * 8
        steps += 1
    return steps
