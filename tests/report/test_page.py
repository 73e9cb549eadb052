"""The page: what it says, that it needs nothing from elsewhere, and how a real browser sees it."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from selenium import webdriver

from snn2chip.report import EnergyReport
from snn2chip.report.drawing import NARROW, WIDE, Format, confidence
from snn2chip.report.headline import headline
from snn2chip.report.html import page as render_page
from snn2chip.report.plots import events_figure
from tests.report.browser import chromium, console
from tests.report.builder import full_report, network, on_array, without_time
from tests.report.pages import PageText

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
PICTURE = re.compile(r'(?:src|srcset)="data:image/svg\+xml;base64,([^"]+)"')


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(full_report())


def test_the_same_report_gives_the_same_bytes_in_every_process(page: str) -> None:
    script = (
        "import sys; from snn2chip.report.html import page; from tests.report.builder import full_report;"
        "sys.stdout.write(page(full_report()))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, encoding="utf-8", cwd=ROOT, env=environment
    )
    assert done.stdout == page


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    parsed = PageText(page)
    assert parsed.addresses
    assert all(address.startswith("data:") for address in parsed.addresses)
    assert not {"script", "iframe", "object", "embed"} & set(parsed.tags)
    assert "url(" not in page
    assert "@import" not in page


def test_headline_tables_and_sources_are_there(page: str) -> None:
    words = " ".join(PageText(page).words)
    assert headline(full_report()) in words
    for shown in (
        "block1.barrier",
        "98.7 %",
        "2.27× (1.87..2.36)",
        "Before you conclude",
        "synaptic_operation",
        "Davies et al., IEEE Micro 38(1), 2018, table 2",
        "published-simulated",
        "23.6 (6 to 35.5) pJ",
        "Scenario: the prices of Loihi 1",
        "all low, to all high",
        "Inputs: 450 test images",
    ):
        assert shown in words, shown


def test_every_picture_is_well_formed_and_described(page: str) -> None:
    pictures = PICTURE.findall(page)
    assert len(pictures) == 12
    for encoded in pictures:
        svg = base64.b64decode(encoded).decode()
        assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
        assert "<dc:date>" not in svg
    described = re.findall(r'<img [^>]*alt="([^"]+)"', page)
    assert len(described) == 6
    assert "SEW N=4 T=1 2.97 µJ" in described[0]


def test_labels_are_escaped() -> None:
    page = render_page(EnergyReport((network("<script>alert(1)</script> & $\\frac$"),)))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_long_labels_stay_within_their_figure() -> None:
    label = "a network whose name says everything about it " * 3
    page = render_page(EnergyReport((network(label), network(f"{label}, again"))))
    for encoded in PICTURE.findall(page):
        root = ElementTree.fromstring(base64.b64decode(encoded).decode())
        assert float(root.attrib["width"].removesuffix("pt")) < 700
    assert label.strip() in " ".join(PageText(page).words)


def test_without_any_accuracy_its_figure_is_left_out() -> None:
    page = render_page(EnergyReport((without_time(network("own", accuracy=None)),)))
    assert len(PICTURE.findall(page)) == 8
    assert "Accuracy against energy" not in page


def test_notes_of_the_report_stand_in_the_box_of_cautions(page: str) -> None:
    box = page.split('<div class="caution">')[1].split("</div>")[0]
    assert "Inputs: 450 test images" in box
    assert page.count("Inputs: 450 test images") == 1


def test_the_tile_of_an_array_counts_products() -> None:
    words = " ".join(PageText(render_page(EnergyReport((on_array(network("own"), 170e3),)))).words)
    assert "multiplications 170 k those of zeros included" in words
    assert "8 steps; in a stream one inference every 5.00 µs" in words


def test_the_tile_of_a_latency_without_time_counts_steps() -> None:
    words = " ".join(PageText(render_page(EnergyReport((without_time(network("own")),)))).words)
    assert "latency 8 steps in a stream one inference every step; the model knows no time" in words


@pytest.mark.parametrize("form", [WIDE, NARROW])
def test_no_mark_of_the_events_hides_another(form: Format) -> None:
    """Networks that send the same events everywhere: each has marks at heights of its own, below the bar."""
    networks = tuple(network(label) for label in ("own", "first", "second", "third", "fourth"))
    svg = ElementTree.fromstring(events_figure(EnergyReport(networks), form))
    marks = [mark for mark in svg.iter(f"{SVG}use") if "stroke: #ffffff" in mark.attrib.get("style", "")]
    places = sorted(float(mark.attrib["y"]) for mark in marks if float(mark.attrib["y"]) < _axis(svg))
    assert len(places) == 4 * len(networks[0].layers)
    assert min(below - above for above, below in pairwise(places)) > 6.5


def _axis(svg: ElementTree.Element) -> float:
    """Height of the ticks of the axis: beneath it stands the legend."""
    axis = next(group for group in svg.iter(f"{SVG}g") if group.attrib.get("id") == "matplotlib.axis_1")
    return next(float(tick.attrib["y"]) for tick in axis.iter(f"{SVG}use") if "y" in tick.attrib)


def test_confidence_is_wilsons() -> None:
    # By hand from Wilson's formula with z = 1.96.
    assert list(confidence(0.5, 10)) == pytest.approx([0.2366, 0.7634], abs=1e-4)
    assert confidence(1.0, 450)[1] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("home")) as driver:
        yield driver


@pytest.mark.browser
@pytest.mark.parametrize(("width", "narrow"), [(1280, False), (390, True)])
def test_a_real_browser_shows_it(
    browser: webdriver.Chrome, page: str, tmp_path: Path, width: int, narrow: bool
) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": narrow}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((tmp_path / "page.html").as_uri())
    images = browser.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth, i.currentSrc])"
    )
    assert len(images) == 6
    assert all(complete and natural > 0 and 0 < shown <= width for complete, natural, shown, _ in images)
    assert len({source for *_, source in images}) == 6
    assert (images[0][1] < 500) == narrow, "the figure for this width is shown"
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    cut = "return [...document.querySelectorAll('.scroll')].filter(t => t.scrollWidth > t.clientWidth).length"
    assert narrow or browser.execute_script(cut) == 0, "no table needs scrolling"
    assert browser.execute_script("return document.querySelector('h1').innerText").startswith("binary N=1 T=1 needs")
    assert [entry for entry in console(browser) if entry["level"] != "INFO"] == []


@pytest.mark.browser
def test_the_browser_would_tell_of_a_missing_picture(browser: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "broken.html").write_text('<!DOCTYPE html><img src="none.svg" alt="none">', encoding="utf-8")
    browser.get((tmp_path / "broken.html").as_uri())
    assert [entry["level"] for entry in console(browser)] == ["SEVERE"]
