"""A folder in which a network was exported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from snn2chip import api, zoo
from tests.artifacts import few, written


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.pt, and build/model-loihi2 with 8 samples and no exported forms."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copyfile(zoo.path("sparse-n4-t1"), folder / "model.pt")
    written(few(api.compile_file(folder / "model.pt"), 8), folder / "build" / "model-loihi2", "loihi2")
    return folder
