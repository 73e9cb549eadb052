"""What a machine may lack or have too much of: shared memory, files, threads; and what many runs leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip import interpreter
from snn2chip.exporters.lava import Job, partition, preflight, run_jobs, write
from snn2chip.exporters.lava.process_group import SHARED_MEMORY
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.ops import Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d
from tests.lava.conftest import MARKED
from tests.lava.faults import Faulty, at_marked_layer
from tests.lava.test_faults import assert_exact

Make = Callable[..., Faulty]

SECONDS = 10.0
#: What Docker gives a container unless it is told otherwise.
SMALL = 64 * 2**20

#: Runs jobs in an interpreter of its own: ENVIRONMENT FORM IMAGES STAGES, and prints what came of each.
_CALLER = """
import json, sys, time
from pathlib import Path
import numpy as np
from snn2chip.errors import UserError
from snn2chip.exporters.lava import Job, run_jobs
from snn2chip.lava_environment import LavaEnvironment
folder, form, images = map(Path, sys.argv[1:4])
environment = LavaEnvironment(folder, folder / "python", "external", "3")
for stages in json.loads(sys.argv[4]):
    began = time.monotonic()
    try:
        (result,) = run_jobs([Job(form, np.load(images), stages)], environment)
        said = str(result.error) if result.error else result.tensors["logits"].tolist()
    except UserError as error:
        said = str(error)
    print(json.dumps([said, time.monotonic() - began]))
"""


def call(
    prefix: Sequence[str], worker: Faulty, graph: Graph, images: Array, stages: Sequence[Any], folder: Path, **more: str
) -> list[Any]:
    """Logits or the sentence of the error for each of `stages`, in a process that `prefix` starts; in time, each."""
    write(graph, folder / "form")
    np.save(folder / "images.npy", images)
    paths = [str(worker.folder), str(folder / "form"), str(folder / "images.npy")]
    command = [*prefix, sys.executable, "-c", _CALLER, *paths, json.dumps(list(stages))]
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(seconds < SECONDS for _, seconds in found), found
    return [said for said, _ in found]


def in_small_shared_memory() -> list[str]:
    """What starts a command with 64 MB of shared memory: nothing where there is no more, else a file system of its own.

    Outside a container this takes a name space, which root, and on most systems everyone, may make.
    """
    status = os.statvfs(SHARED_MEMORY)
    if status.f_blocks * status.f_frsize <= SMALL:
        return []
    own = ["--mount"] if os.getuid() == 0 else ["--user", "--map-root-user", "--mount"]
    mount = f'mount -t tmpfs -o size={SMALL} tmpfs {SHARED_MEMORY} && exec "$@"'
    return ["unshare", *own, "sh", "-c", mount, "sh"]


def wide(channels: int, size: int, layers: int) -> Graph:
    """Layers of one synapse a neuron on maps that take ``channels * size**2`` bytes; T = 2."""
    rng = np.random.default_rng(0)
    nodes = [Node("input", Input((channels, size, size), 3))]
    for index in range(layers):
        weight = frozen(rng.integers(1, 4, (channels, 1, 1, 1)), np.int8)
        nodes.append(Node(f"conv{index}", Conv2d(weight, groups=channels), (nodes[-1].name,)))
        nodes.append(Node(f"if{index}", MultiLevelIF(frozen(np.full(channels, 3), np.int32), 3), (nodes[-1].name,)))
    pool = Node("pool", SumPool2d((size, size), (size, size)), (nodes[-1].name,))
    linear = Linear(frozen(rng.integers(-3, 4, (3, channels)), np.int8))
    ends = (Node("flat", Flatten(), ("pool",)), Node("fc", linear, ("flat",)), Node("logits", Readout(), ("fc",)))
    return Graph((*nodes, pool, *ends), 2)


def test_64_mb_of_shared_memory_make_smaller_batches(faulty: Make, tmp_path: Path) -> None:
    """Sixteen samples at once would need more than there is: they travel in smaller batches."""
    graph = wide(4, 320, 5)
    assert preflight.channel_bytes(graph, partition(graph), 16) > SMALL
    images = np.random.default_rng(1).integers(0, 4, (16, 4, 320, 320)).astype(np.uint8)
    (found,) = call(in_small_shared_memory(), faulty(), graph, images, ["per-layer"], tmp_path)
    assert found == interpreter.run(graph, images).tolist()


def test_what_64_mb_cannot_hold_is_refused_before_the_start(residual_graph: Graph, tmp_path: Path) -> None:
    """A map of 32 MB, twice on its way."""
    graph = wide(8, 2048, 1)
    worker = Faulty.__new__(Faulty)
    worker.folder = tmp_path  # nothing is started
    (found,) = call(
        in_small_shared_memory(), worker, graph, np.zeros((1, 8, 2048, 2048), np.uint8), ["per-layer"], tmp_path
    )
    assert "MB of shared memory for one sample, but /dev/shm has 6" in found
    assert "enlarge it (docker run --shm-size) or ask for fewer stages" in found


def test_two_hundred_open_files(faulty: Make, tmp_path: Path) -> None:
    """Twenty layers are refused as processes of their own, and run in one."""
    graph, images = wide(2, 4, 20), np.random.default_rng(2).integers(0, 4, (3, 2, 4, 4)).astype(np.uint8)
    prefix = ["sh", "-c", 'ulimit -n 200 && exec "$@"', "sh"]
    refused, found = call(prefix, faulty(), graph, images, ["per-layer", 1], tmp_path)
    assert refused.startswith("Lava needs about ")
    assert refused.endswith("but the limit is 200: raise it (ulimit -n) or ask for fewer stages")
    assert found == interpreter.run(graph, images).tolist()


#: BLAS takes no more threads than there are cores from the environment, but any number by this call.
_FORCE_THREADS = """
import ctypes, pathlib, numpy
(library,) = (pathlib.Path(numpy.__file__).parent.parent / "numpy.libs").glob("lib*openblas*")
openblas = ctypes.CDLL(str(library))
names = [f"{prefix}openblas_set_num_threads{suffix}" for prefix in ("", "scipy_") for suffix in ("", "64_")]
(setter,) = [name for name in names if hasattr(openblas, name)]
getattr(openblas, setter)(48)
"""
_MANY = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "48")


def _count_threads(folder: Path) -> str:
    """Leaves the number of threads of the marked layer's process in a file."""
    file = folder / "threads"
    return at_marked_layer(MARKED, 2, f"open({str(file)!r}, 'w').write(str(len(os.listdir('/proc/self/task'))))")


