"""docs/report-schema.md names every key of the report on one network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snn2chip.hw_models.chip import available_chips, load_chip
from snn2chip.hw_models.simulate import simulate
from tests.hw.networks import images, residual

PAGE = Path(__file__).parents[2] / "docs" / "report-schema.md"


def keys(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        yield from document
        document = list(document.values())
    for item in document if isinstance(document, list) else ():
        yield from keys(item)


@pytest.mark.parametrize("name", available_chips())
def test_every_key_is_documented(name: str) -> None:
    graph = residual()
    report = simulate(graph, images(graph), None, load_chip(name))
    section = PAGE.read_text(encoding="utf-8").split("## The report on one network", 1)[1]
    document = json.loads(report.to_json())
    assert {"hops", "graph_digest", "word_bits", "included_in"} <= set(keys(document))  # it looks inside
    assert set(keys(document)) - set(re.findall(r"`(\w+)`", section)) - {"low", "nominal", "high"} == set()
