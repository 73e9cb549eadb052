"""A store holds what was computed, whoever is killed, and hands every point to one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snn2chip.errors import UserError
from snn2chip.sweep import store as module
from snn2chip.sweep.store import Store
from tests.sweep.watching import counted

KEY = "0" * 64

HOLD = """
import sys, time
from pathlib import Path
from snn2chip.sweep.store import Store
store = Store(Path(sys.argv[1]))
with store.claim(store.point(sys.argv[2])) as claimed:
    print(claimed, flush=True)
    time.sleep(60)
"""

#: Adds one to a number in a file, slowly, unless the result is there: what must never happen twice.
COUNT = """
import sys, time
from pathlib import Path
from snn2chip.sweep.store import Store
store = Store(Path(sys.argv[1]))
for key in sys.argv[2:]:
    with store.claim(store.point(key)):
        if not store.has(key):
            store.log("done", key)
            time.sleep(0.005)
            store.write(key, {})
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def test_a_claim_of_a_killed_process_is_free_again(store: Store) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, store.folder, KEY], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "True\n"
        with store.claim(store.point(KEY), wait=False) as claimed:
            assert not claimed
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with store.claim(store.point(KEY), wait=False) as claimed:
        assert claimed


def test_processes_that_race_compute_each_point_once(store: Store) -> None:
    keys = [f"{number:064d}" for number in range(40)]
    command = [sys.executable, "-c", COUNT, str(store.folder), *keys]
    racers = [subprocess.Popen(command) for _ in range(4)]
    assert [racer.wait() for racer in racers] == [0] * 4
    assert counted(store, "done") == dict.fromkeys(keys, 1)
    assert all(store.has(key) for key in keys)
    assert not list((store.folder / "claims").iterdir()), "what is done needs no claim"


def test_a_claim_is_kept_where_nothing_was_computed(store: Store) -> None:
    with store.claim(store.point(KEY)) as claimed:
        assert claimed
    assert (store.folder / "claims" / f"{KEY}.json").exists()


def test_a_result_comes_back_and_gives_the_same_bytes(store: Store) -> None:
    store.write(KEY, {"refused": None, "result": {"b": 1.5, "a": 2}})
    first = store.point(KEY).read_bytes()
    store.write(KEY, {"result": {"a": 2, "b": 1.5}, "refused": None})
    assert store.point(KEY).read_bytes() == first
    assert store.result(KEY)["result"] == {"a": 2, "b": 1.5}


@pytest.mark.parametrize("content", ["", "{}", '{"format": "snn2chip-sweep-1", "key": "another"}', "[]"])
def test_a_damaged_result_is_named(store: Store, content: str) -> None:
    store.point(KEY).write_text(content)
    with pytest.raises(UserError, match=f"points/{KEY}.json"):
        store.result(KEY)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="it exists and is no store of a sweep: choose another --out"):
        Store.create(tmp_path)
    with pytest.raises(UserError, match="it exists and is no store of a sweep"):
        Store.create(tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_store_is_found_again(store: Store) -> None:
    assert Store.create(store.folder).id == store.id
    (store.folder / "store.json").write_text('{"format": "snn2chip-sweep-9", "id": "x"}')
    with pytest.raises(UserError, match="it is no mark of a snn2chip-sweep-1 store"):
        Store.create(store.folder)


def test_a_store_that_another_sweep_is_making_is_joined(tmp_path: Path) -> None:
    (tmp_path / "points").mkdir()
    (tmp_path / ".store.json.half").write_text("{")
    first = Store.create(tmp_path)
    assert Store.create(tmp_path).id == first.id
    with ThreadPoolExecutor(8) as threads:
        made = threads.map(Store.create, [tmp_path / "many"] * 64)
    assert len({store.id for store in made}) == 1


def test_a_store_that_is_made_while_one_looks_is_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another sweep makes it, and begins, between this one's look at the mark and its look at the folder."""
    looked = module._strangers

    def meanwhile(folder: Path) -> list[str]:
        monkeypatch.undo()
        Store.create(folder).log("start", KEY)
        return looked(folder)

    monkeypatch.setattr(module, "_strangers", meanwhile)
    assert Store.create(tmp_path).id == Store(tmp_path).id
    assert (tmp_path / "log.jsonl").is_file()


def test_a_store_that_cannot_be_written_is_named(store: Store) -> None:
    store.log_file.mkdir()
    with pytest.raises(UserError, match=r"log\.jsonl: cannot be written: Is a directory"):
        store.log("start", KEY)
    (store.folder / "claims").rmdir()
    with (
        pytest.raises(UserError, match=f"claims/{KEY}.json: cannot be written: No such file or directory"),
        store.claim(store.point(KEY)),
    ):
        pass
    (store.folder / "file").write_text("")
    with pytest.raises(UserError, match="file/store: cannot be written: Not a directory"):
        Store.create(store.folder / "file" / "store")
