"""CSV, LaTeX and BibTeX: plain numbers, nothing that LaTeX would trip over, and only what was run."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models import load_chip
from snn2chip.ops import Add, Input, Linear, MultiLevelIF, Readout
from snn2chip.report import EnergyReport, read
from snn2chip.report.about import Footprint, Source, about, footprint
from snn2chip.report.latex import escaped
from snn2chip.report.paper import COLUMNS, bibtex_text, csv_text, latex_text
from tests.hw.networks import chain, fading, residual
from tests.report.builder import full_report


@pytest.fixture
def report() -> EnergyReport:
    """The six networks with the sources of the chips that are called so; the second has no record of its training."""
    plain = full_report()
    training = {"epochs": 60, "dataset": "digits", "seed": 0}
    facts = [
        about(residual(), {} if place == 1 else training, load_chip(item.chip.name).sources)
        for place, item in enumerate(plain.networks)
    ]
    return replace(plain, about=tuple(facts))


def test_a_csv_row_per_network_with_plain_numbers(report: EnergyReport) -> None:
    header, *rows = csv.reader(io.StringIO(csv_text(report)))
    assert tuple(header) == COLUMNS
    assert {len(row) for row in rows} == {len(COLUMNS)}
    found = [dict(zip(header, row, strict=True)) for row in rows]
    for item, row in zip(report.networks, found, strict=True):
        assert row["network"] == item.label
        assert float(row["dynamic_J"]) == item.energy.dynamic.nominal
        assert float(row["events"]) == item.totals.events_out
    assert found[0]["ratio"] == "1.0"
    assert report.comparisons[0].dynamic is not None
    assert float(found[1]["ratio_high"]) == report.comparisons[0].dynamic.high
    assert [row["latency_s"] for row in found[-2:]] == ["", ""], "what a model does not know is empty and not zero"
    assert [row["origin"] for row in found[:3]] == ["trained", "unknown", "trained"]


def test_every_table_of_the_latex_is_whole(report: EnergyReport) -> None:
    text = latex_text(report, "paper.bib")
    found = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(found) >= 4
    for columns, body in found:
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) > 1
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(columns) - 1}
    assert text.count("\\begin{table*}") == text.count("\\end{table*}") == len(found)
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert text.replace("\\$", "").count("$") % 2 == 0
    assert text.isascii(), "units and signs are written so that every LaTeX reads them"


def test_the_paragraph_says_what_was_run(report: EnergyReport) -> None:
    text = latex_text(report, "paper.bib")
    assert f"executed on 450 samples with snn2chip {report.tool_version}~\\cite{{snn2chip}}" in text
    assert "Trained (60 epochs of digits from seed 0): sparse N=4 T=1, binary N=1 T=1" in text
    assert "Of unknown training: binary N=1 T=4." in text
    assert "Its scenario: the prices of Loihi 1." in text
    assert "450 test images of scikit-learn's digits" in text


def test_every_citation_has_an_entry_and_every_entry_a_citation(report: EnergyReport) -> None:
    text, entries = latex_text(report, "paper.bib"), bibtex_text(report)
    cited = {key for found in re.findall(r"\\cite\{([^}]+)\}", text) for key in found.split(",")}
    known = re.findall(r"^@\w+\{([^,]+),", entries, re.MULTILINE)
    assert len(known) == len(set(known))
    assert cited == set(known)
    assert {"snn2chip", "davies2018", "horowitz2014"} <= cited
    assert "author = {M. Davies and others}" in entries
    assert "title = {{Loihi: A Neuromorphic Manycore Processor with On-Chip Learning}}" in entries
    assert "convention of this file" in text
    assert "convention" not in entries


def test_one_key_for_two_texts_is_told_apart(report: EnergyReport) -> None:
    other = replace(report.about[1], sources=(Source("davies2018", "N. Obody, Another Title, 2019"),))
    changed = replace(report, about=(report.about[0], other, *report.about[2:]))
    entries = bibtex_text(changed)
    assert "@misc{davies2018," in entries
    assert "@misc{davies2018-2,\n  author = {N. Obody}" in entries


def test_special_letters_are_escaped() -> None:
    assert escaped(r"50 % of a_b & {c} \d #1 $2 ~^ µ×†") == (
        r"50 \% of a\_b \& \{c\} \textbackslash{}d \#1 \$2 \textasciitilde{}\textasciicircum{} $\mu$$\times$$\dagger$"
    )
    assert escaped("naïve") == "naïve"


def test_the_footprint_by_hand() -> None:
    # 3x2 weights up to 3 (3 bit signed), 2x3 weights up to 1 (2 bit), 3 thresholds
    found = footprint(chain())
    assert (found.weights, found.constants) == (6 * 3 + 6 * 2, 3 * 32)
    assert found.state > 0
    assert found.total == found.weights + found.constants + found.state
    assert footprint(residual()).state == 0, "at T = 1 nothing is kept"
    assert footprint(fading()).state > 0


def test_weights_that_feed_two_populations_are_stored_once() -> None:
    """-128 to 3 takes 8 bits, and the weight 1 takes 2; two thresholds."""
    graph = Graph(
        (
            Node("x", Input((2,), 3)),
            Node("l", Linear(frozen(np.array([[-128, 3]]), np.int8), None), ("x",)),
            Node("a", MultiLevelIF(frozen(np.array([5]), np.int32), 1), ("l",)),
            Node("b", MultiLevelIF(frozen(np.array([9]), np.int32), 1), ("l",)),
            Node("s", Add(), ("a", "b")),
            Node("fc", Linear(frozen(np.array([[1]]), np.int8), None), ("s",)),
            Node("o", Readout(), ("fc",)),
        ),
        1,
    )
    assert footprint(graph) == Footprint(weights=2 * 8 + 1 * 2, constants=2 * 32, state=0)


def test_about_comes_back(report: EnergyReport, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(report.to_json(), encoding="utf-8")
    assert read(tmp_path / "report.json") == report


def test_what_is_derived_is_called_so() -> None:
    graph = chain()
    assert about(graph, {}, {}).origin == "unknown"
    assert about(graph, {"epochs": 3}, {}).history == "3 epochs"
    derived = about(graph, {"epochs": 3}, {}, "own, executed otherwise")
    assert (derived.origin, derived.history) == ("derived", "own, executed otherwise")
    assert isinstance(derived.footprint, Footprint)
    assert np.all([len(source.key) for source in about(graph, {}, load_chip("loihi2").sources).sources])
