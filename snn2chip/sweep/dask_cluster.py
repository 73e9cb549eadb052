"""Points on a Dask cluster. Dask is an extra: ``pip install 'snn2chip[dask]'``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from snn2chip.errors import CheckFailed, UserError
from snn2chip.sweep.evaluate import Task, evaluate

_TIMEOUT = "15s"


def on_cluster(address: str) -> Callable[[Sequence[Task], Callable[[Task, bool], None]], None]:
    """What computes tasks on the workers of the Dask scheduler at `address` (see `snn2chip.sweep.schedulers.Run`).

    A worker that dies loses what it was computing; Dask gives it to another one, and the store keeps the rest.

    Raises: UserError where Dask is not installed.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise UserError(f"--scheduler {address} needs Dask: install it with pip install 'snn2chip[dask]'") from None
    return lambda tasks, settle: _compute(address, tasks, settle)


def _compute(address: str, tasks: Sequence[Task], settle: Callable[[Task, bool], None]) -> None:
    if not tasks:
        return
    from distributed import Client, KilledWorker, as_completed

    try:
        client = Client(address, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--scheduler {address}: no Dask scheduler answers there ({error}): start one") from None
    with client:
        futures = {client.submit(evaluate, task, pure=False): task for task in tasks}
        for future in as_completed(futures, loop=client.loop):
            try:
                settle(futures[future], future.result())
            except KilledWorker as error:
                label = futures[future].point.label
                raise CheckFailed(f"{label}: the workers that computed it died, one after another: {error}") from None
            except ModuleNotFoundError as error:
                raise UserError(f"--scheduler {address}: a worker lacks {error.name}: install snn2chip there") from None
