"""A Lava environment whose worker is real, with a fault planted into its process before it starts."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from snn2chip.exporters.lava.process_group import SHARED_MEMORY, members
from snn2chip.lava_environment import LavaEnvironment

#: Runs in the worker's Python in place of bootstrap.py: reaches the packages, notes shared memory, plants the fault.
_PRELUDE = """
import importlib, json, runpy, sys
arguments = sys.argv[2:]  # after -I
runpy.run_path(arguments[0])["reach"](json.loads(arguments[1]))
from snn2chip.exporters.lava import compatibility
compatibility.prepare()
from lava.magma.runtime.message_infrastructure.shared_memory_manager import SharedMemoryManager
create = SharedMemoryManager.create_shared_memory
def noted(self, size):
    handle = create(self, size)
    with open({names!r}, "a") as names:
        names.write(handle.name.lstrip("/") + "\\n")
    return handle
SharedMemoryManager.create_shared_memory = noted
{fault}
importlib.import_module(arguments[2]).main(arguments[3:])
"""


@dataclass
class Faulty:
    """`fault` is Python that runs in the worker, `shell` is shell code that runs before it."""

    real: LavaEnvironment
    folder: Path
    fault: str = ""
    shell: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        prelude = self.folder / "prelude.py"
        prelude.write_text(_PRELUDE.format(names=str(self._names), fault=self.fault))
        python = self.folder / "python"
        command = f"exec {shlex.quote(str(self.real.python))} -I {shlex.quote(str(prelude))}"
        python.write_text(f'#!/bin/sh\necho $$ > {shlex.quote(str(self._pid))}\n{self.shell}\n{command} "$@"\n')
        python.chmod(0o755)

    @property
    def _names(self) -> Path:
        return self.folder / "shared_memory"

    @property
    def _pid(self) -> Path:
        return self.folder / "pid"

    @property
    def environment(self) -> LavaEnvironment:
        return LavaEnvironment(self.folder, self.folder / "python", "external", self.real.version)

    @property
    def started(self) -> bool:
        return self._pid.exists()

    @property
    def shared_memory(self) -> set[str]:
        """Names of all blocks that the worker ever made."""
        return set(self._names.read_text().split()) if self._names.exists() else set()

    def living_processes(self) -> list[int]:
        """Processes of the worker's group; it leads a group and session of its own."""
        return members(int(self._pid.read_text()))

    def left_shared_memory(self) -> list[str]:
        return sorted(name for name in self.shared_memory if (SHARED_MEMORY / name).exists())


def at_marked_layer(channels: int, step: int, action: str) -> str:
    """Does `action` in the process whose neuron layer has `channels` channels, from step number `step` on."""
    return f"""
import os, signal, time
from snn2chip.ops import MultiLevelIF
original, calls = MultiLevelIF.step, []
def step(self, inputs, state):
    calls.append(1) if len(self.theta) == {channels} else None
    if len(self.theta) == {channels} and len(calls) >= {step}:
        {action}
    return original(self, inputs, state)
MultiLevelIF.step = step
"""