def heavy() -> Graph:
    """A product that BLAS gives to several threads, in the layer that faults are planted in."""
    rng = np.random.default_rng(3)
    conv = Conv2d(frozen(rng.integers(-3, 4, (MARKED, 16, 3, 3)), np.int8))
    linear = Linear(frozen(rng.integers(-3, 4, (3, MARKED)), np.int8))
    nodes = (
        Node("input", Input((16, 34, 34), 3)),
        Node("conv", conv, ("input",)),
        Node("marked", MultiLevelIF(frozen(np.full(MARKED, 3), np.int32), 3), ("conv",)),
        Node("pool", SumPool2d((32, 32), (32, 32)), ("marked",)),
        Node("flat", Flatten(), ("pool",)),
        Node("fc", linear, ("flat",)),
        Node("logits", Readout(), ("fc",)),
    )
    return Graph(nodes, 2)


HEAVY_IMAGES = np.random.default_rng(4).integers(0, 4, (6, 16, 34, 34)).astype(np.uint8)


def test_the_callers_threads_are_not_the_workers(faulty: Make, tmp_path: Path) -> None:
    worker = faulty(_count_threads(tmp_path))
    (found,) = call([], worker, heavy(), HEAVY_IMAGES, ["per-layer"], tmp_path, **_MANY)
    assert found == interpreter.run(heavy(), HEAVY_IMAGES).tolist()
    assert int((tmp_path / "threads").read_text()) < 16


def test_too_many_threads_are_slow_and_right(faulty: Make, tmp_path: Path) -> None:
    """As on a machine of 48 cores of which it may use a few: 48 threads of BLAS in every process."""
    worker = faulty(_FORCE_THREADS + _count_threads(tmp_path))
    began = time.monotonic()
    (result,) = run_jobs([Job(heavy(), HEAVY_IMAGES)], worker.environment)
    assert time.monotonic() - began < SECONDS
    assert_exact(result, heavy(), HEAVY_IMAGES)
    assert int((tmp_path / "threads").read_text()) > 48


_RUNS = """
import json, os, sys, threading
from pathlib import Path
import numpy as np
from snn2chip.exporters.lava import Job, run_jobs
from snn2chip.lava_environment import LavaEnvironment
folder, form, images, runs = *map(Path, sys.argv[1:4]), int(sys.argv[4])
environment, x = LavaEnvironment(folder, folder / "python", "external", "3"), np.load(images)

def held():
    kilobytes = next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(kilobytes), len(os.listdir("/proc/self/fd")), len(children), threading.active_count()]

seen = []
for _ in range(runs):
    (result,) = run_jobs([Job(form, x, 1)], environment)
    assert result.error is None, result.error
    seen.append(held())
print(json.dumps([seen, result.tensors["logits"].tolist()]))
"""
#: Kilobytes by which the interpreter may grow over its last 45 runs: an array that is kept would be more.
GROWTH = 1024


def test_fifty_runs_leave_nothing_behind(
    faulty: Make, residual_graph: Graph, images: Array, scratch: Path, tmp_path: Path
) -> None:
    """Memory, open files, children and threads of one interpreter; `faulty` and `scratch` check for the rest."""
    worker = faulty()
    write(residual_graph, tmp_path / "form")
    np.save(tmp_path / "images.npy", images)
    arguments = [str(worker.folder), str(tmp_path / "form"), str(tmp_path / "images.npy"), "50"]
    done = subprocess.run([sys.executable, "-c", _RUNS, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen, logits = json.loads(done.stdout)
    assert logits == interpreter.run(residual_graph, images).tolist()
    memory, files, children, threads = (list(column) for column in zip(*seen, strict=True))
    assert len(set(files)) == 1
    assert set(children) == {0}
    assert set(threads) == {1}
    assert memory[-1] - memory[4] < GROWTH, memory
    assert list(scratch.iterdir()) == []
