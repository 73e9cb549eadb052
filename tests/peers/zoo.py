"""What must hold of every network from elsewhere, unmodified and with its own project's code.

It gets in, spikes as in its own framework, neuron by neuron and step by step, and after quantization every form that
can express it is bit-equal to the interpreter; or it is refused with a sentence that names the module or node. Which of
the two is written down in docs/third-party-networks.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from snn2chip import certify
from tests.peers import catalogue
from tests.peers.catalogue import Entry
from tests.peers.verdict import Verdict

#: Every form but NIR takes whatever an integer graph can say.
COMPLETE = ("torch", "onnx", "lava")
_NAMES_A_PLACE = re.compile(r"(module|node|forward of|layer) '?\w[\w.]*")


def check(entry: Entry, folder: Path) -> None:
    found = entry.examine(folder)
    check_verdict(found)
    written = catalogue.documented()[entry.key]
    assert found.to_json() == {name: written[name] for name in found.to_json()}, (
        "docs/third-party-networks.md says otherwise: run `python -m tests.peers.document` in .venv-peers"
    )


def check_verdict(found: Verdict) -> None:
    if found.refused:
        assert _NAMES_A_PLACE.search(found.refused), found.refused
        return
    for form in COMPLETE:
        assert found.forms[form] == certify.EXACT, f"{form}: {found.forms[form]}"
    assert found.forms["nir"] == certify.EXACT or found.forms["nir"].startswith(f"{certify.REFUSED}: node '")
