"""``snn2chip run`` in both timings, through every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from snn2chip import api, artifact, certify, cli, files, interpreter
from snn2chip.artifact import Description, Samples
from snn2chip.errors import UserError
from snn2chip.exporters import exporter
from snn2chip.graph import Array, Graph
from snn2chip.hw_models import fitting
from snn2chip.hw_models.chip import load_chip


@pytest.fixture
def exported(residual_graph: Graph, images: Array, tmp_path: Path) -> Path:
    """An artifact with a certificate of the engine alone: all of it takes longer than this test."""
    np.save(tmp_path / "x.npy", images)
    description = Description("residual", "loihi2", (), {}, {})
    with artifact.writing(tmp_path / "artifact") as folder:
        artifact.write_core(folder, residual_graph, description, None)
        certificate = certify.certify(residual_graph, folder, Samples(images))
        (folder / artifact.CERTIFICATE).write_text(files.canonical_json(certificate.to_json()))
        (folder / artifact.FIT).write_text(files.canonical_json(fitting.fit(residual_graph, load_chip("loihi2"))))
        forms = {name: exporter(name).write(residual_graph, folder) for name in ("onnx", "lava")}
        artifact.seal(folder, residual_graph, description, forms)
    return tmp_path / "artifact"


def run(folder: Path, *options: str) -> int:
    files = ["--input", str(folder.parent / "x.npy"), "--output", str(folder.parent / "y.npy")]
    return cli.main(["run", str(folder), *files, *options])


def ways() -> Iterator[tuple[str, ...]]:
    for backend in ("reference", "torch", "lava"):
        for timing in ("algorithmic", "pipelined"):
            yield "--backend", backend, "--timing", timing


def test_every_backend_gives_the_same_logits_in_both_timings(
    exported: Path, residual_graph: Graph, images: Array
) -> None:
    wanted = interpreter.run(residual_graph, images)
    for options in ways():
        assert run(exported, *options, "--per-step") == 0
        assert np.array_equal(np.load(exported.parent / "y.npy"), wanted), options
    assert run(exported, "--backend", "lava", "--timing", "pipelined") == 0
    assert np.array_equal(np.load(exported.parent / "y.npy"), wanted.sum(axis=1))
    onnxruntime_has_one_timing(exported)


def onnxruntime_has_one_timing(exported: Path) -> None:
    (exported.parent / "y.npy").unlink()
    assert run(exported, "--backend", "onnxruntime", "--timing", "pipelined") == 2
    assert not (exported.parent / "y.npy").exists()
    with pytest.raises(UserError, match="backend 'onnxruntime' computes every layer in the same step"):
        api.run(exported, exported.parent / "x.npy", "onnxruntime", "pipelined")
    with pytest.raises(UserError, match="timing 'fast' is unknown: choose algorithmic or pipelined"):
        api.run(exported, exported.parent / "x.npy", "reference", "fast")
