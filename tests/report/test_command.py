"""``snn2chip simulate`` with the outputs for papers and for CI, and its refusals: exit codes and sentences."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from snn2chip import api, cli, zoo
from snn2chip.artifact import Samples
from snn2chip.hw_models.chip import load_chip

EMPTY = ("--baseline", "none")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiled = api.compile_file(zoo.path("sparse-n4-t1"))
    assert compiled.samples is not None
    assert compiled.samples.y is not None
    few = Samples(compiled.samples.x[:8], compiled.samples.y[:8])
    smaller = api.Compiled(compiled.graph, compiled.name, compiled.class_names, compiled.training, few)
    return str(api.write(smaller, load_chip("loihi2"), tmp_path_factory.mktemp("own") / "own", forms=()).folder)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["simulate", *arguments]) == 2
    output, sentence = capsys.readouterr()
    assert output == ""
    assert sentence.startswith("snn2chip: ")
    assert sentence.count("\n") == 1
    return sentence


def test_a_limit_that_is_exceeded_exits_with_1(own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = str(tmp_path / "report.json")
    limits = ("--fail-if", "energy > 1 nJ", "--fail-if", "latency < 1 ps", "--fail-if", "events > 1")
    assert cli.main(["simulate", own, *EMPTY, *limits, "--json", written]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("snn2chip: sparse-n4-t1-seed0 on loihi2: energy is ")
    assert first.endswith("and --fail-if says 'energy > 1 nJ'")
    assert "events is " in second
    assert json.loads(Path(written).read_text())["networks"][0]["samples"] == 8, "the report is written all the same"
    assert cli.main(["simulate", own, *EMPTY, "--fail-if", "energy > 1 J"]) == 0


def test_a_condition_is_read_before_anything_is_done(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "the unit is 'uF'" in refused(capsys, own, "--fail-if", "energy > 5 uF")
    assert "'joules' is unknown" in refused(capsys, own, "--fail-if", "joules > 5 uJ")


def test_a_figure_that_the_model_does_not_know(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", own, *EMPTY, "--chip", "lemaire-45nm", "--fail-if", "latency > 1 us"]) == 2
    assert "has no latency: choose a chip whose model knows time" in capsys.readouterr().err


def test_everything_for_a_paper_and_the_same_bytes_twice(own: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        outputs = ("--json", str(folder / "r.json"), "--csv", str(folder / "r.csv"), "--latex", str(folder / "r.tex"))
        assert cli.main(["simulate", own, "--baseline", "qann-dense", "--chip", "lemaire-45nm", *outputs]) == 0
    names = {path.name for path in folders[0].iterdir()}
    assert names == {"r.json", "r.csv", "r.tex", "r.bib"}
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names)
    document = json.loads((folders[0] / "r.json").read_text())
    assert {"about", "break_even", "membrane", "energy_delay", "uncertainty"} <= set(document)
    assert document["comparisons"][0]["swings"][0]["number"] == "words.access"
    assert "cite from r.bib" in (folders[0] / "r.tex").read_text()
    assert "@inproceedings{jouppi2017" in (folders[0] / "r.bib").read_text()


def test_the_optimised_placement_is_that_of_ones_own(
    own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hops = []
    for placement in ("default", "optimised"):
        written = tmp_path / f"{placement}.json"
        arguments = ("--placement", placement, "--json", str(written))
        assert cli.main(["simulate", own, "--baseline", "qann-dense", *arguments]) == 0
        hops.append(json.loads(written.read_text())["networks"][0]["totals"]["hops"])
    assert 0 < hops[1] < hops[0]
    capsys.readouterr()
    assert cli.main(["simulate", own, *EMPTY, "--chip", "lemaire-45nm", "--placement", "optimised"]) == 2
    assert "chip lemaire-45nm: an optimised placement moves cores, and it has none" in capsys.readouterr().err


def test_the_csv_alone_on_standard_output(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", own, *EMPTY, "--csv", "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["network"] for row in rows] == ["sparse-n4-t1-seed0"]


def test_outputs_that_cannot_be(own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--json - and --csv - both want standard output" in refused(capsys, own, "--json", "-", "--csv", "-")
    assert "no place for the BibTeX" in refused(capsys, own, "--latex", "-")
    same = str(tmp_path / "one")
    assert f"--csv {same}: that is the file of --json" in refused(capsys, own, "--json", same, "--csv", same)
    assert "--latex one.txt: a LaTeX file is called something.tex" in refused(capsys, own, "--latex", "one.txt")
    text, bibliography = str(tmp_path / "one.tex"), str(tmp_path / "one.bib")
    assert "BibTeX of --latex" in refused(capsys, own, "--latex", text, "--csv", bibliography)


def test_what_is_not_there_is_said_at_once(own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere: no such folder" in refused(capsys, "nowhere")
    assert "there is no chip 'nonsense'" in refused(capsys, own, "--chip", "nonsense")
    assert "x.npz: no such file" in refused(capsys, own, "--input", str(tmp_path / "x.npz"))
    assert "baseline 'a': nope: no such folder" in refused(capsys, own, "--baseline", "a=nope")
    assert not list(tmp_path.iterdir())
