"""CSV, LaTeX and BibTeX: plain numbers, nothing that LaTeX would trip over, and only what was run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models import available_chips, load_chip, simulate
from snn2chip.hw_models.results import NetworkReport, SourcedPrice
from snn2chip.ops import Add, Input, Linear, MultiLevelIF, Readout
from snn2chip.report import EnergyReport, read
from snn2chip.report.about import Footprint, Source, about, footprint
from snn2chip.report.latex import escaped, prose
from snn2chip.report.paper import COLUMNS, bibtex_text, csv_text, latex_text
from snn2chip.report.publications import PUBLICATIONS
from snn2chip.report.summaries import kinds
from tests.hw.networks import chain, fading, images, residual
from tests.report.builder import full_report, network


@pytest.fixture
def report() -> EnergyReport:
    """The six networks with the sources of the chips that are called so; the second has no record of its training."""
    plain = full_report()
    training = {"epochs": 60, "dataset": "digits", "seed": 0}
    facts = [
        about(residual(), {} if place == 1 else training, load_chip(item.chip.name).sources)
        for place, item in enumerate(plain.networks)
    ]
    return replace(plain, about=tuple(facts), networks=tuple(map(with_numbers, plain.networks)))


def with_numbers(network: NetworkReport) -> NetworkReport:
    """The network with the numbers of the chip that is called so, for what is cited are their sources."""
    return replace(network, chip=replace(network.chip, numbers=load_chip(network.chip.name).summary.numbers))


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


ODD = "[2pt] _a%b& #1 $x$ ~^\\{y}* <<|>> \"q\" ''--`` 1..2 naïve µΣθ≤\n\nb"


def parsed(text: str) -> list[tuple[str, list[list[str]]]]:
    """Columns and rows of every table, after what has to hold of all of LaTeX that is written."""
    assert text.count("\\begin{table*}") == text.count("\\end{table*}")
    plain = re.sub(r"\\[{}]", "", re.sub(r"(?m)^%.*$", "", text))
    assert plain.count("{") == plain.count("}")
    assert text.replace("\\$", "").count("$") % 2 == 0
    assert "\n\n" not in text, "a paragraph ends a caption"
    found = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}\}", text, re.DOTALL)
    assert len(found) == text.count("\\begin{table*}") == text.count("\\resizebox{\\ifdim\\width>\\linewidth ")
    tables = []
    for columns, body in found:
        lines = [line for line in body.splitlines() if line not in ("\\toprule", "\\midrule", "\\bottomrule")]
        assert all(line.endswith(r" \\") for line in lines)
        tables.append((columns, [re.split(r"(?<!\\)&", line.removesuffix(r" \\")) for line in lines]))
    for line in (line for _, body in found for line in body.splitlines()):
        assert not line.startswith(("[", "*")), "an option of the row above"
    return tables


def test_every_table_of_the_latex_is_whole(report: EnergyReport) -> None:
    text = latex_text(report, "paper.bib")
    found = parsed(text)
    assert len(found) >= 4
    for columns, rows in found:
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(columns)}
    assert "\\label{tab:paper-costs}" in text
    assert "\\label{tab:my-50-r-sum-costs}" in latex_text(report, "my 50% résum.bib")
    assert text.isascii(), "units and signs are written so that every LaTeX reads them"


def test_names_with_anything_in_them_are_printed_letter_for_letter(report: EnergyReport) -> None:
    own = replace(report.own, label=ODD)
    text = latex_text(replace(report, networks=(own, *report.networks[1:])), "paper.bib")
    assert {len(row) for _, rows in parsed(text) for row in rows} == {3 + 4, 2 + 7, 1 + 6, 2 + 2}
    specials = r"(?<!\\)[#&_%](?![^\n]*\n?%)"
    names = [rows[1][0] for _, rows in parsed(text)]
    assert all(name.startswith("{[}2pt] \\_a\\%b\\& \\#1 \\$x\\$ ") for name in names)
    assert not any(re.search(specials, name) for name in names)
    assert "$<$$<$$|$$>$$>$ ''q'' '{}'-{}-\\textasciigrave{}" in names[0]
    assert "1--2 naïve $\\mu$$\\Sigma$$\\theta$$\\le$ b" in names[0]
    assert "XeLaTeX" not in text


def test_letters_that_pdflatex_does_not_know_are_named(report: EnergyReport) -> None:
    own = replace(report.own, label="脉冲 网 и")
    written, head = latex_text(replace(report, networks=(own, *report.networks[1:])), "paper.bib").splitlines()[:2]
    assert "\\usepackage[T1]{fontenc}" in written
    assert "fontenc" not in latex_text(report, "paper.bib")
    assert head == "% For XeLaTeX or LuaLaTeX with a font that has these letters, which pdfLaTeX does not know: и冲网脉"


def test_a_name_is_no_formula_to_a_spreadsheet(report: EnergyReport) -> None:
    for label in ("=1+1", "+1", "-x", "@cmd|' /C calc'!A0", "\tx", " =x"):
        own = replace(report.own, label=label)
        text = csv_text(replace(report, networks=(own, *report.networks[1:])))
        assert next(csv.DictReader(io.StringIO(text, newline="")))["network"] == f"'{label}"
    assert "'sparse" not in csv_text(report)


def test_a_name_of_two_lines_stays_in_its_row(report: EnergyReport) -> None:
    own = replace(report.own, label='a\r\nb, "c"')
    rows = list(csv.reader(io.StringIO(csv_text(replace(report, networks=(own, *report.networks[1:]))), newline="")))
    assert rows[1][0] == 'a b, "c"'
    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_the_paragraph_says_what_was_run(report: EnergyReport) -> None:
    text = latex_text(report, "paper.bib")
    assert f"executed on 450 samples with snn2chip {report.tool_version}~\\cite{{snn2chip}}" in text
    assert "Trained (60 epochs of digits from seed 0): sparse N=4 T=1, binary N=1 T=1" in text
    assert "Of unknown training: binary N=1 T=4." in text
    assert "Its scenario: the prices of Loihi 1." in text
    assert "450 test images of scikit-learn's digits" in text
    assert "Cores in use on loihi2: sparse N=4 T=1: 18, binary N=1 T=4: 18, " in text
    assert "Times on loihi2 are a lower bound" in text
    assert "every uncertain number may lie anywhere in its range, in both networks alike." in text
    assert "on dense-45nm are" not in text, "it has no cores"
    remarks = [line for line in text.splitlines() if line.startswith("% ") and "Energies rest on" in line]
    assert remarks == ["% loihi2, dense-45nm, dense-45nm-zero-skipping: Energies rest on assumed prices."]


def test_the_paragraph_says_what_was_rewritten_timed_and_spread(report: EnergyReport) -> None:
    unary = replace(report.own, form="unary", placement={"fits": False, "cores": 300, "chips": 3})
    text = latex_text(EnergyReport((unary,)), "paper.bib")
    broken = {"fits": False, "cores": 7, "chips": 1, "broken": [{"limit": "axons_in_per_core"}]}
    tight = latex_text(EnergyReport((replace(unary, placement=broken),)), "paper.bib")
    assert "Cores in use on loihi2: sparse N=4 T=1: 7, if their limits were wider." in tight
    assert "Spikes carry no values on loihi2: each neuron of N levels was rewritten there into N binary neurons" in text
    assert "Cores in use on loihi2: sparse N=4 T=1: 300 on 3 chips." in text
    assert "rewritten" not in latex_text(report, "paper.bib")
    graph = chain()
    timed = simulate(graph, images(graph), None, load_chip("unit"), timing="detailed")
    text = latex_text(EnergyReport((timed,)), "paper.bib")
    assert "Times on unit follow every message through links, buffers and cores." in text
    assert "lower bound: in each step" not in text
    formula = simulate(graph, images(graph), None, load_chip("lemaire-45nm"))
    text = latex_text(EnergyReport((formula,)), "paper.bib")
    assert "prices arithmetic and, by its size, each access to one memory per tensor" in text
    assert not any(word in text for word in ("Cores in use", "Times on", "Static energy on"))


def test_every_citation_has_an_entry_and_every_entry_a_citation(report: EnergyReport) -> None:
    text, entries = latex_text(report, "paper.bib"), bibtex_text(report)
    cited = {key for found in re.findall(r"\\cite\{([^}]+)\}", text) for key in found.split(",")}
    known = re.findall(r"^@\w+\{([^,]+),", entries, re.MULTILINE)
    assert len(known) == len(set(known))
    assert cited == set(known)
    assert {"snn2chip", "davies2018", "horowitz2014"} <= cited
    assert "convention of this file" in text
    assert "convention" not in entries


def test_publications_of_the_shipped_chips_have_whole_entries() -> None:
    """All but Intel's brief, which the chip files say everything of; each once, whatever detail a file adds."""
    graph = chain()
    facts = tuple(about(graph, {}, load_chip(name).sources) for name in available_chips())
    networks = tuple(with_numbers(network(name, chip_name=name)) for name in available_chips())
    entries = bibtex_text(EnergyReport(networks, about=facts)).split("\n\n")
    kinds = [entry[: entry.index("{")] for entry in entries]
    titles = [re.search(r"  title = (.*),\n", entry) for entry in entries]
    assert len({found.group(1) for found in titles if found}) == len(entries)
    assert sorted(kinds) == ["@article"] * 2 + ["@inproceedings"] * 4 + ["@misc"] * 2
    for entry in entries:
        assert entry.startswith("@misc") or "  doi = {10." in entry
        assert entry.startswith("@misc") or "  pages = {" in entry or "Article 23" in entry
        assert entry.count("{") == entry.count("}")
    assert "author = {{Intel Labs}}" in "".join(entries)
    assert set(PUBLICATIONS) <= {title for name in available_chips() for title in _titles(load_chip(name).sources)}


