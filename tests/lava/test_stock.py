"""Lava's own Conv, Dense and Sparse processes give the interpreter's integers, or the network is refused by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from snn2chip import interpreter, lava_environment
from snn2chip.artifact import Samples
from snn2chip.certify import EXACT, certify, first_divergence, reference
from snn2chip.errors import GraphError
from snn2chip.exporters.lava import joined
from snn2chip.exporters.lava.host import Result, run_documents
from snn2chip.exporters.lava.stock import parts as parts_module
from snn2chip.exporters.lava.stock.exporter import RUNNER, StockExporter
from snn2chip.exporters.lava.stock.file import read
from snn2chip.exporters.lava.stock.parts import CONV, DELAY, DENSE, SPARSE, lower
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.lava_environment import LavaEnvironment
from snn2chip.ops import Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SpikingNeuron
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.lava.conftest import MARKED
from tests.lava.faults import Faulty


def run(environment: LavaEnvironment, drawn: Sequence[Case]) -> list[Result]:
    """All cases in one worker."""

    def prepare(work: Path) -> list[dict[str, Any]]:
        return [_job(case, work / str(index)) for index, case in enumerate(drawn)]

    return run_documents(prepare, environment)


def _job(case: Case, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    StockExporter().write(case.graph, folder)
    record = tuple(node.name for node in case.graph.of_kind(SpikingNeuron))
    return joined.document(case.graph, case.inputs, folder, RUNNER, folder / "lava-stock", record)


def assert_exact(case: Case, result: Result) -> None:
    """Every neuron layer and the logits, at every step."""
    if result.error is not None:
        raise result.error
    expected = reference(case.graph, case.inputs)
    assert set(result.tensors) == set(expected)
    assert first_divergence(expected, result.tensors) is None


@settings(max_examples=1)
@given(st.lists(cases(max_steps=3, max_batch=2, **EVERYTHING), min_size=6, max_size=6))
def test_random_networks(environment: LavaEnvironment, drawn: list[Case]) -> None:
    small = [case for case in drawn if StockExporter().refusal(case.graph) is None]
    assert small, "every network was refused"
    for case, result in zip(small, run(environment, small), strict=True):
        assert_exact(case, result)


def test_skips_are_aligned(environment: LavaEnvironment, residual_graph: Graph, images: Array) -> None:
    """The skip from `if1` to the sum goes round two convolutions: two steps."""
    delays = [part for part in lower(residual_graph) if part.process == DELAY]
    assert [(part.inputs, part.arguments["lag"]) for part in delays] == [(("if1",), 2)]
    (result,) = run(environment, [Case(residual_graph, images)])
    assert_exact(Case(residual_graph, images), result)


def test_the_other_kind_of_environment(
    current_environment: LavaEnvironment, residual_graph: Graph, images: Array
) -> None:
    (result,) = run(current_environment, [Case(residual_graph, images)])
    assert_exact(Case(residual_graph, images), result)


def dense_network(weight: Array, largest: int = 255, steps: int = 2) -> Graph:
    """One dense layer, of which the currents are read."""
    nodes = (
        Node("input", Input((weight.shape[1],), largest)),
        Node("fc", Linear(frozen(weight, np.int8), frozen(np.arange(len(weight)) - 1, np.int32)), ("input",)),
        Node("logits", Readout(), ("fc",)),
    )
    return Graph(nodes, steps)


def test_dense_and_sparse_keep_every_bit(environment: LavaEnvironment) -> None:
    """Odd weights lose their lowest bit, and the largest are clipped, where Lava is left to itself."""
    rng = np.random.default_rng(0)
    odd = 2 * rng.integers(-64, 63, (5, 9)) + 1
    matrices = {
        DENSE: [odd, np.abs(odd), -np.abs(odd), np.full((2, 9), -127), np.full((2, 9), 127), np.full((2, 9), -64)],
        SPARSE: [np.where(rng.random((6, 12)) < 0.3, rng.integers(-127, 128, (6, 12)), 0), np.zeros((2, 3))],
    }
    graphs = [(process, dense_network(weight)) for process, weights in matrices.items() for weight in weights]
    for process, graph in graphs:
        assert [part.process for part in lower(graph)][1] == process
    drawn = [Case(graph, rng.integers(0, 256, (3, *graph.input.op.shape)).astype(np.uint8)) for _, graph in graphs]  # type: ignore[attr-defined]
    for case, result in zip(drawn, run(environment, drawn), strict=True):
        assert_exact(case, result)


def conv_network(weight: Array, channels: int, size: tuple[int, int], largest: int = 255, **window: Any) -> Graph:
    """One convolution with a neuron of 255 levels, whose spikes are read."""
    conv = Conv2d(frozen(weight, np.int8), None, **window)
    nodes = (
        Node("input", Input((channels, *size), largest)),
        Node("conv", conv, ("input",)),
        Node("if", MultiLevelIF(frozen(np.full(len(weight), 3), np.int32), 255), ("conv",)),
        Node("flat", Flatten(), ("if",)),
        Node("fc", Linear(frozen(np.ones((1, 1)), np.int8)), ("flat",)),
        Node("logits", Readout(), ("fc",)),
    )
    features = Graph(nodes[:4], 1).signals["flat"].size
    classes = Node("fc", Linear(frozen(np.eye(features), np.int8)), ("flat",))
    return Graph((*nodes[:4], classes, nodes[5]), 2)


def test_kernels_groups_strides_and_dilations(environment: LavaEnvironment) -> None:
    """Nothing is symmetric, so that a kernel that is not flipped, or an axis that is swapped, is seen."""
    rng = np.random.default_rng(1)

    def case(channels: int, outputs: int, kernel: tuple[int, int], groups: int = 1, **window: Any) -> Case:
        weight = rng.integers(-127, 128, (outputs, channels // groups, *kernel))
        graph = conv_network(weight, channels, (7, 5), groups=groups, **window)
        return Case(graph, rng.integers(0, 256, (2, channels, 7, 5)).astype(np.uint8))

    drawn = [
        case(2, 3, (3, 2)),
        case(2, 3, (2, 3), stride=(2, 1), padding=(0, 2)),
        case(4, 6, (3, 3), groups=2, stride=(1, 2), padding=(2, 1)),
        case(3, 3, (3, 1), groups=3, dilation=(2, 1), padding=(1, 0)),
    ]
    for one, result in zip(drawn, run(environment, drawn), strict=True):
        assert_exact(one, result)
        assert one.graph.signals["if"].size > np.count_nonzero(result.tensors["if"]) / 4 > 0


def test_sums_that_would_wrap_are_refused(environment: LavaEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """260 inputs of 255 times weights of 127 pass 2^23, where Lava's Conv begins anew at -2^23."""
    reach = 260 * 255 * 127
    nodes = (
        Node("input", Input((260, 1, 1), 255)),
        Node("conv", Conv2d(frozen(np.full((1, 260, 1, 1), 127), np.int8)), ("input",)),
        Node("flat", Flatten(), ("conv",)),
        Node("logits", Readout(), ("flat",)),
    )
    graph, x = Graph(nodes, 1), np.full((1, 260, 1, 1), 255, np.uint8)
    limit = f"may reach {reach}, but Lava's process keeps sums up to {2**23 - 1}: use fewer weight bits"
    assert StockExporter().refusal(graph) == f"node 'conv' (Conv2d) {limit}"
    monkeypatch.setattr(parts_module, "CONV_LIMIT", 2**31)
    (result,) = run(environment, [Case(graph, x)])
    assert result.tensors["logits"].tolist() == [[[reach - 2**24]]], "it does not wrap: the refusal is not needed"


