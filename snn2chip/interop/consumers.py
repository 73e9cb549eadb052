"""What other libraries make of NIR files, as they come and with our node map: measured, each in a process of its own.

Importers of others may hang or crash; what they get is a time limit. No library is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from snn2chip import interpreter
from snn2chip.errors import BackendError, UserError
from snn2chip.graph import Array, Graph

EXACT, REFUSED, WRONG, FAILED, MISSING = "exact", "refused", "WRONG", "failed", "not installed"
#: For the start of a process and for each file that it runs: libraries on torch take seconds to import.
SECONDS = 120.0

_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Consumer:
    """A library, by its distribution, and its way to open a file: ``stock``, as it comes, or ``map``, with our map."""

    package: str
    title: str
    way: Literal["stock", "map"]

    @property
    def key(self) -> str:
        return f"{self.package} {self.way}"

    @property
    def name(self) -> str:
        return f"{self.title}, {'our node map' if self.way == 'map' else 'as it comes'}"


_TITLES = {
    "nirtorch": "NIRTorch",
    "norse": "norse",
    "sinabs": "sinabs",
    "snntorch": "snnTorch",
    "spikingjelly": "SpikingJelly",
}
_WAYS: tuple[Literal["stock", "map"], ...] = ("stock", "map")
CONSUMERS = tuple(Consumer(package, title, way) for package, title in _TITLES.items() for way in _WAYS)


@dataclass(frozen=True)
class Job:
    """A file, what it is fed with, and what must come out.

    Attributes:
        path: the NIR file.
        profile: how it says its network (``docs/nir.md``).
        frames: uint8 ``[B, calls, C, H, W]``: the file is called so many times for a sample.
        expected: integers ``[B, calls, values]``.
    """

    path: Path
    profile: str
    frames: Array
    expected: Array


def job(path: Path, graph: Graph, inputs: Array) -> Job:
    """What the file at `path`, which was written for `graph`, is to be fed with, and must answer.

    Args:
        inputs: uint8 ``[B, *shape]`` or ``[B, T, *shape]``.
    Raises: UserError where the inputs do not fit, or the file is none that this project wrote.
    """
    frames = interpreter.as_frames(graph, inputs)
    maps = frames if frames.ndim == 5 else frames[..., None, None]
    logits = interpreter.run(graph, inputs).reshape(len(frames), graph.steps, -1)
    profile = _profile(path)
    if profile != "unrolled":
        return Job(path, profile, maps, logits)
    stacked = maps.reshape(len(maps), 1, -1, *maps.shape[3:])  # one call; channel t*C + c
    return Job(path, profile, stacked, logits.reshape(len(logits), 1, -1))


def _profile(path: Path) -> str:
    import nir

    try:
        profile: str = json.loads(nir.read(path).metadata["snn2chip"])["profile"]
    except (OSError, KeyError, ValueError, TypeError, AttributeError, AssertionError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: nir cannot read it, or this project did not write it ({problem})") from None
    return profile


@dataclass(frozen=True)
class Outcome:
    """What a consumer makes of a file.

    Attributes:
        verdict: ``exact``; ``refused`` with an error; ``WRONG``, without one; ``failed``, where its process gave no
            answer; ``not installed``.
        detail: of a refusal the class and the first line of the error; of wrong outputs how many; else what happened.
    """

    verdict: str
    detail: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def installed(python: Path | None = None) -> dict[str, str]:
    """Versions of the libraries (and of nir and torch) that are installed for `python`, by distribution.

    Raises: BackendError where `python` does not run.
    """
    try:
        done = subprocess.run(
            _command(python), env=_environment(python), capture_output=True, text=True, timeout=60, check=True
        )
        versions: dict[str, str] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise BackendError(
            f"{python or sys.executable}: it does not run as a Python ({error}): name one of version 3.10 or later"
        ) from None
    return versions


def measure(
    jobs: Mapping[str, Job],
    consumers: Sequence[Consumer] = CONSUMERS,
    python: Path | None = None,
    seconds: float = SECONDS,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Outcome]]:
    """What each consumer makes of each job: outcomes by `Consumer.key`, and then by job.

    Args:
        python: the interpreter to look into; None for this one.
        seconds: how long a consumer may take to start, and for each file.
        report: is told what is being run.
    Raises: BackendError where `python` does not run.
    """
    here, found = installed(python), {}
    for consumer in consumers:
        report(consumer.name)
        lacking = sorted({consumer.package, "nir", "nirtorch"} - set(here))
        if lacking:
            found[consumer.key] = dict.fromkeys(jobs, Outcome(MISSING, f"pip install {' '.join(lacking)}"))
            continue
        with tempfile.TemporaryDirectory(prefix="snn2chip-consumers-") as folder:
            found[consumer.key] = _measured(consumer, jobs, python, seconds, Path(folder))
    return found


def _measured(
    consumer: Consumer, jobs: Mapping[str, Job], python: Path | None, seconds: float, folder: Path
) -> dict[str, Outcome]:
    """Runs all jobs in one process, and goes on in another behind a job that ended it."""
    asked = []
    for number, job in enumerate(jobs.values()):
        frames = folder / f"{number}_frames.npy"
        np.save(frames, job.frames)
        asked.append({"model": str(job.path.resolve()), "frames": str(frames), "answer": str(folder / str(number))})
    found: dict[str, Outcome] = {}
    names = list(jobs)
    while len(found) < len(names):
        left = asked[len(found) :]
        document = folder / "jobs.json"
        document.write_text(json.dumps({"consumer": consumer.key, "jobs": left}), encoding="utf-8")
        ended = _run([*_command(python), str(document)], _environment(python), seconds * (1 + len(left)), folder)
        for name, said in zip(names[len(found) :], left, strict=True):
            outcome = _outcome(Path(said["answer"]), jobs[name])
            found[name] = outcome or Outcome(FAILED, ended)
            if outcome is None:
                break
    return found


def _command(python: Path | None) -> list[str]:
    return [str(python.absolute() if python else sys.executable), str(_WORKER)]


def _environment(python: Path | None) -> dict[str, str]:
    """PYTHONHOME and PYTHONPATH belong to the running interpreter."""
    kept = dict(os.environ)
    for name in ("PYTHONHOME", "PYTHONPATH") if python else ():
        kept.pop(name, None)
    return kept


def _run(command: list[str], environment: Mapping[str, str], seconds: float, folder: Path) -> str:
    """Runs a worker and says how it ended; at the end nothing of it is left."""
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"no answer within {seconds:g} s"
        finally:
            _end(process)
    return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole session: a library may have started processes of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _outcome(stem: Path, job: Job) -> Outcome | None:
    """None where there is no answer."""
    if (said := stem.with_suffix(".txt")).exists():
        return Outcome(REFUSED, said.read_text(encoding="utf-8"))
    if not (answer := stem.with_suffix(".npy")).exists():
        return None
    found = np.load(answer)
    if found.shape != job.expected.shape:
        same = 2 if found.shape[:2] == job.expected.shape[:2] else 0
        return Outcome(WRONG, f"its output has shape {found.shape[same:]} instead of {job.expected.shape[same:]}")
    differing = int((found != job.expected).sum())
    return Outcome(WRONG, f"{differing} of {found.size} outputs differ") if differing else Outcome(EXACT)
