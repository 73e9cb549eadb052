"""One point of a sweep, computed once: what every scheduler runs, in this process or in another one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import snn2chip
from snn2chip.errors import UserError
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.results import NetworkReport
from snn2chip.hw_models.simulate import simulate
from snn2chip.sweep import networks, quantized
from snn2chip.sweep.points import Point
from snn2chip.sweep.store import Store


@dataclass(frozen=True)
class Task:
    """A point, and the store that its result goes to. Travels to other processes.

    Attributes:
        folder, store: path and id of the store.
        wait: whether to wait for another process that is computing this point.
    """

    point: Point
    folder: str
    store: str
    wait: bool = False


def evaluate(task: Task) -> bool:
    """Compute a point unless its result is there; False where another process is at it, and nothing was done.

    A network that the chip refuses is a result as well, with the sentence that says why.

    Raises: UserError where a file is not what it was when the sweep was planned, or cannot be read.
    """
    store, point = _store(task), task.point
    if store.has(point.key):
        return True
    with store.claim(store.point(point.key), task.wait) as claimed:
        if claimed and not store.has(point.key):
            _compute(store, point)
        return claimed


def _compute(store: Store, point: Point) -> None:
    chip = _checked(point)
    store.log("start", point.key)
    start = time.perf_counter()
    content = _content(store, point, chip)
    store.write(point.key, {"point": dict(point.identity), **content})
    store.log("done", point.key, seconds=time.perf_counter() - start)


def _store(task: Task) -> Store:
    place = f"{task.folder}: the store of this sweep is not there for this process"
    try:
        store = Store(Path(task.folder))
    except UserError:
        store = None
    if store is None or store.id != task.store:
        raise UserError(f"{place}: put --out on a file system that all workers share under one path")
    return store


def _checked(point: Point) -> Chip:
    """The point's chip, once network, chip and program are what the sweep was planned with."""
    chip = load_chip(point.chip_file)
    found = {"version": snn2chip.__version__, **networks.read(point.source).identity, "chip": chip.digest}
    for name, value in found.items():
        if point.identity[name] != value:
            what = {"version": "snn2chip", "chip": point.chip_file}.get(name, point.source.path)
            raise UserError(f"{what}: its {name} is not what it was when the sweep was planned: start the sweep again")
    return chip


def _content(store: Store, point: Point, chip: Chip) -> dict[str, Any]:
    from snn2chip import engine

    network = networks.read(point.source)
    samples = network.samples
    try:
        graph = quantized.integer(store, network, point.bits)
    except quantized.Refused as error:
        return {"refused": str(error), "result": None}
    try:
        report = simulate(graph, samples.x, samples.y, chip, label=point.network, execute=engine.run)
    except UserError as error:  # it reads no files: this is about the network and the chip
        return {"refused": str(error).replace(str(chip.path), chip.name), "result": None}
    return {"refused": None, "result": summary(report)}


def summary(report: NetworkReport) -> dict[str, Any]:
    """What a sweep keeps of a report: everything but the rows of the layers and the chip's numbers. Units as there."""
    totals = {name: value for name, value in asdict(report.totals).items() if name not in ("name", "operation")}
    placement: Mapping[str, Any] | None = report.placement
    return {
        "graph_digest": report.graph_digest,
        "form": report.form,
        "samples": report.samples,
        "accuracy": report.accuracy,
        "latency": asdict(report.latency),
        "energy": asdict(report.energy),
        "totals": totals,
        "placement": None
        if placement is None
        else {key: placement[key] for key in ("fits", "cores", "chips", "broken")},
        "notes": list(report.notes),
    }
