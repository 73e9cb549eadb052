"""Watches over a running Lava network from a timer signal, in the process that started it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

#: Seconds between two looks at the processes.
INTERVAL = 0.1


class RunFailed(Exception):
    """A process of the network died or raised, or the time ran out; `report` says where, JSON-ready."""

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__(report["error"])
        self.report = report


@dataclass(frozen=True)
class Starter:
    """Who started this process, and the folder that is to be removed if that one is gone."""

    pid: int
    folder: Path


class Watch:
    """While entered, raises RunFailed in the main thread soon after something went wrong, whatever it is waiting for.

    Set `runtime` and `names` (see `name_actors`) as soon as they exist. On leaving by an exception, every process of
    the runtime is ended and its shared memory given back.
    """

    def __init__(self, timeout: float, failure_file: Path, starter: Starter) -> None:
        self.timeout = timeout
        self.failure_file = failure_file
        self.starter = starter
        self.runtime: Any = None
        self.names: list[str] = []
        self._deadline = time.monotonic() + timeout
        self._ending = False
        self._owner = os.getpid()

    def __enter__(self) -> Watch:
        self._previous = signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._previous)
        if self.runtime is not None and (error is not None or self._ending):
            end_actors(self.runtime)
        # Lava turns a failing last process into an error of its own, which says nothing; the report says more.
        if error is not None and not isinstance(error, RunFailed) and self.failure_file.exists():
            raise RunFailed(json.loads(self.failure_file.read_text())) from error

    def expect_end(self, seconds: float) -> None:
        """From now on processes may end; the network has `seconds` to do so."""
        self._ending = True
        self._deadline = time.monotonic() + seconds
        self.timeout = seconds

    def _tick(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            return
        if os.getppid() != self.starter.pid:
            # Nobody waits for results any more: end the whole group, this process included.
            shutil.rmtree(self.starter.folder, ignore_errors=True)
            os.killpg(0, signal.SIGTERM)
        if self.failure_file.exists():
            raise RunFailed(json.loads(self.failure_file.read_text()))
        if not self._ending:
            self._look_for_dead()
        if time.monotonic() > self._deadline:
            doing = "stopping" if self._ending else "running"
            raise RunFailed({"error": f"Lava took longer than {self.timeout:g} s for {doing} the network"})

    def _look_for_dead(self) -> None:
        if self.runtime is None or self.runtime._messaging_infrastructure is None:
            return
        # While Lava is still starting them there are fewer processes than names.
        for name, actor in zip(self.names, self.runtime._messaging_infrastructure.actors, strict=False):
            if exit_code(actor) is not None:
                raise RunFailed({"stage": name, "error": _describe_death(actor)})


def _describe_death(actor: Any) -> str:
    """What a process raised while Lava built it, which Lava keeps to itself; else how it ended."""
    if actor.exception:
        error, _ = actor.exception
        return f"{type(error).__name__}: {error}"
    return f"its process died ({describe_exit(actor.exitcode)})"


def exit_code(actor: Any) -> int | None:
    """How an operating-system process of Lava's ended; None while it lives, and once Lava has closed it."""
    try:
        code: int | None = actor.exitcode
    except ValueError:
        return None
    return code


def describe_exit(code: int) -> str:
    """``exit code 1`` or, for a negative code, ``signal SIGKILL``."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def name_actors(executable: Any) -> list[str]:
    """Names of the operating-system processes in the order in which Lava's runtime starts them."""
    services = [f"runtime service {index}" for index, _ in enumerate(executable.runtime_service_builders)]
    return [process.name for process in executable.proc_builders] + services


def end_actors(runtime: Any) -> None:
    """Ends every process of `runtime` that still lives and frees its shared memory; does nothing after a clean stop."""
    # Lava's own clean-up at garbage collection would ask the dead processes for an answer.
    runtime._is_started = False
    infrastructure = runtime._messaging_infrastructure
    if infrastructure is None:
        return
    living = [actor for actor in infrastructure.actors if _alive(actor)]
    for actor in living:
        actor.terminate()
    limit = time.monotonic() + 1.0
    for actor in living:
        multiprocessing.Process.join(actor, max(0.0, limit - time.monotonic()))
        if actor.exitcode is None:
            actor.kill()
            multiprocessing.Process.join(actor)
    infrastructure.smm.shutdown()


def _alive(actor: Any) -> bool:
    try:
        return bool(actor.is_alive())
    except ValueError:  # closed: it was joined by Lava's stop
        return False
