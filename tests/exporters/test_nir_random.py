"""Random networks through the NIR form: written, read back, run by NIRTorch and norse, equal to the interpreter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from snn2chip import interpreter
from snn2chip.exporters.nir_form import NirExporter
from snn2chip.interop import norse
from snn2chip.ops import MultiLevelIF
from tests.differential.comparison import assert_same
from tests.differential.strategies import Case, cases

#: What the form may refuse at T = 1, by a part of the message.
REFUSALS = ("kernel cannot be padded", "partial sums may reach")


def _reference(case: Case) -> dict[str, np.ndarray]:
    recorder = interpreter.Recorder()
    interpreter.run(case.graph, case.inputs, [recorder])
    return recorder.tensors


def _outcome(case: Case) -> str:
    """``exact``, or why the form refuses; an assertion fails where it differs."""
    form, graph = NirExporter(), case.graph
    if refusal := form.refusal(graph):
        assert any(f"node {node.name!r} ({node.kind})" in refusal for node in graph.nodes)
        return next(known for known in REFUSALS if known in refusal)
    with TemporaryDirectory() as folder:
        form.write(graph, Path(folder))
        found = form.executors[0].run(graph, Path(folder), case.inputs)
        module = norse.load(Path(folder, "model.nir"))
    expected = _reference(case)
    assert set(found) == {node.name for node in graph.of_kind(MultiLevelIF)} | {graph.output.name}
    assert_same(expected, found, graph)
    images = interpreter.as_frames(graph, case.inputs)[:, 0].astype(np.float32)
    with torch.no_grad():
        logits, _ = module(torch.from_numpy(images.reshape(*images.shape[:2], *(images.shape[2:] or (1, 1)))))
    assert (logits.numpy().reshape(len(images), 1, -1) == expected[graph.output.name]).all()
    return "exact"


@pytest.mark.parametrize("levels", [1, 8, 255])
def test_every_random_network_is_exact_or_refused_by_name(levels: int) -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=70)
    @given(cases(max_steps=1, max_levels=levels))
    def check(case: Case) -> None:
        outcomes[_outcome(case)] += 1

    check()
    # About 0.73 of many draws; which few are drawn here also depends on what else was imported.
    assert outcomes["exact"] > 0.3 * outcomes.total(), outcomes
