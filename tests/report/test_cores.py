"""The picture of the cores: every core where it lies, as full as it is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import artifact, cli
from snn2chip.errors import UserError
from snn2chip.hw_models import simulate
from snn2chip.hw_models.changes import UNITS
from snn2chip.hw_models.chip import load_chip
from snn2chip.hw_models.fitting import fit
from snn2chip.hw_models.needs import LIMITS
from snn2chip.report import EnergyReport, html
from snn2chip.report.core_drawing import Shade, every_core, shades
from snn2chip.report.core_map import NAMES, CoreMap
from snn2chip.report.core_table import costliest
from snn2chip.report.cores import percent_of_limit, text
from snn2chip.report.cores_page import page
from snn2chip.report.drawing import NARROW
from snn2chip.report.tables import memory_energy
from snn2chip.report.timeline import shown, step_starts, timeline_figure
from snn2chip.report.units import count, quantity
from tests.hw.networks import chain, images, residual, unit


@pytest.fixture
def spread(tmp_path: Path) -> CoreMap:
    """5 neurons, 2 on a core: 3 cores on a chip of 2 tiles, one of which has 2 cores and the other 1, thus 1 chip."""
    chip = unit(
        tmp_path,
        limits__neurons_per_core="2",
        structure__cores="3",
        structure__cores_per_tile="2",
        structure__tile_columns="1",
    )
    return CoreMap.read(fit(chain(), chip), "fit.json")


def test_the_terminal_shows_bars_and_every_core(spread: CoreMap) -> None:
    lines = text(spread).splitlines()
    assert lines[0] == "cores: 3 of 3 cores on 1 chip 'variant', default placement"
    assert lines[2].split() == ["fullest", "core", "of", "cores", "neurons", "synapses"]
    assert re.match(r"  hidden +2  ██████ 100 %  +0 %$", lines[3])  # 2 neurons; 4 weights of 3 bits in a MiB
    assert re.match(r"  out +1  ██████ 100 %", lines[4])
    # hidden is cut into 1 and 2 neurons.
    assert lines[-2:] == ["    ▅█", "    █"]


def test_several_chips_are_drawn_one_by_one(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="1", structure__cores="4", structure__tile_columns="2")
    cores = CoreMap.read(fit(chain(), chip), "fit.json")
    shown = text(cores)
    assert "cores: 5 of 8 cores on 2 chips 'variant', default placement\n" in shown
    assert "does not fit: the network takes 5 cores and one chip has 4" in shown
    assert shown.endswith("  chip 0\n    █ █\n    █ █\n  chip 1\n    █ ·\n    · ·\n")
    drawn = page(cores, "chain")
    assert drawn.count("<svg") == 2
    assert (drawn.count('class="core"'), drawn.count('class="free"')) == (5, 3)


def test_a_broken_limit_shows(tmp_path: Path) -> None:
    cores = CoreMap.read(fit(chain(), unit(tmp_path, limits__axons_in_per_core="2")), "fit.json")
    assert re.search(r"\n  out .* ██████ 150 %", text(cores))
    assert "!" in text(cores).splitlines()[-8]
    assert page(cores, "chain").count('class="bar over"') == 1
    far = [replace(core, shares={limit: 1000 * share for limit, share in core.shares.items()}) for core in cores.cores]
    assert re.search(r"\n  out .* ██████ 150000 %", text(replace(cores, cores=tuple(far))))


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.5, "50 %"), (0.999, "99 %"), (1.0, "100 %"), (1.001, "101 %"), (2.5, "250 %")]
)
def test_nothing_is_full_or_broken_by_rounding(share: float, said: str) -> None:
    assert percent_of_limit(share) == said


def test_every_limit_has_a_name_and_a_place(spread: CoreMap) -> None:
    assert set(NAMES) == set(UNITS) == set(LIMITS)
    again = json.loads(json.dumps(fit(chain(), load_chip("loihi1-davies2018")), sort_keys=True))
    assert list(CoreMap.read(again, "fit.json").have) == [
        "neurons_per_core",
        "axons_in_per_core",
        "axons_out_per_core",
        "synapse_bits_per_core",
    ]
    assert list(spread.cores[0].needs) == list(spread.have)


def test_the_page_says_every_need_in_words(spread: CoreMap) -> None:
    drawn = page(spread, "<chain>")
    assert "Cores of &lt;chain&gt;" in drawn
    assert "core 1, chip 0, tile 0, 0: hidden\nneurons 2 of 2 (100 %)" in drawn
    assert drawn.count("<title>core ") == 3
    assert drawn == page(spread, "<chain>")
    assert not re.search(r"(src|href)=\"(?!data:)", drawn)


def test_every_core_stands_in_numbers_for_who_cannot_point(spread: CoreMap, tmp_path: Path) -> None:
    sheet = every_core(spread)
    assert sheet.names == ("core", "layer", "tile")
    assert sheet.numbers == ("neurons (of 2)", "synapses (of 1 MiB)")
    assert sheet.rows[1] == ("1", "hidden", "0,0", "2 (100 %)", "12 bit (0 %)")
    assert [row[2] for row in sheet.rows] == ["0,0", "0,0", "0,1"]
    chip = unit(tmp_path, limits__neurons_per_core="1", structure__cores="4", structure__tile_columns="2")
    several = every_core(CoreMap.read(fit(chain(), chip), "fit.json"))
    assert (several.names, several.rows[-1][:4]) == (("core", "layer", "chip", "tile"), ("4", "out", "1", "0,0"))
    assert all(f"<td>{row[-1]}</td>" in page(spread, "x").replace(' class="number"', "") for row in sheet.rows)


@pytest.fixture
def report(tmp_path: Path) -> EnergyReport:
    """5 neurons on a chip of one core each, timed in detail."""
    chip, graph = unit(tmp_path, limits__neurons_per_core="1", structure__cores="1"), chain()
    return EnergyReport((simulate(graph, images(graph), None, chip, timing="detailed"),))


def test_a_report_shows_where_its_network_lies(report: EnergyReport) -> None:
    drawn = html.page(report)
    assert "5 of 5 cores on 5 chips &#39;variant&#39;, default placement." in drawn
    assert drawn.count('aria-label="chip ') == drawn.count("<title>core ") == 3 * 5  # by need, energy and work
    assert re.findall(r"Chip 4: [^<]*</p>", drawn) == [
        "Chip 4: what each core needs of what it has</p>",
        "Chip 4: dynamic energy of each core</p>",
        "Chip 4: cycles that each core works</p>",
    ]
    array = replace(report.own, placement=None, cores=None)
    assert "lies on the chip" not in html.page(EnergyReport((array,)))


def test_the_darkest_core_has_most(report: EnergyReport) -> None:
    did = report.own.cores
    assert did is not None
    cores = CoreMap.of(report.own)
    assert cores is not None
    energy, work = shades(did)
    dearest = max(range(5), key=lambda core: did.energy[core].nominal)
    assert [energy.strength(core) for core in cores.cores if core.number == dearest] == [1.0]
    assert all(0.0 <= shade.strength(core) <= 1.0 for shade in (energy, work) for core in cores.cores)
    assert energy.words[dearest] == quantity(did.energy[dearest].nominal, "J")
    assert Shade("nothing", [0.0] * 5, [""] * 5).strength(cores.cores[0]) == 0.0


def test_the_costliest_cores_stand_in_a_table(report: EnergyReport) -> None:
    sheet, did = costliest(report.own), report.own.cores
    assert sheet is not None
    assert did is not None
    order = sorted(range(5), key=lambda core: (-did.energy[core].nominal, core))
    assert [row[0] for row in sheet.rows] == list(map(str, order))
    place = order[0]
    assert sheet.rows[0][2:4] == (str(place), "0,0")  # a chip each
    assert sheet.rows[0][-2] == quantity(did.energy[place].nominal, "J")
    assert sheet.rows[0][-3] == count(sum(did.cycles[place]))
    assert costliest(replace(report.own, placement=None, cores=None)) is None


def test_a_timeline_of_the_busiest_cores(report: EnergyReport) -> None:
    timing = report.own.detailed
    assert timing is not None
    cores, steps = shown(timing)
    assert (cores, steps) == ([0, 1, 2, 3, 4], len(timing.step_cycles))
    figure = timeline_figure(timing, NARROW)
    assert figure == timeline_figure(timing, NARROW)
    assert figure.count("<!-- core ") == 5
    assert all(f"<!-- {phase} -->" in figure for phase in ("taking in", "starved", "updating", "sending"))
    many = replace(timing, step_cycles=(1.0,) * 1000, cores=timing.cores * 8)
    assert len(shown(many)[0]) == 16
    assert 1 <= shown(many)[1] < 1000
    assert "The first" in html.page(EnergyReport((replace(report.own, detailed=many),)))
    assert "did when" not in html.page(EnergyReport((replace(report.own, detailed=None),)))


def test_a_timeline_shows_the_cores_that_work_longest(report: EnergyReport) -> None:
    timing = report.own.detailed
    assert timing is not None
    work = (np.arange(40) * 7 + 3) % 40  # every number once, in another order
    rows = tuple(
        replace(timing.cores[0], core=core, taking_in=float(work[core]), starved=1e6, updating=1.0, sending=1.0)
        for core in range(40)
    )
    assert shown(replace(timing, cores=rows))[0] == [core for core in range(40) if work[core] >= 24]


def test_the_steps_of_a_timeline_last_as_long_as_the_inference(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="1", structure__cores="8")
    timing = simulate(chain(), images(chain(), samples=1), None, chip, timing="detailed").detailed
    assert timing is not None
    assert timing.barrier_cycles > 0
    assert np.diff(step_starts(timing)).tolist() == list(timing.step_cycles)


def test_what_has_no_cores_says_why() -> None:
    with pytest.raises(UserError, match=r"fit\.json: there are no cores to show: the array model knows no cores"):
        CoreMap.read(fit(chain(), load_chip("dense-45nm")), "fit.json")
    with pytest.raises(UserError, match="the reset couples the levels"):
        CoreMap.read(fit(residual(steps=2), load_chip("loihi1-davies2018")), "fit.json")
    older = {key: value for key, value in fit(chain(), load_chip("unit")).items() if key != "map"}
    with pytest.raises(UserError, match="older versions wrote it: export it again"):
        CoreMap.read(older, "fit.json")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"map": 3}, "map of cores is damaged"),
        ({"chip": "\x1b[2J"}, "a text that cannot be printed"),
        ({"cores_per_chip": 10**12}, "as many chips as cores fill"),
        ({"chips": 10**9}, "as many chips as cores fill"),
        ({"map.layer": ["a"]}, "columns of unequal length"),
        ({"map.x": [0, 0, -1]}, "no whole numbers"),
        ({"map.x": [0, 0, 9]}, "cores that lie beside the mesh"),
        ({"map.y": [0, 0, 10**9]}, "cores that lie beside the mesh"),
        ({"map.y": [0, 0, 0]}, "cores that lie beside the mesh"),  # three on a tile of two
        ({"map.have": {"neurons_per_core": 0}}, "no whole number above 0"),
        ({"map.have": {"luck": 1}}, "limits that are unknown or without a need"),
        ({"map.cores_per_tile": None}, "no whole number above 0"),
    ],
)
def test_a_damaged_map_is_one_sentence(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    chip = unit(
        tmp_path,
        limits__neurons_per_core="2",
        structure__cores="3",
        structure__cores_per_tile="2",
        structure__tile_columns="1",
    )
    document = fit(chain(), chip)
    CoreMap.read(document, "fit.json")
    ((place, value),) = change.items()
    inside, _, key = place.rpartition(".")
    (document["map"] if inside else document)[key] = value
    with pytest.raises(UserError, match=says):
        CoreMap.read(document, "fit.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from snn2chip.api import Compiled, write

    path = tmp_path_factory.mktemp("artifacts") / "residual"
    write(Compiled(residual(), "residual"), load_chip("loihi2"), path, ())
    return path


def test_inspect_shows_the_cores_of_an_artifact(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(folder)]) == 0
    shown = capsys.readouterr().out
    kept = json.loads((folder / artifact.FIT).read_text(encoding="utf-8"))
    assert shown.endswith(text(CoreMap.read(kept, "fit.json")))
    assert "cores: 5 of 128 cores on 1 chip 'loihi2', default placement" in shown


def test_inspect_places_anew_on_request(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = tmp_path / "cores.html"
    arguments = ["inspect", str(folder), "--chip", "unit", "--placement", "optimised", "--html", str(drawn)]
    assert cli.main(arguments) == 0
    assert "on 1 chip 'unit', optimised placement" in capsys.readouterr().out
    assert "Cores of residual" in drawn.read_text(encoding="utf-8")
    assert cli.main(["inspect", str(folder), "--html", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")


def test_inspect_refuses_cores_of_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(folder / "graph.json"), "--html", "x.html"]) == 2
    assert "--html" in (said := capsys.readouterr().err)
    assert "is not an artifact: export it first, and name the folder" in said
    assert cli.main(["inspect", str(folder), "--html", str(folder / "x.html")]) == 2
    assert "lies inside" in capsys.readouterr().err
    assert cli.main(["inspect", str(folder), "--chip", "dense-45nm"]) == 2
    assert "there are no cores to show: the array model knows no cores" in capsys.readouterr().err


def test_memories_have_an_energy_where_they_have_a_price(report: EnergyReport) -> None:
    sheet, rows = memory_energy(report.own), report.own.totals.memories
    priced = {(row.memory, f"{row.word_bits} bit"): row.energy for row in rows}
    assert {row[:2] for row in sheet.rows} == set(priced)
    for memory, word, *_, nominal, _ in sheet.rows:
        energy = priced[memory, word]
        assert nominal == ("-" if energy is None else quantity(energy.nominal, "J"))
    unpriced = replace(report.own.totals, memories=tuple(replace(row, energy=None) for row in rows))
    assert not memory_energy(replace(report.own, totals=unpriced)).rows
