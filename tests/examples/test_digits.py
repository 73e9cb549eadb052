"""The demo as ``make demo`` runs it, and its page in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.browser import chromium, console

DEMO = Path(__file__).parents[2] / "examples" / "digits" / "demo.py"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo leaves behind, run in an empty folder."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, str(DEMO)], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "certificate: torch (snn2chip.engine) EXACT, nir (nirtorch) EXACT" in done.stdout
    return folder / "build"


def test_the_demo_leaves_artifact_certificate_and_reports(build: Path) -> None:
    assert {path.name for path in build.iterdir()} == {"digits.pt", "digits-loihi2", "report.json", "report.html"}
    certificate = json.loads((build / "digits-loihi2" / "certificate.json").read_text())
    assert certificate["verdict"] == "EXACT"
    assert certificate["inputs"][0] == {
        "name": "samples",
        "compared": 450,
        "count": 450,
        "sha256": certificate["inputs"][0]["sha256"],
    }
    report = json.loads((build / "report.json").read_text())
    chips = [(network["label"], network["chip"]["name"]) for network in report["networks"]]
    assert chips == [
        ("digits", "loihi2"),
        ("binary", "loihi2"),
        ("binary-t1", "loihi2"),
        ("sew", "loihi2"),
        ("qann on dense-45nm", "dense-45nm"),
        ("qann on dense-45nm-zero-skipping", "dense-45nm-zero-skipping"),
    ]
    assert all(network["samples"] == 450 and network["accuracy"] > 0.98 for network in report["networks"])


@pytest.mark.browser
def test_the_page_opens_in_a_browser_without_an_error(build: Path, tmp_path: Path) -> None:
    with chromium(tmp_path) as driver:
        driver.get((build / "report.html").as_uri())
        pictures = driver.execute_script("return [...document.images].map(i => i.complete && i.naturalWidth > 0)")
        assert pictures == [True] * 6
        assert "digits" in driver.execute_script("return document.body.innerText")
        assert [entry for entry in console(driver) if entry["level"] != "INFO"] == []
