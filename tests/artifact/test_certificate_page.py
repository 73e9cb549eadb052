"""The page of a certificate: what it says, that it needs nothing from elsewhere, and how a real browser sees it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver

from snn2chip import artifact, certify, cli
from snn2chip.certify import Verification
from snn2chip.certify.situations import LISTED_CHANNELS
from snn2chip.graph import frozen
from snn2chip.ops import MultiLevelIF
from snn2chip.report.certificate_page import page as render_page
from tests.report.browser import chromium, console
from tests.report.pages import PageText


def quiet(line: str) -> None:
    """No report."""


@pytest.fixture(scope="module")
def verification(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Verification:
    folder = Path(shutil.copytree(original, tmp_path_factory.mktemp("page") / "artifact"))
    return certify.verify(folder, quiet)


@pytest.fixture(scope="module")
def different(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Verification:
    """The reference has fewer levels in one layer than every form: each differs there."""
    folder = Path(shutil.copytree(original, tmp_path_factory.mktemp("page") / "artifact"))
    read = artifact.read(folder)
    barred = MultiLevelIF(frozen([200] * 3, np.int32), 3)
    nodes = tuple(replace(node, op=barred) if node.name == "if2" else node for node in read.graph.nodes)
    made = certify.certify(replace(read.graph, nodes=nodes), folder, read.samples)
    assert made.verdict == "DIFFERENT"
    return Verification("small <b>", made, ("onnx: EXACT there, DIFFERENT here",), kept=False)


def grouped(count: int) -> str:
    """As the words of the page have it, where a narrow space is a space."""
    return f"{count:,}".replace(",", " ")


def test_it_says_what_the_certificate_says(verification: Verification) -> None:
    words = " ".join(PageText(render_page(verification)).words)
    made = verification.certificate
    for shown in ("EXACT Every form", made.graph_digest, *(part.sha256 for part in made.inputs)):
        assert shown in words, shown
    for result in made.results:
        assert f"{result.form} {result.executor} {result.timing} {result.status} {grouped(result.compared)}" in words
    for layer in ("if1", "if2", "barrier", "out"):
        compared = sum(row.compared for result in made.results for row in result.rows if row.layer == layer)
        assert f"{layer} 1 {grouped(compared)} {len(made.results)} of {len(made.results)} programs" in words
    levels = made.coverage.layers[1].seen
    assert "; ".join(f"{name}: {grouped(count)}" for name, count in levels.items()) in words
    assert "REFUSED" not in words
    assert "differing" not in words
    assert "not exposed by" not in words


def test_what_is_said_of_some_results_alone(verification: Verification, different: Verification) -> None:
    assert "exact in differing" in " ".join(PageText(render_page(different)).words)
    made = verification.certificate
    refused = replace(made.results[0], form="nir", executor="", status="REFUSED", rows=(), reason="it cannot say it")
    words = " ".join(
        PageText(render_page(replace(verification, certificate=replace(made, results=(*made.results, refused))))).words
    )
    assert "nir – – REFUSED – it cannot say it" in words
    assert "REFUSED: the form cannot express the network" in words


def test_a_divergence_shows_the_neuron_and_what_it_saw(different: Verification) -> None:
    page = render_page(different)
    words = " ".join(PageText(page).words)
    found = next(result.divergence for result in different.certificate.results if result.divergence)
    assert found.cause is not None
    assert found.cause.inputs
    channel, y, x = found.index
    assert f"In layer if2 , channel {channel}, y {y}, x {x}, at step {found.step} of {found.input_set}" in words
    assert f"current {found.cause.current} , of which bias {found.cause.bias}" in words
    assert page.count('<section class="divergence">') == 1, "all programs differ alike"
    for part in found.cause.inputs[:16]:
        assert f"{part.layer} {list(part.index)} {part.value} {part.weight} {part.value * part.weight}" in words
    assert "<b>" not in page.split("<h1>")[0]
    assert "onnx: EXACT there, DIFFERENT here" in words


def test_nothing_is_fetched_from_anywhere(verification: Verification, different: Verification) -> None:
    for found in (verification, different):
        page = render_page(found)
        parsed = PageText(page)
        assert all(address.startswith("data:") for address in parsed.addresses)
        assert not {"script", "iframe", "object", "embed", "img"} & set(parsed.tags)
        assert "url(" not in page
        assert "@import" not in page


def test_silent_channels_are_listed_up_to_a_limit(verification: Verification) -> None:
    many = replace(
        verification.certificate.coverage.layers[1], silent=90, silent_channels=tuple(range(LISTED_CHANNELS))
    )
    coverage = replace(verification.certificate.coverage, layers=(many,))
    page = render_page(replace(verification, certificate=replace(verification.certificate, coverage=coverage)))
    assert re.search(r"a spike in channels 0, 1, .*, 31, \.\.\.", page)


def test_the_command_writes_the_same_page_each_time(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "artifact"))
    pages = [tmp_path / "first.html", tmp_path / "second.html"]
    for path in pages:
        assert cli.main(["verify", str(folder), "--html", str(path)]) == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("home")) as driver:
        yield driver


@pytest.mark.browser
@pytest.mark.parametrize(("width", "narrow"), [(1280, False), (390, True)])
@pytest.mark.parametrize("which", ["verification", "different"])
def test_a_real_browser_shows_it(
    browser: webdriver.Chrome,
    which: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    width: int,
    narrow: bool,
) -> None:
    found: Verification = request.getfixturevalue(which)
    (tmp_path / "page.html").write_text(render_page(found), encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": narrow}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((tmp_path / "page.html").as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    verdict = browser.execute_script("return document.querySelector('h1 .verdict').innerText")
    assert verdict == found.certificate.verdict
    colour = browser.execute_script("return getComputedStyle(document.querySelector('h1 .verdict')).color")
    assert colour == ("rgb(0, 102, 75)" if verdict == "EXACT" else "rgb(176, 58, 0)"), "the styles are applied"
    cut = "return [...document.querySelectorAll('.scroll')].filter(t => t.scrollWidth > t.clientWidth).length"
    assert narrow or browser.execute_script(cut) == 0, "no table needs scrolling"
    assert [entry for entry in console(browser) if entry["level"] != "INFO"] == []
