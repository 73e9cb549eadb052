"""Zip archives as PyTorch writes them, looked at before anything reads them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from snn2chip.errors import UserError
from snn2chip.files import check_regular

MOST_BYTES = 2**36
MOST_MEMBERS = 2**16
#: What zipfile raises for archives that are damaged or were made to harm.
UNREADABLE = (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, NotImplementedError, OverflowError)


def open_archive(path: Path) -> zipfile.ZipFile:
    """The archive, opened for reading; the caller closes it (it is a context manager).

    Its members are stored as they are (PyTorch compresses nothing), so that together they are no larger than the file;
    each has a name of its own that stays inside the archive.

    Raises: UserError naming the file, the member and the mend.
    """
    check_regular(path, MOST_BYTES)
    return _opened(str(path), path, path.stat().st_size)


def open_nested(name: str, content: bytes) -> zipfile.ZipFile:
    """The same for an archive that is a member of another; `name` says so in errors."""
    return _opened(name, io.BytesIO(content), len(content))


def _opened(name: str, file: Path | io.BytesIO, size: int) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
    except UNREADABLE:
        raise UserError(f"{name}: this is not a PyTorch checkpoint, or it is damaged: save it again") from None
    try:
        _check(name, archive.infolist(), size)
        if archive.comment:  # room for a second table of contents
            raise UserError(f"{name}: something stands behind its last member: save the model again")
    except UserError:
        archive.close()
        raise
    return archive


def read_member(path: Path | str, archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of a member; UserError where it is missing or damaged."""
    try:
        return archive.read(name)
    except KeyError:
        raise UserError(f"{path}: it has no member {name!r}: save the model again") from None
    except UNREADABLE as error:
        raise UserError(f"{path}: its member {name!r} is damaged ({error}): save the model again") from None


def arrays(path: str, names: Sequence[str] = ()) -> str:
    """What to say of a file of NumPy arrays, those of `names`, that was given as a model."""
    held = f" ({', '.join(name.removesuffix('.npy')[:40] for name in names[:4])})" if names else ""
    return (
        f"{path}: these are NumPy arrays{held} and no model: give the file of the network, and inputs by --input or "
        "--calibration"
    )


def packed(members: Mapping[str, bytes]) -> io.BytesIO:
    """A new archive of these members, for PyTorch: its own reader may find another table of contents than zipfile's."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    buffer.seek(0)
    return buffer


def _check(path: str, members: list[zipfile.ZipInfo], size: int) -> None:
    if not members or len(members) > MOST_MEMBERS:
        raise UserError(f"{path}: it has {len(members)} members, so it is no PyTorch checkpoint: save the model again")
    if all(member.filename.endswith(".npy") for member in members):
        raise UserError(arrays(path, [member.filename for member in members]))
    if any(member.filename.count("/") == 1 and member.filename.endswith("/constants.pkl") for member in members):
        raise UserError(
            f"{path}: this is TorchScript, which holds code and is deprecated: save the model's state_dict() with "
            "torch.save and name its class with --arch, or save it with torch.export.save"
        )
    if min(member.header_offset for member in members):  # two readers could find two tables of contents
        raise UserError(f"{path}: something stands before its first member: save the model again")
    seen: set[str] = set()
    for member in members:
        if member.filename.lower() in seen or _leaves(member.filename):  # PyTorch's reader ignores case
            raise UserError(
                f"{path}: its member {member.filename!r} is there twice, or lies outside the archive: do not use it"
            )
        seen.add(member.filename.lower())
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise UserError(
                f"{path}: its member {member.filename!r} is compressed or encrypted, which PyTorch never does: "
                "save the model again with torch.save"
            )
    if sum(member.file_size for member in members) > size:
        raise UserError(f"{path}: its members claim to be larger than the file: it is damaged, save the model again")


def _leaves(name: str) -> bool:
    parts = PurePosixPath(name)
    return parts.is_absolute() or ".." in parts.parts or "\\" in name or "\0" in name or not name
