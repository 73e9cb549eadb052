"""HDF5 files from elsewhere (NIR, netx), opened only after every object in them has been looked at.

HDF5 can name other files (external links, external storage, virtual datasets), loop (soft and hard links) and promise
far more data than it holds (unwritten chunks, gzip streams that overflow their chunk, shared strings). None of it is
needed to describe a network, and all of it is refused. Attributes are not looked at: readers must not read them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from snn2chip.errors import UserError
from snn2chip.files import check_regular
from snn2chip.frontend.hdf5_heaps import check_heaps

MOST_OBJECTS = 2**16
MOST_CHUNKS = 2**16
MOST_DEPTH = 64
#: Bytes of a file, and of everything in it once read.
MOST_BYTES = 2**32
#: What a file may expand to, whatever its size; beyond it, at most `MOST_EXPANSION` times the file.
FREE_BYTES = 2**28
MOST_EXPANSION = 32
#: Variable-length strings are read one by one to learn their length.
MOST_STRINGS = 2**15
MOST_TEXT = 2**24
#: What fletcher32 appends to a chunk.
_CHECKSUM_BYTES = 4
#: What stands in a dataset for a text of variable length: its length, the address of a heap and an index into it.
_REFERENCE_BYTES = 16

#: Which filters may follow one another: gzip's streams must be seen as they are before HDF5 unpacks them.
_FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32)
_NUMBERS = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM)  # h5py writes booleans as an enumeration
_DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, UnicodeError, OverflowError)


def open_checked(path: str | Path) -> h5py.File:
    """The file, opened for reading; the caller closes it (it is a context manager).

    It holds groups, and datasets of numbers and strings in the file itself, each reached by one hard link; what reading
    all of them takes is within the limits of this module.

    Raises: UserError naming the file, the object in it and the mend.
    """
    path = Path(path)
    check_regular(path, MOST_BYTES)
    check_heaps(path)
    try:
        file = h5py.File(path, "r")
    except _DAMAGED:
        raise UserError(f"{path}: this is not an HDF5 file, or it is damaged: write it again") from None
    try:
        _Check(path, path.stat().st_size).walk(file)
    except BaseException:  # Ctrl-C too: the caller gets no file that it could close
        file.close()
        raise
    return file


@dataclass
class _Check:
    """Walks over a file and adds up what reading it would take."""

    path: Path
    file_size: int
    objects: int = 0
    size: int = 0
    strings: int = 0
    text: int = 0

    def walk(self, file: h5py.File) -> None:
        if file.id.get_create_plist().get_sizes() != (8, 8):  # `check_heaps` takes them for granted
            raise self._refusal("", "has addresses of an unusual size", "write the file with h5py")
        try:
            self._group(file.id)
        except _DAMAGED as error:
            raise UserError(f"{self.path}: this HDF5 file is damaged ({_brief(error)}): write it again") from None

    def _group(self, root: h5py.h5g.GroupID) -> None:
        seen = {h5py.h5o.get_info(root).addr}
        waiting = [("", root, 1)]
        while waiting:
            place, group, depth = waiting.pop()
            if depth > MOST_DEPTH:
                raise self._refusal(place, f"lies more than {MOST_DEPTH} groups deep", "no network needs that")
            for name in self._hard_links(place, group):
                inner = f"{place}/{name.decode('utf-8', 'replace')}"
                info = h5py.h5o.get_info(group, name)
                if info.addr in seen:
                    raise self._refusal(inner, "is reached by a second path", "store every object once")
                seen.add(info.addr)
                if info.type == h5py.h5o.TYPE_GROUP:
                    waiting.append((inner, h5py.h5g.open(group, name), depth + 1))
                elif info.type == h5py.h5o.TYPE_DATASET:
                    self._dataset(inner, h5py.h5d.open(group, name))
                else:
                    raise self._refusal(inner, "is neither a group nor a dataset", "remove it")

    def _hard_links(self, place: str, group: h5py.h5g.GroupID) -> list[bytes]:
        names: list[bytes] = []
        free = MOST_OBJECTS - self.objects

        def add(name: bytes) -> bool:
            names.append(name)
            return len(names) > free  # True ends the iteration

        group.links.iterate(add)
        if len(names) > free:
            raise self._refusal(place, f"brings the objects to more than {MOST_OBJECTS}", "no network needs as many")
        self.objects += len(names)
        for name in names:
            kind = group.links.get_info(name).type
            if kind != h5py.h5l.TYPE_HARD:
                link = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "a link to another file"}
                inner = f"{place}/{name.decode('utf-8', 'replace')}"
                raise self._refusal(inner, f"is {link.get(kind, 'a user-defined link')}", "store the data in its place")
        return names

    def _dataset(self, place: str, dataset: h5py.h5d.DatasetID) -> None:
        properties = dataset.get_create_plist()
        layout = properties.get_layout()
        if layout == h5py.h5d.VIRTUAL or properties.get_external_count():
            raise self._refusal(place, "takes its data from other files", "store the data in the dataset itself")
        self._check_filters(place, _filters(properties))
        elements = math.prod(dataset.shape or ())
        item = self._item_size(place, dataset.get_type())
        if layout == h5py.h5d.CHUNKED:
            elements = self._chunks(place, dataset, properties, item)
        self._count(place, elements, item)
        if layout == h5py.h5d.CHUNKED and h5py.h5z.FILTER_DEFLATE in _filters(properties):
            self._check_streams(place, dataset, properties, item)
        if _is_text(dataset.get_type()):
            self._check_text(place, h5py.Dataset(dataset))

    def _check_filters(self, place: str, filters: list[int]) -> None:
        """Other filters are plug-ins, which HDF5 would look for and load; gzip twice squares what it can expand to."""
        if filters != [code for code in _FILTERS if code in filters]:
            raise self._refusal(place, f"is stored through the filters {filters}", "write it with gzip, or plain")

    def _item_size(self, place: str, kind: h5py.h5t.TypeID) -> int:
        """Bytes of one element, in the file or in memory, whichever is more."""
        known = kind.get_class() in _NUMBERS or kind.get_class() == h5py.h5t.STRING
        if not known:
            raise self._refusal(place, f"holds {type(kind).__name__} values", "store numbers and strings alone")
        return max(int(kind.get_size()), int(np.dtype(kind.dtype).itemsize), _REFERENCE_BYTES if _is_text(kind) else 0)

    def _chunks(self, place: str, dataset: h5py.h5d.DatasetID, properties: h5py.h5p.PropDCID, item: int) -> int:
        """Elements in all chunks: those at the border are whole in memory, too."""
        chunk = properties.get_chunk()
        whole = math.prod(-(-size // step) for size, step in zip(dataset.shape, chunk, strict=True))
        if whole > MOST_CHUNKS:
            raise self._refusal(place, f"is cut into {whole} chunks", "write it in one piece")
        return int(whole * math.prod(chunk))

    def _count(self, place: str, elements: int, item: int) -> None:
        self.size += elements * item
        limit = min(MOST_BYTES, max(FREE_BYTES, MOST_EXPANSION * self.file_size))
        if self.size > limit:
            reason = f"brings what the file expands to above {limit} bytes, while the file has {self.file_size}"
            raise self._refusal(place, reason, "a network does not grow like that: use another file")

    def _check_streams(self, place: str, dataset: h5py.h5d.DatasetID, properties: h5py.h5p.PropDCID, item: int) -> None:
        """HDF5 itself would unpack a gzip stream to its end, whatever size the chunk is declared to have."""
        expected = math.prod(properties.get_chunk()) * item + _CHECKSUM_BYTES
        chunks: list[h5py.h5d.StoreInfo] = []

        def add(chunk: h5py.h5d.StoreInfo) -> bool:
            chunks.append(chunk)
            return len(chunks) > MOST_CHUNKS  # True ends the iteration

        dataset.chunk_iter(add)
        if len(chunks) > MOST_CHUNKS or sum(chunk.size for chunk in chunks) > self.file_size:
            raise self._refusal(place, "has more chunks than the file can hold", "the file is damaged: write it again")
        for chunk in chunks:
            _, stream = dataset.read_direct_chunk(chunk.chunk_offset)
            try:
                unpacked = zlib.decompressobj().decompress(stream, expected + 1)
            except zlib.error:  # a chunk that gzip could not shrink is stored as it is; HDF5 tells a damaged one
                continue
            if len(unpacked) > expected:
                raise self._refusal(place, "holds a gzip stream that is longer than its chunk", "use another file")

    def _check_text(self, place: str, dataset: h5py.Dataset) -> None:
        for value in _elements(dataset):
            self.strings += 1
            self.text += len(value)
            if self.strings > MOST_STRINGS or self.text > MOST_TEXT:
                reason = f"brings the file to more than {MOST_STRINGS} strings or {MOST_TEXT} bytes of text"
                raise self._refusal(place, reason, "no network needs as many")

    def _refusal(self, place: str, reason: str, mend: str) -> UserError:
        shown = place if len(place) < 200 else f"{place[:100]}...{place[-90:]}"
        return UserError(f"{self.path}: {shown or '/'!r} {reason}: {mend}")


def _filters(properties: h5py.h5p.PropDCID) -> list[int]:
    return [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]


def _is_text(kind: h5py.h5t.TypeID) -> bool:
    return kind.get_class() == h5py.h5t.STRING and bool(kind.is_variable_str())


def _elements(dataset: h5py.Dataset) -> Iterator[bytes]:
    """One by one: many elements may share one long string, and together would fill the memory."""
    if dataset.shape is None:
        return
    for index in np.ndindex(dataset.shape):
        yield dataset[index or ()] or b""


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
