"""Where points are computed: in this process, in several on this machine, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from snn2chip.errors import CheckFailed, UserError
from snn2chip.sweep.evaluate import Task, evaluate

#: Told of each task as it ends: True where its result is there, False where another process was at it.
Settle = Callable[[Task, bool], None]
#: Has every task computed. Raises: UserError from a task; CheckFailed where workers die again and again. What was
#: computed until then stays in the store.
Run = Callable[[Sequence[Task], Settle], None]

_MOST_DEATHS = 3


def named(name: str, workers: int | None = None) -> Run:
    """What computes tasks, each by this sweep or by another one that uses the same store at the same time.

    Args:
        name: ``local``, ``processes``, or the address of a Dask scheduler, ``tcp://HOST:PORT``.
        workers: of ``processes``; None for one per core.
    Raises: UserError for another name, workers without effect, or a missing Dask.
    """
    if workers is not None and name != "processes":
        raise UserError("--workers has no effect without --scheduler processes: leave it out")
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: give 1 or more")
    if name == "local":
        return local
    if name == "processes":
        return lambda tasks, settle: _processes(tasks, settle, workers or len(os.sched_getaffinity(0)))
    if name.startswith("tcp://"):
        from snn2chip.sweep.dask_cluster import on_cluster

        return on_cluster(name)
    raise UserError(f"--scheduler {name}: choose local, processes, or the address of a Dask scheduler, tcp://HOST:PORT")


def local(tasks: Sequence[Task], settle: Settle) -> None:
    """One task after another, in this process."""
    for task in tasks:
        settle(task, evaluate(task))


def _processes(tasks: Sequence[Task], settle: Settle, workers: int) -> None:
    left = list(tasks)
    deaths = 0
    while left:
        finished = []
        try:
            for task, computed in _pool(left, min(workers, len(left))):
                finished.append(task)
                settle(task, computed)
        except BrokenProcessPool:
            deaths = 0 if finished else deaths + 1
        left = [task for task in left if task not in finished]
        if deaths >= _MOST_DEATHS:
            raise CheckFailed(
                f"{_MOST_DEATHS} times a worker process died before any point was finished, the next is "
                f"{left[0].point.label}: give more memory or fewer --workers; finished points are kept"
            )


def _pool(tasks: Iterable[Task], workers: int) -> Iterator[tuple[Task, bool]]:
    """Results as they come. A process that dies breaks the whole pool."""
    context = multiprocessing.get_context("forkserver")  # our own process has threads, which no fork survives
    context.set_forkserver_preload(["snn2chip.sweep.preload"])  # a new worker costs no second import of torch
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start)
    try:
        futures: dict[Future[bool], Task] = {pool.submit(evaluate, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start() -> None:
    """Ctrl-C ends a worker without a word: it goes to every process of the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