def test_large_networks_are_refused() -> None:
    graph = conv_network(np.ones((129, 128, 1, 1)), 128, (1, 1))
    with pytest.raises(
        GraphError, match=r"node 'conv' .* past 16384 kernels: Lava's own processes are for small networks"
    ):
        lower(graph)


def test_what_is_stored_is_what_runs(
    environment: LavaEnvironment, residual_graph: Graph, images: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(lava_environment.PYTHON_VARIABLE, str(environment.python))
    exporter = StockExporter()
    exporter.write(residual_graph, tmp_path)
    parts, steps = read(tmp_path / "lava-stock")
    assert steps == residual_graph.steps
    assert [part.name for part in parts] == [part.name for part in lower(residual_graph)]
    tensors = load_file(tmp_path / "lava-stock" / "processes.safetensors")
    tensors["conv3//weight"][0, 0, 0, 0] += 3
    save_file(tensors, tmp_path / "lava-stock" / "processes.safetensors")
    divergence = first_divergence(
        reference(residual_graph, images), exporter.executors[0].run(residual_graph, tmp_path, images)
    )
    assert divergence is not None
    assert divergence.layer == "if3"


def test_it_is_certified_where_it_was_asked_for(
    environment: LavaEnvironment, residual_graph: Graph, images: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(lava_environment.PYTHON_VARIABLE, str(environment.python))
    notes = StockExporter().write(residual_graph, tmp_path)
    assert notes["processes"] == {CONV: 4, DENSE: 1, SPARSE: 0, "Cells": 7}
    results = certify(residual_graph, tmp_path, Samples(images)).results
    (found,) = [result for result in results if result.form == "lava-stock"]
    assert (found.executor, found.status) == ("lava stock", EXACT)
    assert set(found.layers) == {"if1", "marked", "if3", "barrier", "logits"}
    assert interpreter.run(residual_graph, images).any()


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ('raise ValueError("planted")', "ValueError: planted"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process died (signal SIGKILL)"),
    ],
    ids=["exception", "SIGKILL"],
)
def test_a_process_of_lavas_own_that_fails_is_named(
    faulty: Callable[..., Faulty], residual_graph: Graph, images: Array, action: str, sentence: str
) -> None:
    """Lava itself forgets the exception and waits for ever."""
    worker = faulty(f"""
import os, signal
from lava.proc.conv import models
original, calls = models.utils.conv, []
def conv(*arguments):
    calls.append(1)
    if len(calls) == 3 and arguments[1].shape[0] == {MARKED}:
        {action}
    return original(*arguments)
models.utils.conv = conv
""")
    began = time.monotonic()
    (result,) = run(worker.environment, [Case(residual_graph, images)])
    assert time.monotonic() - began < 10
    assert result.tensors == {}
    assert sentence in str(result.error)
    assert "'conv2'" in str(result.error)
