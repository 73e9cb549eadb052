"""An archive with two tables of contents: what PyTorch loads is what was looked at before."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import torch

from snn2chip.errors import UserError
from snn2chip.frontend.readers import torch_file

#: What the record takes that says where a table of contents begins.
END_BYTES = 56


def members(path: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def with_two_tables(path: Path, own: list[tuple[str, bytes]], other: list[tuple[str, bytes]]) -> Path:
    """Both in one archive, whose end gives the address of the table of `other`; that of `own` lies right before it.

    PyTorch's reader follows the address. Python's zipfile took what lies right before the end, until its mend of 2025
    (CVE-2025-8291), which refuses such files.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in own + other:
            archive.writestr(name, content)
        infos = archive.infolist()
    content = path.read_bytes()[: archive.start_dir]
    content += table(infos[len(own) :], len(content))
    address = len(content) - END_BYTES
    content += table(infos[: len(own)], len(content))
    content += struct.pack("<4sLQL", b"PK\x06\x07", 0, address, 1)
    content += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(content)
    return path


def table(infos: list[zipfile.ZipInfo], start: int) -> bytes:
    """A table of contents that begins at byte `start`, and the record (of 64 bits) that says so."""
    rows = b""
    for info in infos:
        versions_flags_and_date = 20, 20, 0, zipfile.ZIP_STORED, 0, 33
        rows += struct.pack(
            "<4s6H3L", b"PK\x01\x02", *versions_flags_and_date, info.CRC, info.file_size, info.file_size
        )
        rows += struct.pack("<5H2L", len(info.filename), 0, 0, 0, 0, 0, info.header_offset) + info.filename.encode()
    count = len(infos)
    return rows + struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", END_BYTES - 12, 45, 45, 0, 0, count, count, len(rows), start)


def test_pytorch_loads_the_members_that_were_checked(tmp_path: Path) -> None:
    for name in ("own", "other"):
        torch.save({"says": name}, tmp_path / f"{name}.pt")
    path = with_two_tables(tmp_path / "model.pt", members(tmp_path / "own.pt"), members(tmp_path / "other.pt"))
    assert torch.load(path, weights_only=True) == {"says": "other"}
    try:
        content = torch_file.read_content(path)
    except UserError:  # a Python with the mend
        return
    assert content == {"says": "own"}
