"""A sweep from end to end: plan, compute what the store lacks, and read everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from snn2chip.sweep.evaluate import Task
from snn2chip.sweep.pareto import Objective
from snn2chip.sweep.points import Point
from snn2chip.sweep.results import Results, collect
from snn2chip.sweep.schedulers import Run, local
from snn2chip.sweep.store import Store


def sweep(
    store: Store,
    points: Sequence[Point],
    objectives: Sequence[Objective],
    run: Run = local,
    per_chip: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Results:
    """Compute the points that `store` lacks and read the results of all.

    Args:
        points: from `snn2chip.sweep.points.plan`.
        run: what computes them, from `snn2chip.sweep.schedulers.named`.
        per_chip: whether every chip has a front of its own, on which only its variants compete.
        report: told of each point as it is there.
    Raises: UserError, CheckFailed as `run` does; what was computed until then stays in the store.
    """
    folder = str(store.folder.absolute())
    lacking = [Task(point, folder, store.id) for point in points if not store.has(point.key)]
    known = len(points) - len(lacking)

    busy: list[Task] = []

    def settle(task: Task, computed: bool) -> None:
        nonlocal known
        if not computed:
            busy.append(task)
            return
        known += 1
        report(f"{known} of {len(points)} points: {task.point.label}")

    report(f"{known} of {len(points)} points are in the store")
    run(lacking, settle)
    run([replace(task, wait=True) for task in busy], settle)  # others were at these: wait for them, or for their end
    return collect(store, points, objectives, per_chip)


def write(results: Results, folder: Path) -> tuple[Path, ...]:
    """``sweep.json``, ``sweep.csv`` and ``pareto.svg`` in `folder`: the paths that were written."""
    from snn2chip import files
    from snn2chip.sweep.figure import figure  # matplotlib takes a second to import

    texts = {"sweep.json": results.to_json(), "sweep.csv": results.to_csv(), "pareto.svg": figure(results)}
    for name, text in texts.items():
        files.write_bytes(folder / name, text.encode())
    return tuple(folder / name for name in texts)
