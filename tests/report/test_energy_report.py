"""The JSON document: there and back, the same bytes twice, and every malformed place named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snn2chip import __version__
from snn2chip.errors import UserError
from snn2chip.report import SCHEMA, EnergyReport, read
from tests.report.builder import full_report, network, without_time


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(full_report().to_json(), encoding="utf-8")
    return path


def test_round_trip(written: Path) -> None:
    assert read(written) == full_report()
    assert read(str(written)).to_json() == full_report().to_json()


def test_round_trip_of_what_a_model_leaves_open(tmp_path: Path) -> None:
    report = EnergyReport((without_time(network("own", accuracy=None)),))
    (tmp_path / "report.json").write_text(report.to_json(), encoding="utf-8")
    assert read(tmp_path / "report.json") == report


def test_the_document_says_what_it_is() -> None:
    document = json.loads(full_report().to_json())
    assert (document["schema"], document["tool_version"]) == (SCHEMA, __version__)
    assert [item["label"] for item in document["comparisons"]] == [item.label for item in full_report().baselines]


def test_the_same_report_gives_the_same_bytes() -> None:
    assert full_report().to_json() == full_report().to_json()


def test_a_report_without_networks_is_refused() -> None:
    with pytest.raises(UserError, match="at least one network"):
        EnergyReport(())


def _set(*path: str | int, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("schema", value="snn2chip-report-2"), "not a snn2chip-report-1 document"),
        (_set("networks", value={}), "'networks' is missing or malformed"),
        (_set("networks", value=[]), "at least one network"),
        (_set("notes", value=[1]), "notes: expected a list of texts"),
        (_set("networks", 0, "schema", value="other"), r"networks\[0\]: this is not a snn2chip-network-report-1"),
        (_set("networks", 1, "steps", value=1.5), r"networks\[1\]\.steps: expected a whole number and found 1\.5"),
        (_set("networks", 0, "accuracy", value="good"), r"networks\[0\]\.accuracy: expected a finite number"),
        (_set("networks", 0, "label", value=None), r"networks\[0\]\.label: expected a text"),
        (_set("networks", 0, "layers", 2, "energy", "low", value=float("nan")), r"layers\[2\]\.energy\.low: expected"),
        (_set("networks", 0, "layers", value=3), r"layers: expected a list"),
        (_set("networks", 0, "totals", value=[]), r"totals: expected an object"),
        (_set("networks", 0, "placement", value=[]), r"placement: expected an object"),
        (_set("networks", 0, "extra", value=1), r"networks\[0\]: 'extra' is not a key"),
    ],
)
def test_malformed_places_are_named(written: Path, change: Callable[[Any], None], message: str) -> None:
    document = json.loads(written.read_text())
    change(document)
    written.write_text(json.dumps(document))
    with pytest.raises(UserError, match=message) as caught:
        read(written)
    if "at least" not in message:
        assert str(written) in str(caught.value)


def test_a_missing_key_is_named(written: Path) -> None:
    document = json.loads(written.read_text())
    del document["networks"][0]["latency"]["steps"]
    written.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"networks\[0\]\.latency: 'steps' is missing"):
        read(written)


def test_what_is_no_json_or_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read(tmp_path / "bad.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(UserError, match="not a snn2chip-report-1 document"):
        read(tmp_path / "list.json")
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.json")
