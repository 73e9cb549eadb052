"""Compressed streams that expand to far more than anyone has memory for, made without expanding them here."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

BLOCK = 2**24


def deflated(head: bytes, blocks: int) -> bytes:
    """A raw deflate stream of `head` and `blocks` times 16 MiB of zeros."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    start = compressor.compress(head) + compressor.flush(zlib.Z_FULL_FLUSH)
    zeros = compressor.compress(bytes(BLOCK)) + compressor.flush(zlib.Z_FULL_FLUSH)  # stands alone: may follow itself
    return start + blocks * zeros + compressor.flush()


def zip_archive(path: Path, name: str, stream: bytes, size: int) -> Path:
    """An archive with one deflated member that is said to have `size` bytes."""
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(stream), size, len(name), 0)
    local = b"PK\x03\x04" + fields + name.encode() + stream
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name.encode()
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    path.write_bytes(local + entry + end)
    return path
