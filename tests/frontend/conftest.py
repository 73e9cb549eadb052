"""What the tests with hostile files share: the process that opens them, and the trace that run code would leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.frontend.worker import Worker, running


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with running(HDF5_PLUGIN_PATH=str(tmp_path_factory.mktemp("plugins"))) as process:
        yield process


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Path]:
    """A folder that is there once somebody's code has run."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists(), "code in the file was run"
