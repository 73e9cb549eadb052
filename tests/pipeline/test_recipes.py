"""Every shipped network goes the whole way: each form that can express it is bit-equal to the interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from snn2chip import api, zoo
from snn2chip.artifact import Samples
from snn2chip.hw_models.chip import load_chip

FORMS = {"torch", "nir", "onnx", "lava"}


@pytest.mark.parametrize("name", ["binary-t4", "binary-t1", "sew-n4-t1", "qann-3bit"])
def test_every_recipe_is_exact(tmp_path: Path, name: str) -> None:
    compiled = api.compile_file(zoo.path(name, seed=1))
    assert compiled.samples is not None
    assert compiled.samples.y is not None
    few = Samples(compiled.samples.x[:64], compiled.samples.y[:64])
    chosen = api.Compiled(compiled.graph, compiled.name, compiled.class_names, compiled.training, few)
    certificate = api.write(chosen, load_chip("loihi2"), tmp_path / name).certificate
    exact = {result.form for result in certificate.results if result.status == "EXACT"}
    assert exact == FORMS
    assert certificate.verdict == "EXACT"
