"""The fuzzer finds what is wrong, makes it small and keeps it; and everything that it once kept comes out right now."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from snn2chip.ops import MultiLevelIF
from tests.differential.strategies import Case, cases
from tests.fuzz.checks import CHECKS, Check, each
from tests.fuzz.crashers import FOLDER, load, save
from tests.fuzz.fuzz import hunt, main

QUICK = ("oracle", "engine", "document")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_kept_network_comes_out_right(path: Path) -> None:
    found_by, case = load(path)
    for name in {*QUICK, found_by}:
        CHECKS[name].compare([case])


@settings(max_examples=30)
@given(cases())
def test_what_is_kept_is_read_back(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found_by, read = load(save(case, "engine", "a test", Path(folder)))
    assert found_by == "engine"
    assert read.graph.digest == case.graph.digest
    assert read.inputs.dtype == np.uint8
    assert np.array_equal(read.inputs, case.inputs)


def _wrong_above_three_levels(drawn: Sequence[Case]) -> int:
    """Stands for an executor that is wrong wherever a neuron has more than three levels and there are two steps."""
    for case in drawn:
        many = [node for node in case.graph.of_kind(MultiLevelIF) if node.op.levels > 3]  # type: ignore[attr-defined]
        assert not (many and case.graph.steps > 1), "wrong spikes"
    return len(drawn)


def test_a_wrong_executor_is_caught_and_its_network_made_small(tmp_path: Path) -> None:
    wrong, right = Check(_wrong_above_three_levels, examples=100), Check(each(lambda case: True), examples=5)
    checks = {"wrong": wrong, "right": right}
    tallies = hunt(checks, seconds=0, first_seed=0, folder=tmp_path)
    assert tallies["right"].drawn == 5
    assert not tallies["right"].kept
    (path,) = tallies["wrong"].kept
    _, case = load(path)
    assert case.graph.steps == 2
    assert len(case.graph.of_kind(MultiLevelIF)) == 1
    assert len(case.graph.nodes) <= 6


def test_of_a_batch_only_the_culprits_are_kept(tmp_path: Path) -> None:
    wrong = Check(_wrong_above_three_levels, examples=20, batch=6, shrinks=False)
    kept = hunt({"wrong": wrong}, seconds=60, first_seed=0, folder=tmp_path)["wrong"].kept
    assert 1 <= len(kept) <= 6
    for path in kept:
        with pytest.raises(AssertionError, match="wrong spikes"):
            _wrong_above_three_levels([load(path)[1]])


def test_the_command_counts_what_it_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--seconds", "0", "--seed", "7", "--checks", *QUICK, "--keep", str(tmp_path)])
    assert code == 0
    line = capsys.readouterr().out
    assert "seed 7: networks compared: oracle 50 of 50, engine 50 of 50, document 20 of 20; nothing found" in line
    assert not list(tmp_path.iterdir())
