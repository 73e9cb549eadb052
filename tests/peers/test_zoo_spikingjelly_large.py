"""SpikingJelly's VGG-11 and SEW-ResNet-18: what tests/peers/zoo.py says of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers import catalogue, zoo
from tests.peers.catalogue import Entry

ENTRIES = [entry for entry in catalogue.of("spikingjelly") if entry.name.startswith(("Spiking VGG", "SEW"))]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_network(entry: Entry, tmp_path: Path) -> None:
    zoo.check(entry, tmp_path)
