"""Prices from measured joules: made-up measurements at known prices, noise, and everything that cannot be fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn2chip import cli
from snn2chip.errors import UserError
from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.results import NetworkReport
from snn2chip.report import EnergyReport
from snn2chip.report.headline import cautions
from snn2chip.report.measured import fit, non_negative, read_measurements
from tests.hw.networks import chain, fading, graded_skip, images, residual
from tests.hw.networks import unit as unit_with

#: Times the price of chip unit, which is 1 pJ.
TRUE = {"synaptic_operation": 3.0, "message": 0.25}


def truth(network: NetworkReport, static: float = 1.0) -> float:
    """Joules at the true prices; static power `static` times that of the file."""
    assert network.energy.static is not None
    spent = sum(row.energy.nominal * TRUE.get(row.action, 1.0) for row in network.totals.actions)
    return spent + static * network.energy.static.nominal


@pytest.fixture(scope="module")
def networks() -> list[NetworkReport]:
    graphs = (chain(), graded_skip(), residual(), residual(steps=2, seed=3), fading())
    return [simulate(graph, images(graph), None, load_chip("unit")) for graph in graphs]


def written(folder: Path, networks: list[NetworkReport], joules: list[float]) -> Path:
    """The CSV and the reports that it names."""
    lines = ["report,joules"]
    for place, (network, value) in enumerate(zip(networks, joules, strict=True)):
        (folder / f"{place}.json").write_text(EnergyReport((network,)).to_json(), encoding="utf-8")
        lines.append(f"{place}.json,{value!r}")
    (folder / "measured.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "measured.csv"


def test_true_prices_are_found(networks: list[NetworkReport], tmp_path: Path) -> None:
    chip = load_chip("unit")
    measurements = read_measurements(written(tmp_path, networks, list(map(truth, networks))), chip)
    found = fit(chip, measurements, list(TRUE))
    for name, factor in TRUE.items():
        price = found.prices[name]
        assert (price.low, price.nominal, price.high) == pytest.approx([factor * 1e-12] * 3, rel=1e-9, abs=0)
    assert found.residuals == pytest.approx([0.0] * len(networks), abs=1e-9)
    assert found.before == tuple(network.energy.total.nominal for network in networks)


def test_the_static_power_is_one_of_them(networks: list[NetworkReport], tmp_path: Path) -> None:
    chip = load_chip("unit")
    path = written(tmp_path, networks, [truth(network, static=2.5) for network in networks])
    found = fit(chip, read_measurements(path, chip), [*TRUE, "static"])
    assert found.prices["static"].nominal == pytest.approx(2.5e-3)
    assert found.prices["message"].nominal == pytest.approx(0.25e-12, rel=1e-9, abs=0)


def test_the_static_power_is_that_of_one_chip(tmp_path: Path) -> None:
    """A network on several chips spends it on each: the fitted power gives the measured joules again."""
    chip = unit_with(tmp_path, structure__cores="1")
    networks = [simulate(graph, images(graph), None, chip) for graph in (chain(), residual())]
    assert all(network.placement and network.placement["chips"] > 1 for network in networks)
    joules = [network.energy.total.nominal + 1.5 * network.energy.static.nominal for network in networks]  # type: ignore[union-attr]
    found = fit(chip, read_measurements(written(tmp_path, networks, joules), chip), ["static"])
    assert found.prices["static"].nominal == pytest.approx(2.5e-3)
    assert found.residuals == pytest.approx([0.0] * len(networks), abs=1e-9)


def test_noise_shows_in_residuals_and_ranges(networks: list[NetworkReport], tmp_path: Path) -> None:
    chip, noise = load_chip("unit"), (1.02, 0.97, 1.03, 0.98, 1.01)
    joules = [truth(network) * factor for network, factor in zip(networks, noise, strict=True)]
    found = fit(chip, read_measurements(written(tmp_path, networks, joules), chip), ["synaptic_operation"])
    price = found.prices["synaptic_operation"]
    assert price.low < price.nominal < price.high
    assert 0 < max(map(abs, found.residuals)) < 1
    assert max(map(abs, found.residuals)) > 1e-3


def test_the_command_writes_a_chip_that_gives_the_measured_joules(
    networks: list[NetworkReport], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(tmp_path, networks, list(map(truth, networks))), tmp_path / "mine.toml"
    prices = [word for name in TRUE for word in ("--price", name)]
    assert cli.main(["chips", "fit", str(path), "--chip", "unit", *prices, "--out", str(out)]) == 0
    assert "residual" in capsys.readouterr().out
    mine = load_chip(out)
    assert (mine.name, mine.model) == ("mine", "neurocore")
    assert "fitted to 5 measured networks (largest residual 0.0 %)" in str(mine.scenario)
    price = mine.prices["message"].known
    assert price is not None
    assert price.kind == "derived"
    assert "fitted to 5 measured networks, measured.csv, sha256 " in price.source
    again = simulate(residual(), images(residual()), None, mine)
    own_note = (
        "synaptic_operation, message: fitted to measured joules. What is said of the prices of unit holds for the"
    )
    assert any(note.startswith(own_note) for note in again.notes)
    said = " ".join(cautions(EnergyReport((again,))))
    assert "message, synaptic_operation of mine came from a fit to measured joules" in said
    assert "No energy price" not in said
    assert again.energy.total.nominal == pytest.approx(truth(networks[2]), rel=1e-5, abs=0)
    child = tmp_path / "below" / "child.toml"
    child.parent.mkdir()
    again_written = written(child.parent, [again], [again.energy.total.nominal * 2])
    arguments = ["--chip", str(out), "--price", "synaptic_operation", "--out", str(child)]
    assert cli.main(["chips", "fit", str(again_written), *arguments]) == 0
    assert load_chip(child).prices["message"].known == price, "the file that was fitted is found from the new one"


@pytest.fixture
def unit() -> Chip:
    return load_chip("unit")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mesage"], r"--price mesage: unit has no such price \(did you mean 'message'\?\)"),
        (["leak_multiply"], r"--price leak_multiply: none of the networks performs it"),
        (["synapse_read", "message", "hop_x", "hop_y"], r"3 measurements cannot determine 4 prices"),
        (["accumulator_read", "accumulator_write"], r"cannot be told apart"),
        ([], r"there is nothing to fit"),
    ],
)
def test_what_cannot_be_fitted(
    networks: list[NetworkReport], tmp_path: Path, unit: Chip, names: list[str], message: str
) -> None:
    three = networks[:3]
    measurements = read_measurements(written(tmp_path, three, list(map(truth, three))), unit)
    with pytest.raises(UserError, match=message):
        fit(unit, measurements, names)


def test_a_price_that_would_be_free_is_refused(networks: list[NetworkReport], tmp_path: Path, unit: Chip) -> None:
    path = written(tmp_path, networks, [0.01 * network.energy.total.nominal for network in networks])
    with pytest.raises(UserError, match=r"--price message: the measurements come nearest with a price of 0"):
        fit(unit, read_measurements(path, unit), ["message"])


def test_chips_without_prices_of_their_own_are_refused(networks: list[NetworkReport]) -> None:
    with pytest.raises(UserError, match=r"dense-45nm prices by the size of memories"):
        fit(load_chip("dense-45nm"), [], ["multiply"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("network,joules\n", r"the first line must be 'report,joules'"),
        ("", r"the first line must be 'report,joules', not nothing"),
        ("PK\x03\x04" + 999 * "a", r"the first line must be 'report,joules', not 'PK\\x03\\x04a{1,40}$"),
        ("report,joules\n", r"it holds no measurement"),
        ("report,joules\n0.json\n", r"measured\.csv, line 2: two values are needed"),
        ("report,joules\n0.json,1e-6,3\n", r"measured\.csv, line 2: two values are needed"),
        ("report,joules\n0.json,1e-6\n0.json,-1\n", r"measured\.csv, line 3: joules is '-1'"),
        ("report,joules\n0.json,much\n", r"line 2: joules is 'much', but it must be a number above 0"),
        ("report,joules\nnone.json,1e-6\n", r"none\.json: no such file"),
    ],
)
def test_a_csv_that_is_none(networks: list[NetworkReport], tmp_path: Path, content: str, message: str) -> None:
    path = written(tmp_path, networks[:1], [1.0])
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_measurements(path, load_chip("unit"))


def test_a_csv_that_a_spreadsheet_wrote(networks: list[NetworkReport], tmp_path: Path) -> None:
    path = written(tmp_path, networks[:1], [1.0])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # a mark of the encoding
    assert [item.joules for item in read_measurements(path, load_chip("unit"))] == [1.0]


def test_a_report_of_another_chip_is_refused(networks: list[NetworkReport], tmp_path: Path) -> None:
    path = written(tmp_path, networks[:1], [1.0])
    with pytest.raises(UserError, match=r"line 2: 0\.json was simulated on unit, .* than loihi2: simulate it again"):
        read_measurements(path, load_chip("loihi2"))


entries = st.integers(-9, 9)


@given(st.lists(st.tuples(entries, entries, entries, entries), min_size=5, max_size=8))
def test_no_other_prices_come_nearer(rows: list[tuple[int, int, int, int]]) -> None:
    """The conditions of Karush, Kuhn and Tucker, which only the optimum meets."""
    values = np.array(rows, dtype=float)
    matrix, target = values[:, :3], values[:, 3]
    if np.linalg.matrix_rank(matrix) < 3:
        return
    x = non_negative(matrix, target)
    gradient = matrix.T @ (matrix @ x - target)
    assert (x >= 0).all()
    assert (gradient >= -1e-6).all()
    assert np.abs(gradient * x).max() < 1e-5
