"""The folder of a sweep: one file per point, claims that die with their process, and a log of what was computed.

::

    store.json      what this folder is
    points/KEY.json the result of one point, written whole or not at all
    networks/*      the networks with weights of so many bits, as 'snn2chip quantize' writes them
    chips/*.toml    the variants of chips that --set made
    claims/*        a file per point or network that is being computed, locked by the process that does
    log.jsonl       a line when a point's computation starts and when it ends
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snn2chip import files
from snn2chip.errors import UserError

FORMAT = "snn2chip-sweep-1"
_MARK = "store.json"
_CLAIMS = "claims"
_NETWORKS = "networks"
_POINTS = "points"
_CHIPS = "chips"
_FOLDERS = (_POINTS, _NETWORKS, _CHIPS, _CLAIMS)


class Store:
    """A store that is there. Any number of processes, on any machines that share its folder, may use it at once.

    Attributes:
        folder: of the store.
        id: drawn when it was made; tells whether another machine sees the same folder.
    """

    #: The folder of the variants of chips.
    CHIPS = _CHIPS

    def __init__(self, folder: Path) -> None:
        mark = files.read_json(folder / _MARK)
        if not isinstance(mark, Mapping) or mark.get("format") != FORMAT or not isinstance(mark.get("id"), str):
            raise UserError(f"{folder / _MARK}: it is no mark of a {FORMAT} store: choose another --out")
        self.folder = folder
        self.id: str = mark["id"]

    @classmethod
    def create(cls, folder: Path) -> Store:
        """The store in `folder`, made where nothing is there. Raises: UserError where something else is there."""
        mark = folder / _MARK
        if not mark.is_file():
            unknown = folder.exists() and (not folder.is_dir() or _strangers(folder))
            if unknown and not mark.is_file():  # looked for again: another sweep may have made the store by now
                raise UserError(f"{folder}: it exists and is no store of a sweep: choose another --out, or remove it")
            with _writing(folder):
                for name in _FOLDERS:
                    (folder / name).mkdir(parents=True, exist_ok=True)
                _write_once(mark, files.canonical_json({"format": FORMAT, "id": uuid.uuid4().hex}))
        return cls(folder)

    @property
    def chips(self) -> Path:
        return self.folder / self.CHIPS

    @property
    def networks(self) -> Path:
        return self.folder / _NETWORKS

    @property
    def log_file(self) -> Path:
        return self.folder / "log.jsonl"

    def point(self, key: str) -> Path:
        """The file with the result of a point."""
        return self.folder / _POINTS / f"{key}.json"

    def has(self, key: str) -> bool:
        """Whether the point has a result."""
        return self.point(key).is_file()

    def result(self, key: str) -> Mapping[str, Any]:
        """The result of a point. Raises: UserError where it is missing or damaged."""
        path = self.point(key)
        document = files.read_json(path)
        if not isinstance(document, Mapping) or document.get("format") != FORMAT or document.get("key") != key:
            raise UserError(f"{path}: it holds no result of point {key}: remove it, and the sweep computes it again")
        return document

    def write(self, key: str, content: Mapping[str, Any]) -> None:
        """Keep the result of a point; the same content gives the same bytes."""
        document = {"format": FORMAT, "key": key, **content}
        files.write_bytes(self.point(key), files.canonical_json(document).encode())

    @contextlib.contextmanager
    def claim(self, result: Path, wait: bool = True) -> Iterator[bool]:
        """Hold the making of a file, so that nobody else makes it; False where somebody does and `wait` is false.

        The system releases a claim when its process ends, however it ends: a killed one leaves nothing behind. Whoever
        holds a claim first looks whether the file is there by now.
        """
        claimed = self.folder / _CLAIMS / result.name
        with _writing(claimed):
            stream = claimed.open("ab")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                if result.is_file():  # otherwise another process may be waiting for this very file
                    claimed.unlink(missing_ok=True)

    def log(self, event: str, key: str, **more: Any) -> None:
        """Add a line to the log: who did what, and when."""
        entry = {"event": event, "key": key, "host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
        line = json.dumps(entry | more, sort_keys=True) + "\n"
        with _writing(self.log_file):
            handle = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(handle, line.encode())  # one call, so that lines of several processes do not mix
            finally:
                os.close(handle)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """An error of the system as a sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}: choose another --out") from None


def _strangers(folder: Path) -> list[str]:
    """What no store holds. Another sweep may be making one here at this moment."""
    return [found.name for found in folder.iterdir() if found.name not in _FOLDERS and not found.name.startswith(".")]


def _write_once(path: Path, text: str) -> None:
    """Write a file whole, unless another process was quicker."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(text, encoding="utf-8")
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
