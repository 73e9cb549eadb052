"""``snn2chip sweep`` as a user types it."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from snn2chip import zoo
from tests.commands import Command

#: Arguments to exit code, standard output and standard error.
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Run:
    monkeypatch.chdir(tmp_path)
    return partial(command, "sweep")


def _points(folder: Path = Path("build/sweep")) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_space_is_every_network_at_every_precision_on_every_chip(run: Run) -> None:
    space = ["--block", "ms", "--N", "4", "--T", "1", "--bits", "8,4", "--chip", "unit,loihi2", "--samples", "4"]
    code, out, err = run(*space, "--set", "limits.neurons_per_core=256,1024")
    assert (code, err) == (0, "")
    found = [(point["network"], point["bits"], point["chip"], point["settings"]) for point in _points()]
    assert found == [
        (f"{network}-seed0", bits, chip, f"limits.neurons_per_core={neurons}")
        for network in ("ms-n4-t1",)
        for bits in ("8", "4")
        for chip in ("unit", "loihi2")
        for neurons in ("256", "1024")
    ]
    assert "8 points; " in out
    assert "that no other beats in accuracy, energy, latency:" in out
    assert "build/sweep/sweep.json, build/sweep/sweep.csv, build/sweep/pareto.svg" in out
    cores = {(point["bits"], point["settings"]): int(point["cores"]) for point in _points() if point["chip"] == "unit"}
    assert cores["8", "limits.neurons_per_core=256"] > cores["8", "limits.neurons_per_core=1024"]
    assert {point["samples"] for point in _points()} == {"4"}
    table = [line.split()[0] for line in out.splitlines() if line[:1].isdecimal() and "points" not in line]
    assert sorted(table) == sorted(point["front"] for point in _points() if point["front"])


def test_cores_on_several_chips_say_on_how_many(run: Run) -> None:
    code, out, err = run("--block", "sew", "--samples", "1", "--set", "structure.cores=4")
    (point,) = _points()
    assert (code, err) == (0, "")
    assert int(point["chips"]) > 1
    assert f"  {point['cores']} on {point['chips']} chips  " in out
    assert out.startswith("1 point; ")


def test_a_second_sweep_reads_what_the_first_computed(run: Run) -> None:
    first = run("--block", "sew", "--samples", "8")
    log = Path("build/sweep/log.jsonl").read_text()
    assert run("--block", "sew", "--samples", "8") == first
    assert Path("build/sweep/log.jsonl").read_text() == log
    Path("build/sweep/pareto.svg").unlink()
    (result,) = Path("build/sweep/points").iterdir()
    result.unlink()
    assert run("--block", "sew", "--samples", "8") == first
    assert len(Path("build/sweep/log.jsonl").read_text().splitlines()) == 2 * len(log.splitlines())


def test_files_of_ones_own_and_inputs_of_ones_own(run: Run, tmp_path: Path) -> None:
    shutil.copyfile(zoo.path("binary-t1", 1), "mine.pt")
    rng = np.random.default_rng(0)
    np.savez("x.npz", x=rng.integers(0, 17, (5, 1, 8, 8), dtype=np.uint8))
    assert run("mine.pt", "--input", "x.npz", "--chip", "unit", "--objectives", "energy,latency")[0] == 0
    (point,) = _points()
    assert (point["network"], point["samples"], point["accuracy"], point["front"]) == ("mine", "5", "", "1")
    code, out, _ = run("mine.pt", "--input", "x.npz", "--chip", "unit")
    assert code == 0
    assert "0 that no other beats" in out
    assert "without one of accuracy, energy, latency, so compared with nothing: 1" in out
    networks = list(Path("build/sweep/networks").iterdir())
    assert run(str(networks[0]), "--input", "x.npz", "--chip", "unit", "--objectives", "energy,latency")[0] == 0
    (integer,) = _points()
    assert (integer["bits"], integer["energy"], integer["latency"]) == ("", point["energy"], point["latency"])


def test_seeds_and_data_sets_are_chosen(run: Run) -> None:
    assert run("--zoo", "event-digits", "--seeds", "2", "--N", "4", "--samples", "4", "--chip", "unit")[0] == 0
    assert [point["network"] for point in _points()] == ["sparse-n4-t1-seed2"]
    document = json.loads(Path("build/sweep/sweep.json").read_text())
    assert [point["steps"] for point in document["points"]] == [1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bits", "9"], "--bits 9: weights have 2 to 8 bits"),
        (["--bits", "four"], "--bits four: give whole numbers with commas between"),
        (["--N", "4,3"], "--N 3: no network has that (there are 1, 4, 7): train one and name it"),
        (["--T", "2"], "--T 2: no network has that (there are 1, 4)"),
        (["--block", "dense"], "--block dense: no network has that (there are ms, qann, sew, sparse, spiking)"),
        (["--N", "4", "--T", "4"], "no network is left: --N, --T and --block together exclude all of them"),
        (["--chip", "loihi3"], "there is no chip 'loihi3'"),
        (["--set", "limits.neurons_per_core"], "--set limits.neurons_per_core: write SECTION.KEY=VALUE,VALUE"),
        (["--set", "limits.neurons=5"], "--set limits.neurons=5 on loihi2: [limits] neurons is no key"),
        (["--objectives", "speed,energy"], "--objectives speed: this is unknown"),
        (["--scheduler", "slurm"], "--scheduler slurm: choose local, processes, or the address of a Dask scheduler"),
        (["--workers", "2"], "--workers has no effect without --scheduler processes"),
        (["--scheduler", "processes", "--workers", "0"], "--workers 0: give 1 or more"),
        (["--samples", "0"], "--samples 0: give 1 or more"),
        (["--zoo", "mnist"], "--zoo mnist: there are shipped networks of digits, event-digits"),
        (["--seeds", "7"], "No shipped checkpoint 'barrier-surrogate-n4-t1' with seed 7"),
        (["none.pt"], "none.pt: no such file: name a model file or the folder of an artifact"),
        (["none.pt", "--seeds", "1"], "--zoo and --seeds choose among the shipped networks"),
        (["--input", "none.npz"], "none.npz: no such file"),
        (["--calibration", "none.npz"], "none.npz: no such file"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing_behind(run: Run, arguments: list[str], sentence: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("snn2chip: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert not list(Path().iterdir())


def test_a_folder_of_something_else_is_left_alone(run: Run) -> None:
    Path("thesis").mkdir()
    Path("thesis/text.tex").write_text("mine")
    code, _, err = run("--out", "thesis")
    assert (code, err) == (
        2,
        "snn2chip: thesis: it exists and is no store of a sweep: choose another --out, or remove it\n",
    )
    assert [path.name for path in Path("thesis").iterdir()] == ["text.tex"]


def test_a_missing_dask_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, _, err = run("--scheduler", "tcp://127.0.0.1:8786")
    assert code == 2
    assert (
        err == "snn2chip: --scheduler tcp://127.0.0.1:8786 needs Dask: install it with pip install 'snn2chip[dask]'\n"
    )
    assert not list(Path().iterdir())


def test_an_artifact_that_is_only_read_takes_no_store(run: Run) -> None:
    Path("artifact").mkdir()
    code, _, err = run("artifact", "--out", "artifact/sweep")
    assert (code, err.count("\n")) == (2, 1)
    assert "--out artifact/sweep: it lies inside artifact, an artifact that is only read" in err
    assert not list(Path("artifact").iterdir())
