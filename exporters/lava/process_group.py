"""Ends a whole process group and gives back what it left: the host's side of the promise that nothing stays behind."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
#: Seconds for the processes to go after SIGTERM, and after SIGKILL.
PATIENCE = 2.0


def end_group(group: int) -> None:
    """Ends every process of `group`, then removes the shared memory that they had mapped and nobody removed.

    SIGTERM comes first: Python's resource tracker outlives it, and frees what the others leave.
    """
    mapped = _shared_memory_of(group)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _alive(group):
            break
        _signal(group, number)
        _wait_for_end(group)
    for name in mapped:
        (SHARED_MEMORY / name).unlink(missing_ok=True)


def _wait_for_end(group: int) -> None:
    limit = time.monotonic() + PATIENCE
    while _alive(group) and time.monotonic() < limit:
        time.sleep(0.01)


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _alive(group: int) -> bool:
    if Path("/proc/self/stat").exists():
        return bool(members(group))
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def members(group: int) -> list[int]:
    """Process ids of `group` on Linux, without zombies (their parent or init collects those)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command, in brackets, may hold spaces and brackets: what follows the last one is state, parent, group.
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue  # it ended while we looked
        if int(its_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def _shared_memory_of(group: int) -> set[str]:
    names: set[str] = set()
    for pid in members(group):
        try:
            names |= set(re.findall(r"/dev/shm/(psm_\w+)", Path(f"/proc/{pid}/maps").read_text()))
        except OSError:
            continue
    return names
