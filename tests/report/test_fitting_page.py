"""docs/fitting-prices.md, followed: its measurements, its command, what it prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from snn2chip import api, engine, zoo
from snn2chip.cli import main
from snn2chip.hw_models import load_chip, simulate
from snn2chip.report import EnergyReport

PAGE = (Path(__file__).parents[2] / "docs" / "fitting-prices.md").read_text(encoding="utf-8")
NETWORKS = {"a": "sparse-n4-t1", "b": "binary-t4", "c": "binary-t1", "d": "sew-n4-t1"}


def test_the_fit_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, network in NETWORKS.items():
        compiled = api.compile_file(zoo.path(network))
        assert compiled.samples is not None
        found = simulate(compiled.graph, compiled.samples.x, None, load_chip("loihi2"), execute=engine.run)
        Path(f"{name}.json").write_text(EnergyReport((found,)).to_json(), encoding="utf-8")
    (measurements,) = re.findall(r"^ *(report,joules\n(?: +\w\.json,.*\n)+)", PAGE, re.MULTILINE)
    Path("measured.csv").write_text(re.sub(r"(?m)^ +", "", measurements), encoding="utf-8")
    ((command, printed),) = re.findall(r"^\$ snn2chip (chips fit [^\n]*)\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == printed
    assert load_chip("mine.toml").summary.title == "Loihi 2, published structure, fitted to measurements"
