"""Writing to disk so that an interruption loses nothing, and reading JSON with sentences for errors."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snn2chip.errors import UserError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def canonical_json(document: Any) -> str:
    """JSON text that is the same in every run: sorted keys, two-space indent, a final newline, no NaN."""
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """The content of a JSON file; UserError where it is missing or malformed."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: this is not valid JSON ({error})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def check_regular(path: Path, most_bytes: int) -> None:
    """UserError where `path` is missing, unreadable, no regular file (a pipe would block), or larger than that."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: check its name") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path}: this is a folder: name a file")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: this is a device or a pipe: copy its content into a file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path}: permission denied: make the file readable")
    if status.st_size > most_bytes:
        raise UserError(f"{path}: it has {status.st_size} bytes, and at most {most_bytes} are read: use a smaller file")


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    state = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        for block in iter(lambda: stream.read(1 << 16), b""):
            state.update(block)
    return state.hexdigest()


def check_distinct(outputs: Mapping[str, str | Path | None], inputs: Mapping[str, str | Path | None]) -> None:
    """UserError where an output, by the name of its option, is the file of another output or of an input.

    None and ``-`` (standard output) are no files.
    """
    taken = {os.path.realpath(path): name for name, path in inputs.items() if path is not None}
    for name, path in outputs.items():
        if path is None or str(path) == "-":
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise UserError(f"{name} {path}: that is the file of {taken[place]}: write to another one")
        taken[place] = name


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; UserError where it cannot be written."""
    temporary: Path | None = None
    target = Path(os.path.realpath(path))  # a link stays a link, and what it points to is written
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(content)  # /dev/null or a pipe: never to be replaced by a file
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise UserError(_cannot_write(path, error)) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well.

    An error, a full disk or Ctrl-C leaves the old folder whole and removes the temporary one.
    Raises: UserError naming `folder` where it cannot be written.
    """
    temporary: Path | None = None
    target = Path(os.path.realpath(folder))  # a link stays a link, and what it points to is replaced
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        temporary.chmod(0o755)
        yield temporary
        _exchange(temporary, target)
    except OSError as error:
        raise UserError(_cannot_write(folder, error)) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _exchange(temporary: Path, folder: Path) -> None:
    """Put `temporary` where `folder` is; what was there ends up under the temporary name."""
    try:
        temporary.rename(folder)
        return
    except OSError:  # something stands there: maybe only since a moment ago, when another export ended
        if not folder.exists():
            raise
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):  # Linux: one atomic step, so that no kill can fall between two renames
        paths = os.fsencode(temporary), os.fsencode(folder)
        if libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
            return
    old = temporary.with_name(temporary.name + ".old")
    folder.rename(old)
    try:
        temporary.rename(folder)
    except BaseException:  # Ctrl-C, too: the old folder goes back to its place before anything else happens
        old.rename(folder)
        raise
    old.rename(temporary)


def _cannot_write(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: the disk is full, and nothing was written: free some space or choose another --out"
    return f"{path}: cannot be written: {error.strerror or error}"


def write_array(path: str | Path, values: Any) -> None:
    """Write a ``.npy`` file whole or not at all; UserError where it cannot be written."""
    import io

    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write_bytes(Path(path), buffer.getvalue())


def check_writable(path: str | None) -> None:
    """Before long work: UserError where `write_or_print` to `path` would fail for want of a folder or permission."""
    if path is None or path == "-":
        return
    if Path(path).is_dir():
        raise UserError(f"{path}: this is a folder: name a file")
    if Path(path).exists() and os.access(path, os.W_OK):
        return
    folder = Path(path).absolute().parent
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UserError(f"{path}: cannot be written: {existing} is no folder that takes files")


def write_or_print(path: str, text: str) -> None:
    """Write `text` to a file, or to standard output where `path` is ``-``."""
    if path == "-":
        sys.stdout.write(text)
    else:
        write_bytes(Path(path), text.encode())
