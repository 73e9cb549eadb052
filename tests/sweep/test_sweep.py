"""A sweep gives what the other commands give, goes on where it was, and survives killed processes."""

from __future__ import annotations

import csv
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from snn2chip import api, cli, zoo
from snn2chip.errors import CheckFailed, UserError
from snn2chip.hw_models import load_chip, simulate
from snn2chip.quantize.quantized_file import read_quantized
from snn2chip.sweep import pareto, quantized
from snn2chip.sweep.evaluate import Task, evaluate
from snn2chip.sweep.networks import Source
from snn2chip.sweep.points import Choice, Point, plan
from snn2chip.sweep.results import Results, Row
from snn2chip.sweep.schedulers import named
from snn2chip.sweep.store import Store
from snn2chip.sweep.sweep import sweep, write
from snn2chip.sweep.variants import variants
from tests.sweep.spaces import deadly, space
from tests.sweep.watching import Saboteur, counted

OBJECTIVES = pareto.parse(pareto.DEFAULT)


def _rows(found: Results) -> dict[str, Row]:
    return {row.point.label: row for row in found.rows}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, tuple[Point, ...], Results]:
    """Two networks of 8 and 3 bits on four chips: one knows no time, and one has hardly any memory."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "tiny.toml").write_text(
        'inherits = "unit"\nname = "tiny"\nsources.test = "this test"\n'
        'capacity.synapse = { value = 16, unit = "byte", kind = "assumed", source = "test" }\n'
    )
    chips = ("unit", "loihi2", "lemaire-45nm", str(folder / "tiny.toml"))
    store, points = space(folder / "store", ("sparse-n4-t1", "binary-t1"), (8, 3), chips)
    return store, points, sweep(store, points, OBJECTIVES)


def test_a_point_is_what_simulating_its_network_gives(swept: tuple[Store, tuple[Point, ...], Results]) -> None:
    store, _, found = swept
    row = _rows(found)["sparse-n4-t1-seed0, 3 bit, on unit"]
    (file,) = store.networks.glob("sparse-n4-t1-seed0-int3-*.safetensors")
    compiled = api.compile_file(file)
    samples = compiled.samples
    assert samples is not None
    assert samples.y is not None
    report = simulate(compiled.graph, samples.x[:32], samples.y[:32], load_chip("unit"))
    assert row.values == {
        "accuracy": report.accuracy,
        "energy": report.energy.dynamic.nominal,
        "total": report.energy.total.nominal,
        "latency": report.latency.seconds,
        "interval": report.latency.interval_seconds,
    }
    assert row.result is not None
    assert row.result["graph_digest"] == report.graph_digest
    assert row.result["totals"]["synaptic_operations"] == report.totals.synaptic_operations
    assert (row.samples, row.energy) == (32, report.energy.dynamic)


def test_networks_are_quantized_as_the_command_does(
    swept: tuple[Store, tuple[Point, ...], Results], tmp_path: Path
) -> None:
    (file,) = swept[0].networks.glob("binary-t1-seed0-int3-*.safetensors")
    out = tmp_path / "binary.safetensors"
    assert cli.main(["quantize", str(zoo.path("binary-t1")), "--bits", "3", "--out", str(out)]) == 0
    assert read_quantized(file).digest == read_quantized(out).digest


def test_nothing_is_computed_again_and_what_is_new_is(swept: tuple[Store, tuple[Point, ...], Results]) -> None:
    store, points, found = swept
    assert counted(store, "done") == {point.key: 1 for point in points}
    _, more = space(store.folder, ("sparse-n4-t1", "binary-t1"), (8, 3), ("unit", "loihi2"), ["power.static=1 mW,3 mW"])
    assert sweep(store, points, OBJECTIVES).to_json() == found.to_json()
    assert counted(store, "done") == {point.key: 1 for point in points}
    sweep(store, more[:2], OBJECTIVES)
    assert counted(store, "done") == {point.key: 1 for point in (*points, *more[:2])}


def test_the_same_sweep_elsewhere_gives_the_same_bytes(
    swept: tuple[Store, tuple[Point, ...], Results], tmp_path: Path
) -> None:
    model = tmp_path / "elsewhere" / "binary-t1-seed0.pt"
    model.parent.mkdir()
    shutil.copyfile(zoo.path("binary-t1"), model)
    store = Store.create(tmp_path / "store")
    points = plan([Source(str(model), samples=32)], Choice(), (3,), variants(["loihi2"], [], tmp_path))
    sweep(store, points, OBJECTIVES)
    known = {point.key: point for point in swept[1]}
    assert all(
        store.point(point.key).read_bytes() == swept[0].point(known[point.key].key).read_bytes() for point in points
    )


def test_what_does_not_fit_or_has_no_time_is_off_the_front(swept: tuple[Store, tuple[Point, ...], Results]) -> None:
    _, points, found = swept
    tiny = [row for row in found.rows if row.point.chip == "tiny"]
    assert len(tiny) == 4
    assert all(row.refused and row.refused.startswith("does not fit: ") for row in tiny)
    assert {row.point.chip for row in found.incomparable} == {"lemaire-45nm"}
    assert {row.point.chip for row in found.front} <= {"unit", "loihi2"}
    assert [row.number for row in found.front] == list(range(1, len(found.front) + 1))
    energies = [row.values["energy"] for row in found.front]
    assert energies == sorted(energies, key=lambda value: value or 0)
    whole = sweep(swept[0], points, pareto.parse(("accuracy", "energy")))
    assert not whole.incomparable


def test_each_chip_can_have_a_front_of_its_own(swept: tuple[Store, tuple[Point, ...], Results]) -> None:
    store, points, _ = swept
    apart = sweep(store, points, OBJECTIVES, per_chip=True)
    assert [row.number for row in apart.front] == list(range(1, len(apart.front) + 1))
    for chip in ("unit", "loihi2"):
        alone = sweep(store, [point for point in points if point.chip == chip], OBJECTIVES)
        assert [row.point for row in apart.front if row.point.chip == chip] == [row.point for row in alone.front]


def test_a_chip_without_a_price_is_a_finding_and_no_end(tmp_path: Path) -> None:
    text = (load_chip("unit").path).read_text()
    lines = [line for line in text.splitlines() if not line.startswith('message = { value = 1, unit = "pJ"')]
    (tmp_path / "unpriced.toml").write_text("\n".join(lines))
    store, points = space(tmp_path / "store", ("binary-t1",), (8,), (str(tmp_path / "unpriced.toml"), "unit"))
    first, second = sweep(store, points, OBJECTIVES).rows
    assert first.refused is not None
    assert first.refused.startswith("chip file unit: ")
    assert "performs 'message', which [prices] does not mention" in first.refused
    assert (first.result, first.number) == (None, None)
    assert (second.refused, second.number) == (None, 1)


def test_the_files_say_what_was_found(swept: tuple[Store, tuple[Point, ...], Results], tmp_path: Path) -> None:
    found = swept[2]
    paths = write(found, tmp_path)
    assert [path.name for path in paths] == ["sweep.json", "sweep.csv", "pareto.svg"]
    first = [path.read_bytes() for path in paths]
    write(found, tmp_path)
    assert [path.read_bytes() for path in paths] == first
    lines = list(csv.DictReader(io.StringIO(first[1].decode())))
    assert [line["key"] for line in lines] == [row.point.key for row in found.rows]
    for line, row in zip(lines, found.rows, strict=True):
        assert line["front"] == ("" if row.number is None else str(row.number))
        assert line["accuracy"] == ("" if row.values["accuracy"] is None else str(row.values["accuracy"]))
        assert line["latency"] == ("" if row.values["latency"] is None else str(row.values["latency"]))
        assert (line["network"], line["bits"], line["chip"]) == (row.point.network, str(row.point.bits), row.point.chip)
    document = json.loads(first[0])
    assert [point["front"] for point in document["points"]] == [row.number for row in found.rows]
    assert str(tmp_path.parent) not in first[0].decode()
    assert first[2].startswith(b"<?xml")


def test_a_killed_process_loses_nothing_and_nothing_is_computed_twice(tmp_path: Path) -> None:
    names, bits, chips = ("binary-t1",), (8, 4, 2), ("unit", "loihi2", "loihi2-scaled")
    store, points = space(tmp_path / "store", names, bits, chips)
    saboteur = Saboteur(store, done=len(points) // 2)
    saboteur.start()
    found = sweep(store, points, OBJECTIVES, named("processes", workers=2))
    saboteur.join()
    assert saboteur.key is not None, "nothing was killed"
    assert counted(store, "done") == {point.key: 1 for point in points}
    assert counted(store, "start")[saboteur.key] == 2
    here, same = space(tmp_path / "here", names, bits, chips)
    assert sweep(here, same, OBJECTIVES).to_json() == found.to_json()


def test_two_sweeps_at_once_share_the_work(tmp_path: Path) -> None:
    store, points = space(tmp_path / "store", ("sparse-n4-t1", "binary-t1"), (8, 4), ("unit", "loihi2"), samples=8)
    with ThreadPoolExecutor(2) as threads:
        orders = (points, points[::-1])
        both = [threads.submit(sweep, store, order, OBJECTIVES) for order in orders]
        first, second = (future.result() for future in both)
    assert counted(store, "start") == counted(store, "done") == {point.key: 1 for point in points}
    assert {row.point.key: row for row in first.rows} == {row.point.key: row for row in second.rows}


def test_what_changed_after_the_plan_is_named(tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    shutil.copyfile(zoo.path("binary-t1"), model)
    store = Store.create(tmp_path / "store")
    (point,) = plan([Source(str(model), samples=8)], Choice(), (8,), variants(["unit"], [], tmp_path))
    for name, what in (("graph", "model.pt"), ("chip", "unit"), ("version", "snn2chip")):
        task = Task(replace(point, identity={**point.identity, name: "other"}), str(store.folder), store.id)
        with pytest.raises(UserError, match=f"{what}: its {name} is not what it was when the sweep was planned"):
            evaluate(task)
    assert not list((store.folder / "points").iterdir())


def test_a_worker_that_sees_another_folder_says_so(tmp_path: Path) -> None:
    store, (point, *_) = space(tmp_path / "store", ("binary-t1",), (8,))
    for folder, mark in ((tmp_path / "nowhere", store.id), (store.folder, "of another store")):
        with pytest.raises(UserError, match="put --out on a file system that all workers share"):
            evaluate(Task(point, str(folder), mark))


def test_a_damaged_network_of_the_store_is_no_finding(tmp_path: Path) -> None:
    store, (point,) = space(tmp_path / "store", ("binary-t1",), (8,), samples=8)
    sweep(store, [point], OBJECTIVES)
    store.point(point.key).unlink()
    (file,) = store.networks.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    quantized._read.cache_clear()
    _, (point,) = space(store.folder, ("binary-t1",), (8,), samples=9)
    with pytest.raises(UserError, match=f"{file.name}: this is not a safetensors file, or it is damaged"):
        sweep(store, [point], OBJECTIVES)
    assert not store.has(point.key)


def test_a_point_that_kills_every_worker_ends_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    store, points = deadly(tmp_path)
    with pytest.raises(CheckFailed, match=r"3 times a worker process died .* the next is weights, 8 bit, on unit"):
        sweep(store, points, OBJECTIVES, named("processes", workers=1))
    assert sweep(store, points, OBJECTIVES).rows[0].energy is not None
