"""Plain text at several widths: everything is there, and nothing is cut off."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from snn2chip.report import EnergyReport
from snn2chip.report.headline import headline
from snn2chip.report.terminal import text as render_text
from tests.report.builder import full_report, network, on_array, without_time

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_lines_keep_to_the_width_and_cut_nothing(width: int) -> None:
    text = render_text(full_report(), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "\x1b" not in text
    assert not re.search(r" +$", text, re.MULTILINE)


@pytest.mark.parametrize("width", [80, 120])
def test_all_that_is_asked_for_is_shown(width: int) -> None:
    words = " ".join(render_text(full_report(), width).split())
    assert words.startswith(headline(full_report()))
    for shown in (
        "form",
        "accuracy",
        "events",
        "spike",
        "synaptic",
        "memory",
        "cycles",
        "latency",
        "low",
        "nominal",
        "high",
        "static",
        "total",
        "relative",
        "block1.barrier",
        "synapses",
        "64 bit",
        "98.7 %",
        "40.0 µs",
        "Before you conclude",
        "1 assumed, 3 published-simulated",
    ):
        assert shown in words, shown
    for row in full_report().own.layers:
        assert row.name in words


def test_a_row_of_the_table_of_energies() -> None:
    table = render_text(full_report(), 120).split("Energy of one inference")[1]
    found = re.search(r"^binary N=1 T=4 .*$", table, re.MULTILINE)
    assert found
    row = " ".join(found[0].split())
    assert row == "binary N=1 T=4 1.91 µJ 7.42 µJ 11.2 µJ 5.72 µJ 13.1 µJ 2.27× (1.87..2.36)"


def test_ratios_across_chips_are_marked() -> None:
    assert "* on another chip" in render_text(full_report(), 120)
    assert "* on another chip" not in render_text(EnergyReport((network("own"), network("other"))), 120)


def test_what_a_model_does_not_know_is_called_so() -> None:
    text = render_text(EnergyReport((without_time(network("own", accuracy=None)),)), 120)
    assert re.search(r"own +graded +loihi2 +1 +4 +n/a +450", text)
    assert re.search(r"own +908 +1\.59 k +122 k +53\.2 k +n/a +n/a", text)


@pytest.mark.parametrize("width", [80, 120])
def test_the_interval_in_a_stream_stands_beside_the_latency(width: int) -> None:
    table = render_text(full_report(), width).split("Energy of one inference")[0]
    found = re.findall(r"^binary N=1 T=4 .*$", table, re.MULTILINE)
    assert " ".join(found[-1].split()).endswith("55.0 µs 900 20.0 µs")
    assert "Sample interval: from one inference to the next" in " ".join(table.split())


def test_an_array_shows_the_products_that_it_carries_out() -> None:
    dense, skipping = on_array(network("dense"), 170e3), on_array(network("skipping"), 82e3)
    text = render_text(EnergyReport((dense, network("events"), skipping)), 120)
    assert re.search(r"^dense +908 +1\.59 k +170 k† ", text, re.MULTILINE)
    assert re.search(r"^skipping +908 +1\.59 k +82\.0 k† ", text, re.MULTILINE)
    assert re.search(r"^events +908 +1\.59 k +122 k ", text, re.MULTILINE)
    layers = text.split("Layers of dense")[1]
    assert re.search(r"^stem .* 170 k† ", layers, re.MULTILINE)
    assert re.search(r"^head .* 0† ", layers, re.MULTILINE)
    assert layers.index("† products that the array multiplies") < layers.index("Memory accesses")
    assert "†" not in render_text(EnergyReport((network("events"),)), 120)


def test_the_width_is_the_terminals_and_in_a_pipe_120_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert render_text(full_report()) == render_text(full_report(), 80)
    monkeypatch.delenv("COLUMNS")
    imports = "from snn2chip.report.terminal import text; from tests.report.builder import full_report"
    script = f"{imports}; print(text(full_report()), end='')"
    piped = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, encoding="utf-8", cwd=ROOT)
    assert piped.stdout == render_text(full_report(), 120)


def test_notes_say_whom_they_are_about() -> None:
    text = " ".join(render_text(full_report(), 200).split())
    before, after = text.split(" Notes ")
    assert "- Inputs: 450 test images of scikit-learn's digits." in before.split("Before you conclude")[1]
    assert "Inputs: 450" not in after
    assert "- loihi2, dense-45nm, dense-45nm-zero-skipping: Energies rest on assumed prices." in text


def test_the_same_report_gives_the_same_text() -> None:
    assert render_text(full_report(), 120) == render_text(full_report(), 120)
