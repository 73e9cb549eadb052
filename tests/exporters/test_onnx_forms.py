"""Every ONNX form beside ``model.onnx`` computes the interpreter's integers, in onnxruntime and ONNX's evaluator."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from snn2chip import interpreter
from snn2chip.exporters import exporter
from snn2chip.exporters.onnx_form import run_file
from snn2chip.exporters.onnx_form.form import OnnxExporter
from snn2chip.exporters.onnx_form.model import build
from snn2chip.frontend.onnx_file import read_onnx
from snn2chip.graph import Array, Graph
from snn2chip.ops import SpikingNeuron
from tests.differential.comparison import assert_same
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.exporters.ecosystem import NETWORKS
from tests.exporters.nir_networks import reference
from tests.exporters.test_onnx_exact import GRAPHS, images

FORMS = ("onnx-frames", "onnx-step", "onnx-float", "onnx-qlinear")
MAKERS: dict[str, Callable[[int], Graph]] = {**{make.__name__: make for make in GRAPHS}, **NETWORKS}


def form_of(name: str) -> OnnxExporter:
    form = exporter(name)
    assert isinstance(form, OnnxExporter)
    return form


def assert_exact(form: OnnxExporter, graph: Graph, folder: Path, x: Array) -> None:
    form.write(graph, folder)
    found, wanted = form.executors[0].run(graph, folder, x), reference(graph, x)
    assert set(found) == {node.name for node in graph.of_kind(SpikingNeuron)} | {graph.output.name}
    assert_same(wanted, found, graph)
    np.testing.assert_array_equal(run_file(folder / form.files[0], x), interpreter.logits(graph, x))


@pytest.mark.parametrize("frames", [False, True], ids=["direct", "frames"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", FORMS)
def test_every_neuron_layer_and_the_logits_are_exact(
    name: str, maker: str, steps: int, frames: bool, tmp_path: Path
) -> None:
    form, graph = form_of(name), MAKERS[maker](steps)
    if form.refusal(graph) is None:
        assert_exact(form, graph, tmp_path, images(graph, 4, frames))
    else:
        assert (name, maker, steps) in REFUSED


# The evaluator makes a border of not-a-number even where it is to have no width.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", FORMS)
def test_the_reference_evaluator_agrees(name: str, maker: str) -> None:
    for steps in (1, 3):
        form, graph = form_of(name), MAKERS[maker](steps)
        if form.refusal(graph) is not None:
            continue
        x = images(graph, 3)
        model = build(graph, form.dialect)
        evaluator: Any = ReferenceEvaluator(model)
        if name == "onnx-step":
            logits: Any = step_by_step(evaluator, x, steps, model)
        else:
            shown = np.repeat(x[:, None], steps, axis=1) if name == "onnx-frames" else x
            logits = evaluator.run(None, {"x": shown})[0]
        np.testing.assert_array_equal(logits, interpreter.logits(graph, x))


def step_by_step(evaluator: Any, x: Array, steps: int, model: ModelProto) -> Array:
    """The loop of ``docs/onnx.md``."""
    states = json.loads({entry.key: entry.value for entry in model.metadata_props}["snn2chip.states"])
    shapes = {info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim[1:]] for info in model.graph.input}
    values = {name: np.zeros((len(x), *shapes[name]), np.int32) for name in states}
    logits: Any = 0
    for _ in range(steps):
        found = dict(zip(evaluator.output_names, evaluator.run(None, {"x": x, **values}), strict=True))
        logits = logits + found["logits"]
        values = {before: found[after] for before, after in states.items()}
    return np.asarray(logits)


def test_the_loop_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    (loop,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "model.step.onnx" in block]
    graph = MAKERS["sew_residual"](3)
    form_of("onnx-step").write(graph, tmp_path)
    monkeypatch.chdir(tmp_path)
    frames = images(graph, 4, frames=True)
    variables: dict[str, Any] = {"frames": frames}
    exec(loop, variables)  # noqa: S102  # a page of our own
    np.testing.assert_array_equal(variables["logits"], interpreter.logits(graph, frames))


@pytest.mark.parametrize("name", FORMS)
def test_random_networks(name: str) -> None:
    """What the form refuses is not drawn again. All are read back as what they were."""
    form, one_step = form_of(name), {"max_steps": 1} if name == "onnx-qlinear" else {}

    @settings(max_examples=40)
    @given(cases(**one_step, **EVERYTHING))
    def hold(case: Case) -> None:
        assume(form.refusal(case.graph) is None)
        with TemporaryDirectory() as folder:
            assert_exact(form, case.graph, Path(folder), case.inputs)
            path = Path(folder) / form.files[0]
            read, written_as = read_onnx(path)
            form.confirm(read, path)
        assert (read.digest, written_as) == (case.graph.digest, name)

    hold()


REFUSED = {
    *(("onnx-frames", maker, 1) for maker in MAKERS),
    *(("onnx-qlinear", maker, 3) for maker in MAKERS),
    *(("onnx-float", "wide_operands", steps) for steps in (1, 3)),
    # No layer feeds neurons directly, from bytes and with thresholds that float32 can divide by.
    ("onnx-qlinear", "pools", 1),
    ("onnx-qlinear", "wide_operands", 1),
    ("onnx-qlinear", "upsampled", 1),
    ("onnx-qlinear", "no_neuron", 1),
    ("onnx-qlinear", "fine_grained", 1),
    ("onnx-qlinear", "largest_currents", 1),
    ("onnx-qlinear", "current_based", 1),
}
