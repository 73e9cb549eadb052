"""Random networks through the ONNX form: none is refused, and all are equal to the interpreter at every neuron."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings

from snn2chip import interpreter
from snn2chip.exporters.onnx_form import OnnxExporter
from snn2chip.ops import SpikingNeuron
from tests.differential.comparison import assert_same
from tests.differential.strategies import EVERYTHING, Case, cases


def assert_exact(case: Case) -> None:
    form, graph = OnnxExporter(), case.graph
    assert form.refusal(graph) is None
    with TemporaryDirectory() as folder:
        form.write(graph, Path(folder))
        found = form.executors[0].run(graph, Path(folder), case.inputs)
    recorder = interpreter.Recorder()
    interpreter.run(graph, case.inputs, [recorder])
    assert set(found) == {node.name for node in graph.of_kind(SpikingNeuron)} | {graph.output.name}
    assert_same(recorder.tensors, found, graph)


@settings(max_examples=150)
@given(cases(max_steps=1, **EVERYTHING))
def test_single_step(case: Case) -> None:
    assert_exact(case)


@settings(max_examples=150)
@given(cases(**EVERYTHING))
def test_any_steps(case: Case) -> None:
    assert_exact(case)
