"""Whatever happens to the worker, its caller gets one clear sentence within seconds, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.errors import UserError
from snn2chip.exporters.lava import Job, Result, host, preflight, run_jobs
from snn2chip.graph import Array, Graph
from tests.lava.conftest import MARKED
from tests.lava.faults import Faulty, at_marked_layer

Make = Callable[..., Faulty]

#: From the call to the sentence, the start of Lava's Python included.
SECONDS = 10.0


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def fail(faulty: Faulty, graph: Graph, images: Array, timeout: float = 300.0) -> str:
    """Runs one job per layer and returns the sentence of its error."""
    with within(SECONDS):
        (result,) = run_jobs([Job(graph, images, batch=2, timeout=timeout)], faulty.environment)
    assert result.error is not None
    assert result.tensors == {}
    return str(result.error)


def assert_exact(result: Result, graph: Graph, images: Array) -> None:
    assert result.error is None
    assert np.array_equal(result.tensors["logits"], interpreter.run(graph, images))


def test_without_a_fault_the_same_worker_is_exact(faulty: Make, residual_graph: Graph, images: Array) -> None:
    sound = faulty()
    (result,) = run_jobs([Job(residual_graph, images, batch=2)], sound.environment)
    assert_exact(result, residual_graph, images)
    assert sound.shared_memory, "the check for leftovers saw no shared memory at all"


def test_an_exception_names_stage_node_and_step(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = at_marked_layer(MARKED, 3, 'raise ValueError("planted")')
    message = fail(faulty(fault), residual_graph, images)
    assert message == "Lava (stages: per-layer) failed at stage 'marked', node 'marked', step 3: ValueError: planted"


def test_an_exception_in_a_fused_stage_names_the_node(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = faulty(at_marked_layer(MARKED, 1, 'raise ValueError("planted")'))
    (result,) = run_jobs([Job(residual_graph, images, stages=1)], fault.environment)
    assert "stage 'logits', node 'marked', step 1: ValueError: planted" in str(result.error)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_killed_process_is_named(faulty: Make, residual_graph: Graph, images: Array, name: str) -> None:
    fault = at_marked_layer(MARKED, 3, f"os.kill(os.getpid(), signal.{name})")
    message = fail(faulty(fault), residual_graph, images)
    assert message == f"Lava (stages: per-layer) failed at stage 'marked': its process died (signal {name})"


def test_a_frozen_process_ends_with_the_time(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = at_marked_layer(MARKED, 3, "os.kill(os.getpid(), signal.SIGSTOP)")
    message = fail(faulty(fault), residual_graph, images, timeout=4.0)
    assert message == "Lava (stages: per-layer) failed: Lava took longer than 4 s for running the network"


def test_the_last_process_is_named_too(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = faulty("""
from snn2chip.exporters.lava import processes
def compute(self):
    raise OSError("no space left")
processes.SinkModel.compute = compute
""")
    assert "failed at stage 'sink', step 1: OSError: no space left" in fail(fault, residual_graph, images)


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_a_model_that_cannot_be_built(faulty: Make, residual_graph: Graph, images: Array, delay: float) -> None:
    """Whether the worker hears of it from Lava, or sees the dead process first because Lava is slow to ask."""
    fault = faulty(f"""
import time
from lava.magma.runtime.runtime import Runtime
from snn2chip.exporters.lava import processes
ports = Runtime._start_ports
Runtime._start_ports = lambda self: (time.sleep({delay}), ports(self))
def initialise(self, parameters):
    raise RuntimeError("planted")
processes.SinkModel.__init__ = initialise
""")
    assert "RuntimeError: planted" in fail(fault, residual_graph, images)


def test_a_process_that_dies_while_it_is_built(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = faulty("""
import os, signal
from snn2chip.exporters.lava import processes
processes.SinkModel.__init__ = lambda self, parameters: os.kill(os.getpid(), signal.SIGKILL)
""")
    assert "failed at stage 'sink': its process died (signal SIGKILL)" in fail(fault, residual_graph, images)


def test_a_missing_stop_does_not_hang(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = faulty("""
from lava.magma.runtime.runtime import Runtime
Runtime.stop = lambda self: None
""")
    with within(SECONDS):
        (result,) = run_jobs([Job(residual_graph, images)], fault.environment)
    assert_exact(result, residual_graph, images)


def test_a_stop_that_hangs_is_ended(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = faulty("""
import time
from lava.magma.runtime.runtime import Runtime
from snn2chip.exporters.lava import worker
Runtime.stop = lambda self: time.sleep(3600)
worker.STOP_SECONDS = 1.0
""")
    assert "Lava took longer than 1 s for stopping the network" in fail(fault, residual_graph, images)


def test_a_worker_that_is_killed(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = at_marked_layer(MARKED, 3, "os.kill(os.getppid(), signal.SIGKILL); time.sleep(3600)")
    message = fail(faulty(fault), residual_graph, images)
    assert message.startswith("the Lava worker died (signal SIGKILL)")


def test_a_worker_that_never_answers(
    faulty: Make, residual_graph: Graph, images: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "START_SECONDS", 3.0)
    monkeypatch.setattr(host, "EXTRA_SECONDS", 1.0)
    fault = faulty("""
