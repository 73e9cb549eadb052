"""docs/adding-a-chip.md, followed from beginning to end: its chip file, its commands, its arithmetic."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from snn2chip import api
from snn2chip.artifact import Samples
from snn2chip.cli import main
from snn2chip.errors import UserError
from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.chip import available_chips
from tests.hw.networks import chain, images, residual

GUIDE = (Path(__file__).parents[2] / "docs" / "adding-a-chip.md").read_text(encoding="utf-8")
SECTION = GUIDE.split("## A chip from its papers")[1].split("\n## ")[0]
ODIN = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)[0]
COMMANDS = re.findall(r"^\$ snn2chip (.*)$", SECTION, re.MULTILINE)


@pytest.fixture
def odin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the guide: its file, and an artifact of the network of hardware-models.md."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odin.toml"
    path.write_text(ODIN, encoding="utf-8")
    compiled = api.Compiled(chain(), "network", samples=Samples(np.array([[1, 0]], np.uint8)))
    api.write(compiled, load_chip("unit"), tmp_path / "build" / "network-unit", forms=())
    return path


def test_the_commands_of_the_guide(odin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [command.split()[0] for command in COMMANDS] == ["chips", "simulate"]
    for command in COMMANDS:
        assert main(shlex.split(command)) == 0
    printed = capsys.readouterr().out
    for number in load_chip(odin).summary.numbers:
        assert number.value in printed
    report = json.loads((odin.parent / "odin.json").read_text(encoding="utf-8"))
    network = report["networks"][0]
    assert network["energy"]["dynamic"]["nominal"] == pytest.approx(152.4e-12, rel=1e-9, abs=0)
    notes = " ".join(network["notes"])
    assert "Static power is unknown" in notes
    assert "it takes 2 cores, and the chip has 1" in notes
    assert "No price for barrier" in notes


def test_the_chip_is_none_of_those_shipped(odin: Path) -> None:
    assert load_chip(odin).name not in available_chips()


def test_what_the_chip_cannot_do_is_refused_by_name(odin: Path) -> None:
    without = "\n".join(line for line in ODIN.splitlines() if not line.startswith("delay_"))
    odin.write_text(without, encoding="utf-8")
    graph = residual(levels=1)
    with pytest.raises(UserError, match=r"performs 'delay_write', 'delay_read', which \[prices\] does not mention"):
        simulate(graph, images(graph), None, load_chip(odin))


def test_the_first_example_of_the_guide_is_a_chip(tmp_path: Path) -> None:
    path = tmp_path / "mychip.toml"
    path.write_text(re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)[0], encoding="utf-8")
    chip = load_chip(path)
    report = simulate(chain(), np.array([[1, 0]], np.uint8), None, chip)
    costs = {row.action: row.energy.nominal for row in report.totals.actions}
    assert costs["synaptic_operation"] == pytest.approx(12 * 4.6e-12, rel=1e-9, abs=0)
    assert costs["synapse_read"] == 0
