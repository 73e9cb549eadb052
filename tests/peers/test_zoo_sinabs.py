"""Networks of sinabs: what tests/peers/zoo.py says of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers import catalogue, zoo
from tests.peers.catalogue import Entry


@pytest.mark.parametrize("entry", catalogue.of("sinabs"), ids=lambda entry: entry.name)
def test_network(entry: Entry, tmp_path: Path) -> None:
    zoo.check(entry, tmp_path)
