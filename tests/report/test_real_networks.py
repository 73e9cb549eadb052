"""The report of real simulations: shipped networks of handwritten digits on shipped chips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snn2chip import api, engine, simulation, zoo
from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.results import NetworkReport
from snn2chip.report import EnergyReport, read
from snn2chip.report.headline import headline
from snn2chip.report.html import page as render_page
from snn2chip.report.summaries import operations
from snn2chip.report.terminal import text as render_text
from snn2chip.report.units import count
from snn2chip.simulation import ANN_CHIPS
from tests.report.test_page import PICTURE

IMAGES = 20


def _simulated(network: str, chip: str) -> NetworkReport:
    compiled = api.compile_file(zoo.path(network))
    assert compiled.samples is not None
    assert compiled.samples.y is not None
    images, labels = compiled.samples.x[:IMAGES], compiled.samples.y[:IMAGES]
    return simulate(compiled.graph, images, labels, load_chip(chip), label=network, execute=engine.run)


PAIRS = [
    ("sparse-n4-t1", "unit"),
    ("sparse-n4-t1", "loihi2"),
    ("sparse-n4-t1", "lemaire-45nm"),
    ("binary-t4", "loihi1-davies2018"),
]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: pair[1])
def report(request: pytest.FixtureRequest) -> EnergyReport:
    own, chip = request.param
    ann = _simulated("qann-3bit", "dense-45nm-zero-skipping")
    return EnergyReport((_simulated(own, chip), _simulated("binary-t1", chip), ann))


def test_json_comes_back(report: EnergyReport, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(report.to_json(), encoding="utf-8")
    assert read(tmp_path / "report.json") == report


def test_ratios_agree_with_the_energies(report: EnergyReport) -> None:
    for comparison, other in zip(report.comparisons, report.baselines, strict=True):
        assert comparison.dynamic is not None
        ratio = other.energy.dynamic.nominal / report.own.energy.dynamic.nominal
        assert comparison.dynamic.nominal == pytest.approx(ratio)
        assert comparison.dynamic.low <= comparison.dynamic.nominal <= comparison.dynamic.high
    assert [comparison.same_chip for comparison in report.comparisons] == [True, False]


@pytest.mark.parametrize("width", [80, 120])
def test_text_names_every_layer(report: EnergyReport, width: int) -> None:
    text = render_text(report, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert all(layer.name in text for layer in report.own.layers)


def test_page_draws_every_figure(report: EnergyReport) -> None:
    page = render_page(report)
    uncertain = report.own.chip.name != "unit"  # its prices are exact, and so are its ratios
    assert len(PICTURE.findall(page)) == (12 if uncertain else 8)
    assert headline(report).split()[0] in page


def test_an_array_that_skips_zeros_multiplies_less() -> None:
    dense, skipping = (_simulated("qann-3bit", chip) for chip in ANN_CHIPS)
    assert dense.totals.synaptic_operations == skipping.totals.synaptic_operations
    products = [operations(network.totals, network) for network in (dense, skipping)]
    assert products[0] > 1.5 * products[1] > 0
    shown = render_text(EnergyReport((dense, skipping)), 120).split("Energy of one")[0]
    for value in products:
        assert f" {count(value)}† " in shown


def test_progress_names_the_chip_of_each_network_once(tmp_path: Path) -> None:
    compiled = api.compile_file(zoo.path("binary-t1"))
    assert compiled.samples is not None
    np.savez(tmp_path / "few.npz", x=compiled.samples.x[:2])
    api.write(compiled, load_chip("loihi2"), tmp_path / "own")
    told: list[str] = []
    simulation.simulate(tmp_path / "own", inputs=tmp_path / "few.npz", baselines=["qann"], report=told.append)
    assert told == [f"{compiled.name} on loihi2", "qann on dense-45nm", "qann on dense-45nm-zero-skipping"]


def test_no_number_is_invalid_json(report: EnergyReport) -> None:
    json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in the document"))
