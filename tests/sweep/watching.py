"""A saboteur: kills the process that is computing a point, once half of a sweep is done."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from snn2chip.sweep.store import Store

_PATIENCE = 120.0


def events(store: Store) -> list[dict[str, Any]]:
    """The lines of the log; one that is being written is left out."""
    if not store.log_file.exists():
        return []
    lines = store.log_file.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def counted(store: Store, event: str) -> Counter[str]:
    """How often `event` is in the log, by point."""
    return Counter(found["key"] for found in events(store) if found["event"] == event)


class Saboteur(threading.Thread):
    """Kills one process in the middle of a computation, after `done` points are finished.

    Attributes:
        key, pid: the point and the process that it hit; None until then.
    """

    def __init__(self, store: Store, done: int) -> None:
        super().__init__(daemon=True)
        self.store, self.done = store, done
        self.key: str | None = None
        self.pid: int | None = None

    def run(self) -> None:
        end = time.monotonic() + _PATIENCE
        while self.key is None and time.monotonic() < end:
            if len(counted(self.store, "done")) >= self.done:
                self._strike()
            time.sleep(0.002)

    def _strike(self) -> None:
        """Stop a process first, so that it cannot finish between the look at the store and the kill."""
        started = [found for found in events(self.store) if found["event"] == "start"]
        key, pid = started[-1]["key"], started[-1]["pid"]
        if self.store.has(key) or pid == os.getpid():
            return
        os.kill(pid, signal.SIGSTOP)
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)
        if self.store.has(key):
            os.kill(pid, signal.SIGCONT)
            return
        os.kill(pid, signal.SIGKILL)
        self.key, self.pid = key, pid