def _titles(sources: Mapping[str, str]) -> set[str]:
    return {title for text in sources.values() for title in PUBLICATIONS if f", {title}, " in text}


def sourced(report: EnergyReport, *sources: Source) -> EnergyReport:
    """Its third network on a chip of its own, whose numbers have these sources."""
    numbers = tuple(SourcedPrice(f"prices.{key.text}", "1 pJ", "assumed", f"{key.text} (a note)") for key in sources)
    chip = replace(report.own.chip, name="mine", digest="m" * 64, numbers=numbers)
    networks = (report.own, replace(report.networks[1], chip=chip))
    return replace(report, networks=networks, about=(report.about[0], replace(report.about[1], sources=sources)))


def test_one_key_for_two_titles_is_told_apart(report: EnergyReport) -> None:
    entries = bibtex_text(sourced(report, Source("davies2018", "N. Obody, Another Title, 2019")))
    assert "@article{davies2018," in entries
    assert "@misc{davies2018-2,\n  author = {N. Obody},\n  title = {{Another Title}},\n  year = {2019}\n}" in entries


def test_what_a_chip_file_says_of_a_publication_becomes_its_entry(report: EnergyReport) -> None:
    text = "N. Obody et al., A 50 % {better} chip, arXiv 2010.13107, 2021, table 2"
    entries = bibtex_text(sourced(report, Source("my source, {of} 50%", text), Source("snn2chip", "A. B, Own, 2020")))
    assert "@misc{my-source-of-50-,\n  author = {N. Obody and others},\n" in entries
    assert "  title = {{A 50 \\% \\textbraceleft{}better\\textbraceright{} chip}},\n" in entries
    assert "  note = {arXiv 2010.13107, table 2},\n  year = {2021}\n}" in entries
    assert "@misc{snn2chip-2,\n  author = {A. B},\n  title = {{Own}}" in entries


def test_what_is_included_or_absent_counts_as_no_number() -> None:
    chip = load_chip("loihi2").summary
    numbers = [number for number in chip.numbers if not number.value.startswith(("included in", "absent"))]
    said = re.findall(r"(\d+) [a-z-]+", kinds(replace(network("x"), chip=chip)))
    assert sum(map(int, said)) == len(numbers) < len(chip.numbers)


def test_special_letters_are_escaped() -> None:
    assert escaped(r"50 % of a_b & {c} \d #1 $2 ~^ µ×†") == (
        r"50 \% of a\_b \& \textbraceleft{}c\textbraceright{} \textbackslash{}d \#1 \$2 "
        r"\textasciitilde{}\textasciicircum{} $\mu$$\times$$\dagger$"
    )
    assert escaped("naïve") == "naïve"
    assert escaped("αμςω ΓΩ") == r"$\alpha$$\mu$$\varsigma$$\omega$ $\Gamma$$\Omega$"


def test_figures_are_tied_to_their_units() -> None:
    assert prose("71 % of 12.5 µJ in 3 s, 33.6 nJ s; 2 Jobs") == r"71~\% of 12.5~$\mu$J in 3~s, 33.6~nJ s; 2 Jobs"


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
