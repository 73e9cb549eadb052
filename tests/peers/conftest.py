"""What only `.venv-peers` has (see requirements/install_peers.sh)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def lava_dl_networks() -> Path:
    """The folder of lava-dl's own ``.net`` files and their stored results, as in its tests/lava/lib/dl/netx."""
    folder = Path(sys.prefix) / "share" / "lava-dl"
    assert (folder / "tiny.net").exists(), "tests/peers runs in .venv-peers: make test-peers"
    return folder
