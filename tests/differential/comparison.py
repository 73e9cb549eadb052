"""What the differential tests and the fuzzer share: the oracle's view of a case, and comparison tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from snn2chip import graph_io, interpreter, spec
from snn2chip.graph import Array, Graph, Interval, Node
from snn2chip.interpreter import Observer, Recorder
from snn2chip.ops import SpikingNeuron
from tests.differential.strategies import Case
from tests.oracle import oracle


class Execute(Protocol):
    """The signature that `interpreter.run` and the torch executor share."""

    def __call__(
        self, graph: Graph, inputs: Array, observers: tuple[Observer, ...] = (), batch_size: int = 32
    ) -> Array: ...


@dataclass(frozen=True)
class Meaning:
    """What the oracle says: tensors and membrane potentials v ``[B, T, *shape]`` by node, logits ``[B, classes]``."""

    tensors: Mapping[str, Array]
    potentials: Mapping[str, Array]
    logits: Array


def described(graph: Graph) -> tuple[dict[str, Any], dict[str, Any]]:
    """The graph as its document, through JSON, and its tensors as nested lists."""
    document, tensors = graph_io.to_document(graph)
    return json.loads(json.dumps(document)), {name: tensor.tolist() for name, tensor in tensors.items()}


def meaning(case: Case) -> Meaning:
    """Run the oracle on every sample."""
    document, tensors = described(case.graph)
    traces = [oracle.evaluate(document, tensors, sample.tolist()) for sample in case.inputs]
    shapes = traces[0].shapes

    def stacked(per_sample: list[dict[str, list[list[int]]]]) -> dict[str, Array]:
        return {
            name: np.array([steps[name] for steps in per_sample], np.int64).reshape(
                len(per_sample), case.graph.steps, *shapes[name]
            )
            for name in per_sample[0]
        }

    return Meaning(
        stacked([trace.outputs for trace in traces]),
        stacked([trace.potentials for trace in traces]),
        np.array([trace.logits for trace in traces], np.int64),
    )


def executed(execute: Execute, case: Case, batch_size: int = 32) -> dict[str, Array]:
    """Every node's tensors ``[B, T, *shape]`` as an executor computes them, its return value in the output's place."""
    recorder = Recorder()
    per_step = execute(case.graph, case.inputs, (recorder,), batch_size=batch_size)
    return {**recorder.tensors, case.graph.output.name: per_step}


def assert_same(expected: Mapping[str, Array], found: Mapping[str, Array], graph: Graph) -> None:
    """Every tensor of `found` equals its namesake; the first difference, in graph order, is named."""
    assert found, "nothing was computed"
    for node in graph.nodes:
        if node.name in found:
            _assert_tensor(node, expected[node.name], found[node.name])


def assert_meaning(case: Case) -> None:
    """A legal graph, the oracle's integers at every node and step, and nothing outside its proven interval.

    Intervals are those of the outputs and of the membrane potentials.
    """
    spec.check_integer(case.graph)
    truth, found = meaning(case), executed(interpreter.run, case)
    assert set(found) == {node.name for node in case.graph.nodes}
    assert_same(truth.tensors, found, case.graph)
    assert np.array_equal(truth.logits, interpreter.logits(case.graph, case.inputs)), "the logits differ"
    for node in case.graph.nodes:
        interval = case.graph.signals[node.name].interval
        _assert_within(truth.tensors[node.name], interval, node.name)
        if isinstance(node.op, SpikingNeuron):
            source = case.graph.signals[node.inputs[0]].interval
            membrane = node.op.membrane(source, case.graph.steps)
            _assert_within(truth.potentials[node.name], membrane, f"the membrane of {node.name}")


def _assert_within(values: Array, interval: Interval, what: str) -> None:
    channels_last = np.moveaxis(values, 2, -1)
    assert (channels_last >= interval.low).all(), f"{what} falls below its proven interval"
    assert (channels_last <= interval.high).all(), f"{what} rises above its proven interval"


def _assert_tensor(node: Node, expected: Array, found: Array) -> None:
    assert found.shape == expected.shape, f"{node.name} ({node.kind}): {found.shape} instead of {expected.shape}"
    differing = np.argwhere(expected != found)
    if differing.size:
        first = tuple(differing[0])
        place = f"sample {first[0]}, step {first[1]}, position {tuple(map(int, first[2:]))}"
        raise AssertionError(
            f"{node.name} ({node.kind}) at {place}: {found[first]} instead of {expected[first]}; "
            f"{len(differing)} of {expected.size} values differ"
        )