import time
from snn2chip.exporters.lava import worker
worker.attempt = lambda job, starter: time.sleep(3600)
""")
    message = fail(fault, residual_graph, images, timeout=1.0)
    assert message.startswith("the Lava worker did not come back within 5 s")


def test_a_failing_job_leaves_the_others_alone(faulty: Make, residual_graph: Graph, images: Array) -> None:
    fault = faulty(at_marked_layer(MARKED, 7, 'raise ValueError("planted")'))
    # Two steps a sample: the second job alone is long enough to reach its seventh step in one process.
    jobs = [Job(residual_graph, images[:2], batch=1), Job(residual_graph, images, batch=1), Job(residual_graph, images)]
    first, second, third = run_jobs(jobs, fault.environment)
    assert_exact(first, residual_graph, images[:2])
    assert "planted" in str(second.error)
    assert_exact(third, residual_graph, images)


def test_a_full_disk_is_a_sentence(faulty: Make, residual_graph: Graph, images: Array) -> None:
    limited = faulty(shell="ulimit -f 64")  # 32 KB a file: a thousand recorded samples need more
    message = fail(limited, residual_graph, np.repeat(images, 200, axis=0))
    assert "File too large" in message


_HOST = """
import sys
from pathlib import Path
import numpy as np
from snn2chip.exporters.lava import Job, run_jobs
from snn2chip.lava_environment import LavaEnvironment
folder, form, images = map(Path, sys.argv[1:])
run_jobs([Job(form, np.load(images))], LavaEnvironment(folder, folder / "python", "external", "3"))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_caller(
    faulty: Make, scratch: Path, residual_graph: Graph, images: Array, tmp_path: Path, number: signal.Signals
) -> None:
    from snn2chip.exporters.lava import write

    slow = faulty(at_marked_layer(MARKED, 2, "open('/proc/self/comm', 'w').write('slow'); time.sleep(3600)"))
    write(residual_graph, tmp_path / "form")
    np.save(tmp_path / "images.npy", images)
    arguments = [str(slow.folder), str(tmp_path / "form"), str(tmp_path / "images.npy")]
    variables = {**os.environ, "TMPDIR": str(scratch)}
    caller = subprocess.Popen([sys.executable, "-c", _HOST, *arguments], env=variables, stderr=subprocess.DEVNULL)
    _wait_until(lambda: slow.started and _any_is_slow(slow))
    caller.send_signal(number)
    caller.wait(timeout=SECONDS)
    _wait_until(lambda: not slow.living_processes())


def _any_is_slow(faulty: Faulty) -> bool:
    return any(Path(f"/proc/{pid}/comm").read_text().strip() == "slow" for pid in faulty.living_processes())


def _wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_too_few_open_files_are_refused_before_the_start(residual_graph: Graph, tmp_path: Path) -> None:
    from snn2chip.exporters.lava import write

    write(residual_graph, tmp_path / "form")
    np.save(tmp_path / "images.npy", np.zeros((1, 2, 4, 4), np.uint8))
    program = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n{_HOST}"
    arguments = [str(tmp_path), str(tmp_path / "form"), str(tmp_path / "images.npy")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert "UserError: Lava needs about" in done.stderr
    assert "the limit is 100: raise it (ulimit -n)" in done.stderr


def test_small_shared_memory_makes_small_batches(residual_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    from snn2chip.exporters.lava import partition

    parts = partition(residual_graph)
    for_one, for_many = (preflight.channel_bytes(residual_graph, parts, batch) for batch in (1, 512))
    monkeypatch.setattr(preflight, "_free_shared_memory", lambda: 2 * for_many)
    assert preflight.fitting_batch(residual_graph, parts, 1024) == 512
    monkeypatch.setattr(preflight, "_free_shared_memory", lambda: for_one - 1)
    with pytest.raises(UserError, match="shared memory for one sample"):
        preflight.fitting_batch(residual_graph, parts, 16)
