"""A sweep on a real Dask cluster, one worker of which is killed half-way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster

from snn2chip.errors import CheckFailed, UserError
from snn2chip.sweep import pareto
from snn2chip.sweep.schedulers import named
from snn2chip.sweep.sweep import sweep
from tests.sweep.spaces import deadly, space
from tests.sweep.watching import Saboteur, counted

OBJECTIVES = pareto.parse(pareto.DEFAULT)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as found:
        yield found


def test_a_killed_worker_loses_nothing_and_nothing_is_computed_twice(cluster: LocalCluster, tmp_path: Path) -> None:
    names, bits, chips = ("binary-t1",), (8, 4, 2), ("unit", "loihi2", "loihi2-scaled")
    store, points = space(tmp_path / "dask", names, bits, chips)
    saboteur = Saboteur(store, done=len(points) // 2)
    saboteur.start()
    found = sweep(store, points, OBJECTIVES, named(cluster.scheduler_address))
    saboteur.join()
    assert saboteur.key is not None, "nothing was killed"
    starts, ends = counted(store, "start"), counted(store, "done")
    assert ends == {point.key: 1 for point in points}
    assert starts == {point.key: 1 + (point.key == saboteur.key) for point in points}
    here, same = space(tmp_path / "here", names, bits, chips)
    assert sweep(here, same, OBJECTIVES).to_json() == found.to_json()


def test_a_network_that_changed_after_the_plan_is_named(cluster: LocalCluster, tmp_path: Path) -> None:
    store, (point, *_) = space(tmp_path / "store")
    object.__setattr__(point, "identity", {**point.identity, "graph": "another"})
    with pytest.raises(UserError, match="its graph is not what it was when the sweep was planned"):
        sweep(store, [point], OBJECTIVES, named(cluster.scheduler_address))


def test_an_address_without_a_scheduler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snn2chip.sweep.dask_cluster._TIMEOUT", "1s")
    store, points = space(tmp_path / "store")
    with pytest.raises(UserError, match=r"--scheduler tcp://127\.0\.0\.1:1: no Dask scheduler answers there"):
        sweep(store, points, OBJECTIVES, named("tcp://127.0.0.1:1"))


def test_a_point_that_kills_its_workers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    store, points = deadly(tmp_path)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        pytest.raises(CheckFailed, match="weights, 8 bit, on unit: the workers that computed it died"),
    ):
        sweep(store, points, OBJECTIVES, named(cluster.scheduler_address))
    assert not store.has(points[0].key)
