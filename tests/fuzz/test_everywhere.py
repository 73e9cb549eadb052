"""A fixed hundred networks through every program; `make fuzz` draws two thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from snn2chip.lava_environment import LavaEnvironment, require
from tests.fuzz.everywhere import Findings, Session, batches, main, summary


def test_the_same_networks_in_every_program(tmp_path: Path) -> None:
    assert isinstance(require(), LavaEnvironment)
    findings = Findings()
    for batch in batches(100, first_seed=1):
        Session(findings, tmp_path).all(batch)
    assert not findings.kept, summary(findings, 1, 0.0)
    assert findings.drawn == 100
    for program in ("oracle", "torch", "onnx in onnxruntime", "onnx in its reference evaluator"):
        assert findings.outcomes[program]["exact"] == 100, program
    assert findings.outcomes["nir in nirtorch"]["exact"] > 40
    assert sum(counter["exact"] for name, counter in findings.outcomes.items() if name.startswith("lava")) == 100


def test_no_network_is_drawn_twice() -> None:
    drawn = [case.graph.digest for batch in batches(130, first_seed=5) for case in batch]
    assert len(drawn) == len(set(drawn)) == 130


def test_what_comes_out_wrong_is_kept_and_ends_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(case: object) -> None:
        raise AssertionError("wrong spikes")

    monkeypatch.setattr("tests.fuzz.everywhere._engine", wrong)
    monkeypatch.setattr("snn2chip.lava_environment.find", lambda: None)
    record = tmp_path / "record.md"
    arguments = ["--networks", "2", "--seed", "1", "--keep", str(tmp_path / "kept"), "--record", str(record)]
    assert main(arguments) == 1
    assert len(list((tmp_path / "kept").glob("engine-*.json"))) == 2
    text = capsys.readouterr().out
    assert "| torch | 0 | 0 | 2 |" in text
    assert "Not installed here, not run: Lava's environment." in text
    assert record.read_text() == text
