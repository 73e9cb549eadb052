"""SpikingJelly's smaller networks: what tests/peers/zoo.py says of each. (The larger ones run in another process.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers import catalogue, zoo
from tests.peers.catalogue import Entry

ENTRIES = [entry for entry in catalogue.of("spikingjelly") if not entry.name.startswith(("Spiking VGG", "SEW"))]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_network(entry: Entry, tmp_path: Path) -> None:
    zoo.check(entry, tmp_path)
