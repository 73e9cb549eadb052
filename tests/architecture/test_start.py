"""Importing the package and asking for help are quick, and import nothing heavy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HEAVY = ("torch", "onnx", "onnxruntime", "matplotlib", "sklearn", "nir", "nirtorch", "h5py")
SCRIPT = Path(sys.executable).with_name("snn2chip")


@pytest.fixture
def best_of_five(output_of: Callable[..., str], tmp_path: Path) -> Callable[..., float]:
    """Seconds of the quickest of five whole processes: the others may have shared their core."""

    def seconds(*command: str) -> float:
        start = time.perf_counter()
        output_of(*command, cwd=tmp_path)
        return time.perf_counter() - start

    return lambda *command: min(seconds(*command) for _ in range(5))


def test_import_takes_less_than_300_ms(best_of_five: Callable[..., float]) -> None:
    assert best_of_five(sys.executable, "-c", "import snn2chip") < 0.3


def test_help_takes_less_than_600_ms(best_of_five: Callable[..., float]) -> None:
    assert best_of_five(str(SCRIPT), "--help") < 0.6


@pytest.mark.parametrize("statement", ["import snn2chip", "import snn2chip.cli"])
def test_nothing_heavy_is_imported(output_of: Callable[..., str], statement: str, tmp_path: Path) -> None:
    code = f"import sys; {statement}; print(*[name for name in {HEAVY} if name in sys.modules])"
    assert output_of(sys.executable, "-c", code, cwd=tmp_path).split() == []
