"""Writes docs/nir-consumers.md: ``python -m tests.peers.consumers_document``, in .venv-peers.

Measures every consumer anew and keeps what is found in consumers.json; with the argument ``text``, only the page.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snn2chip.interop import consumers
from snn2chip.interop.consumers import CONSUMERS
from tests.peers import consumer_networks
from tests.peers.consumer_networks import SHAPES

DOCUMENT = Path(__file__).parents[2] / "docs" / "nir-consumers.md"
HEAD = Path(__file__).with_name("nir-consumers.head.txt")
_LONGEST = 100


def main(only_text: bool = False) -> None:
    if not only_text:
        found = json.dumps(measured(), indent=1)
        consumer_networks.VERDICTS.write_text(found + "\n", encoding="utf-8")
    DOCUMENT.write_text(render(consumer_networks.documented()), encoding="utf-8")


def measured() -> dict[str, Any]:
    """What stands in consumers.json: ``versions``, and ``outcomes`` by consumer and file."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = dict(consumer_networks.jobs(Path(folder)))
        found = consumers.measure(jobs, report=_say)
    outcomes = {key: {name: outcome.to_json() for name, outcome in row.items()} for key, row in found.items()}
    return {"versions": consumers.installed(), "outcomes": outcomes}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def render(found: Mapping[str, Any]) -> str:
    """The whole page."""
    outcomes, notes = found["outcomes"], list[str]()
    files = list(dict.fromkeys(name.rpartition(" | ")[0] for name in next(iter(outcomes.values()))))
    table = [_line(["consumer", *(file.replace(" | ", ": ") for file in files)]), _line(["---"] * (1 + len(files)))]
    for consumer in CONSUMERS:
        row = outcomes[consumer.key]
        cells = [_cell([row[f"{file} | {shape}"] for shape in SHAPES], notes) for file in files]
        table.append(_line([f"{consumer.name} ({found['versions'][consumer.package]})", *cells]))
    sentences = [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    nir, torch = (found["versions"][package].partition("+")[0] for package in ("nir", "torch"))
    with_ = f"With nir {nir} and torch {torch}:"
    return HEAD.read_text(encoding="utf-8") + "\n".join([with_, "", *table, "", *sentences, ""])


def _cell(outcomes: list[dict[str, str]], notes: list[str]) -> str:
    said = [_verdict(outcome, notes) for outcome in outcomes]
    return said[0] if len(set(said)) == 1 else " · ".join(said)


def _verdict(outcome: dict[str, str], notes: list[str]) -> str:
    if not (detail := outcome["detail"]):
        return outcome["verdict"]
    note = detail if len(detail) <= _LONGEST else f"{detail[:_LONGEST].rpartition(' ')[0]} ..."
    text = f"{outcome['verdict']}: " + note.replace("<", "\\<").replace("|", "\\|")
    if text not in notes:
        notes.append(text)
    return f"{outcome['verdict']} ({notes.index(text) + 1})"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main("text" in sys.argv[1:])
