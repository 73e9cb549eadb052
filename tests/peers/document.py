"""Writes docs/third-party-networks.md: ``python -m tests.peers.document [PART OF A NAME]``, in .venv-peers.

Examines every network (or those whose name holds the given part) and keeps what is found in verdicts.json.
"""

from __future__ import annotations

import datetime
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from snn2chip import certify
from tests.peers import catalogue
from tests.peers.catalogue import Entry

DOCUMENT = Path(__file__).parents[2] / "docs" / "third-party-networks.md"
HEAD = Path(__file__).with_name("third-party-networks.head.txt")
_FORMS = {"torch": "PyTorch", "onnx": "ONNX", "lava": "Lava", "nir": "NIR"}
TITLES = {
    "spikingjelly": "SpikingJelly",
    "snntorch": "snnTorch",
    "sinabs": "sinabs",
    "norse": "norse",
    "nir": "NIR files that other tools wrote: nir",
    "lava-dl": "lava-dl's own files: lava-dl",
}


def main(part: str = "") -> None:
    verdicts = catalogue.documented() if catalogue.VERDICTS.exists() else {}
    for entry in catalogue.ENTRIES:
        if part not in entry.key:
            continue
        sys.stderr.write(f"{entry.key}\n")
        with tempfile.TemporaryDirectory() as folder:
            found = entry.examine(Path(folder)).to_json()
        verdicts[entry.key] = {**found, "version": entry.version, "date": datetime.date.today().isoformat()}
    kept = {entry.key: verdicts[entry.key] for entry in catalogue.ENTRIES if entry.key in verdicts}
    catalogue.VERDICTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if missing := [entry.key for entry in catalogue.ENTRIES if entry.key not in kept]:
        sys.stderr.write(f"not written, for these were never examined: {missing}\n")
        return
    DOCUMENT.write_text(render(kept), encoding="utf-8")


def render(verdicts: dict[str, dict[str, Any]]) -> str:
    """The whole document."""
    return HEAD.read_text(encoding="utf-8") + "".join(_section(package, verdicts) for package in TITLES)


def _section(package: str, verdicts: dict[str, dict[str, Any]]) -> str:
    rows = [(entry, verdicts[entry.key]) for entry in catalogue.of(package, large=True)]
    notes: list[str] = []
    columns = ("network", "defined by", "takes", "as its framework spikes", *_FORMS.values(), "date")
    table = [_line(columns), _line(["---"] * len(columns)), *(_row(entry, row, notes) for entry, row in rows)]
    sentences = [f"{number}. {_escaped(note)}" for number, note in enumerate(notes, 1)]
    return "\n".join([f"\n## {TITLES[package]} {rows[0][1]['version']}", "", *table, "", *sentences, ""])


def _row(entry: Entry, row: dict[str, Any], notes: list[str]) -> str:
    agreement = f"{row['spikes']:,} of {row['spikes']:,}" if row["agreement"] == "exact" else row["agreement"]
    if row["refused"]:
        forms = [f"refused ({_note(row['refused'], notes)})", *[""] * (len(_FORMS) - 1)]
    else:
        forms = [_form(row["forms"][form], notes) for form in _FORMS]
    return _line([entry.name, f"`{entry.source}`", entry.takes, agreement, *forms, row["date"]])


def _form(said: str, notes: list[str]) -> str:
    return said if said == certify.EXACT else f"refused ({_note(said.partition(': ')[2], notes)})"


def _note(text: str, notes: list[str]) -> int:
    if text not in notes:
        notes.append(text)
    return notes.index(text) + 1


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    main(*sys.argv[1:])
