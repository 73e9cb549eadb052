"""Every shipped network goes the whole way: each form that can express it is bit-equal to the interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from snn2chip import api, zoo
from snn2chip.hw_models.chip import load_chip
from tests.artifacts import few

FORMS = {"torch", "nir", "onnx", "lava"}


@pytest.mark.parametrize("name", ["binary-t4", "binary-t1", "sew-n4-t1", "qann-3bit"])
def test_every_recipe_is_exact(tmp_path: Path, name: str) -> None:
    compiled = few(api.compile_file(zoo.path(name, seed=1)), 64)
    certificate = api.write(compiled, load_chip("loihi2"), tmp_path / name).certificate
    exact = {result.form for result in certificate.results if result.status == "EXACT"}
    assert exact == FORMS
    assert certificate.verdict == "EXACT"
