"""A process with little memory that opens model files: what one of them does to it is seen from outside."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What a file may take beyond what the process has once everything is imported.
SPARE_BYTES = 512 * 2**20
#: Processor time: other tests share the cores.
SECONDS = 2.0
_PATIENCE = 60

_PROGRAM = """
import json, os, resource, sys, time
import torch, torch.export, h5py, safetensors
from pathlib import Path
from snn2chip import artifact, frontend
from snn2chip.errors import UserError
from snn2chip.frontend import nir_file, readers
from snn2chip.frontend.readers import program_file

def opened(path, options):
    if path.endswith((".npz", ".npy")):
        samples = artifact.read_samples(path)
        return f"samples {samples.x.shape}"
    if options.get("input_shape"):
        options["input_shape"] = tuple(options["input_shape"])
    return repr(frontend.load(path, frontend.ImportOptions(**options)).graph)

size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + %d
resource.setrlimit(resource.RLIMIT_AS, (size, size))
print("ready", flush=True)
for line in sys.stdin:
    path, options = json.loads(line)
    started = time.process_time()
    try:
        answer = "opened", opened(path, options)[:500]
    except UserError as error:
        answer = "refused", str(error)
    except BaseException as error:
        answer = "fell", f"{type(error).__name__}: {error}"
    print(json.dumps([*answer, time.process_time() - started]), flush=True)
"""


@dataclass(frozen=True)
class Answer:
    """`outcome` is opened, refused (one sentence for the user) or fell (any other exception)."""

    outcome: str
    text: str
    seconds: float


class Worker:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self._line() == "ready"

    def open(self, path: Path, **options: Any) -> Answer:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(path), options]) + "\n")
        self._process.stdin.flush()
        return Answer(*json.loads(self._line()))

    def refuses(self, path: Path, **options: Any) -> str:
        """The one sentence with which `path` is refused, in little time."""
        answer = self.open(path, **options)
        assert answer.outcome == "refused", answer
        assert answer.text.startswith(str(path)), answer.text
        assert "\n" not in answer.text
        assert len(answer.text) < 700
        assert answer.seconds < SECONDS, answer
        return answer.text

    def _line(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE)
        assert ready, "no answer: the worker hangs"
        line = self._process.stdout.readline()
        assert line, f"the worker ended with {self._process.wait()}"
        return line.strip()


@contextmanager
def running(**environment: str) -> Iterator[Worker]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM % SPARE_BYTES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.communicate()
