"""Lava's processes give the interpreter's integers, tensor by tensor, however the network is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from snn2chip import interpreter, lava_environment
from snn2chip.errors import CheckFailed, Snn2chipError
from snn2chip.exporters.base import timing_of
from snn2chip.exporters.lava import Job, Result, Stages, run, run_jobs
from snn2chip.exporters.lava.exporter import LavaExporter
from snn2chip.graph import Array, Graph, frozen
from snn2chip.interpreter import Recorder
from snn2chip.lava_environment import LavaEnvironment
from snn2chip.lowering.pipeline import Timing
from snn2chip.ops import SpikingNeuron
from tests.differential.strategies import EVERYTHING, Case, cases

CUTS: tuple[Stages, ...] = ("per-layer", 1, 2)
WAYS = tuple((cut, timing) for timing in get_args(Timing) for cut in CUTS)


def jobs(case: Case, batch: int = 2) -> list[Job]:
    """Every cut in every timing."""
    return [Job(case.graph, case.inputs, cut, batch=batch, timing=timing) for cut, timing in WAYS]


def assert_exact(case: Case, result: Result) -> None:
    """Every neuron layer and the logits of every step are there and equal."""
    if result.error is not None:
        raise result.error
    recorder = Recorder()
    interpreter.run(case.graph, case.inputs, [recorder])
    exposed = {node.name for node in case.graph.of_kind(SpikingNeuron)} | {case.graph.output.name}
    assert set(result.tensors) == exposed
    for name in exposed:
        assert np.array_equal(result.tensors[name], recorder.tensors[name]), f"{name} differs"


@settings(max_examples=3)
@given(st.lists(cases(max_steps=4, max_batch=3, **EVERYTHING), min_size=4, max_size=4))
def test_random_networks(environment: LavaEnvironment, drawn: list[Case]) -> None:
    results = run_jobs([job for case in drawn for job in jobs(case)], environment)
    for case, result in zip([case for case in drawn for _ in WAYS], results, strict=True):
        assert_exact(case, result)


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_batches_do_not_matter(environment: LavaEnvironment, residual_graph: Graph, images: Array, batch: int) -> None:
    case = Case(residual_graph, images)
    for result in run_jobs(jobs(case, batch), environment):
        assert_exact(case, result)


def test_frames_per_step_and_four_steps(environment: LavaEnvironment, residual_graph: Graph) -> None:
    graph = Graph(residual_graph.nodes, steps=4)
    frames = np.random.default_rng(0).integers(0, 17, (3, 4, 2, 4, 4)).astype(np.uint8)
    case = Case(graph, frames)
    for result in run_jobs(jobs(case), environment):
        assert_exact(case, result)


def test_the_other_kind_of_environment(
    current_environment: LavaEnvironment, residual_graph: Graph, images: Array
) -> None:
    case = Case(residual_graph, images)
    for result in run_jobs(jobs(case), current_environment):
        assert_exact(case, result)


def test_one_process_per_layer_is_what_runs(environment: LavaEnvironment, residual_graph: Graph, images: Array) -> None:
    """Five stages, a source, a sink and Lava's runtime service, each an operating-system process of its own."""
    per_layer, fused, two = run_jobs([Job(residual_graph, images, cut) for cut in CUTS], environment)
    assert [result.timings["processes"] for result in (per_layer, fused, two)] == [8, 4, 5]


def test_the_logits_alone(
    environment: LavaEnvironment, residual_graph: Graph, images: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(lava_environment.PYTHON_VARIABLE, str(environment.python))
    tensors = run(residual_graph, images, stages=1, record="output")
    assert list(tensors) == ["logits"]
    assert tensors["logits"].dtype == np.int32
    assert np.array_equal(tensors["logits"], interpreter.run(residual_graph, images))


def test_a_changed_weight_is_seen_in_its_layer_and_after_it(
    environment: LavaEnvironment, residual_graph: Graph, images: Array
) -> None:
    """What runs is the form that is given, not the network that it came from."""
    node = residual_graph["conv2"]
    weight = node.op.weight.copy()  # type: ignore[attr-defined]
    weight[0, 0] += 2
    changed = replace(node, op=replace(node.op, weight=frozen(weight)))  # type: ignore[type-var]
    graph = Graph(tuple(changed if node.name == "conv2" else node for node in residual_graph.nodes), 2)
    (sound, other) = run_jobs([Job(residual_graph, images), Job(graph, images)], environment)
    differing = {name for name, tensor in sound.tensors.items() if not np.array_equal(tensor, other.tensors[name])}
    assert "if1" not in differing
    assert "marked" in differing


def test_the_executors_of_the_certificate(residual_graph: Graph, images: Array, tmp_path: Path) -> None:
    exporter = LavaExporter()
    assert exporter.refusal(residual_graph) is None
    exporter.write(residual_graph, tmp_path)
    case = Case(residual_graph, images)
    together = exporter.run_all(residual_graph, tmp_path, images)
    assert list(together) == [executor.name for executor in exporter.executors]
    assert {(executor.stages, timing_of(executor)) for executor in exporter.executors} == set(WAYS)
    for tensors in together.values():
        assert not isinstance(tensors, Snn2chipError)
        assert_exact(case, Result(dict(tensors), {}))
    alone = exporter.executors[0].run(residual_graph, tmp_path, images)
    assert_exact(case, Result(dict(alone), {}))


def test_a_changed_stored_parameter_is_named(residual_graph: Graph, images: Array, tmp_path: Path) -> None:
    exporter = LavaExporter()
    exporter.write(residual_graph, tmp_path)
    tensors = load_file(tmp_path / "lava" / "tensors.safetensors")
    tensors["conv3/weight"][0, 0, 0, 0] += 1
    save_file(tensors, tmp_path / "lava" / "tensors.safetensors")
    with pytest.raises(CheckFailed, match="node 'conv3' has other parameters than the artifact"):
        exporter.executors[0].run(residual_graph, tmp_path, images)
