"""Random networks of every operation: what is quantized is legal, or refused by name; calibration runs what is run."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from snn2chip import engine, interpreter, spec
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.interpreter import Recorder
from snn2chip.ops import Scale, SpikingNeuron
from snn2chip.quantize import Precision, quantize
from snn2chip.quantize import float_engine as calibration_engine
from snn2chip.quantize.agreement import agreement
from snn2chip.quantize.integer import prepare
from snn2chip.quantize.post_training import PostTraining, post_training
from tests.differential.strategies import EVERYTHING, Case, cases


@settings(max_examples=200)
@seed(7)
@given(cases(max_batch=4, **EVERYTHING))
def test_the_calibration_engine_computes_integers_as_the_interpreter_does(case: Case) -> None:
    recorder = Recorder()
    interpreter.run(case.graph, case.inputs, [recorder])
    for node, value in calibration_engine.run(case.graph, case.inputs):
        interval = case.graph.signals[node.name].interval
        if max(-interval.min, interval.max) > spec.MEMBRANE_LIMIT:  # logits may be longer than float32 is exact
            continue
        found = value.numpy().swapaxes(0, 1)
        np.testing.assert_array_equal(found, recorder.tensors[node.name], err_msg=node.name)


def real(op: Op, rng: np.random.Generator, scale: float) -> Op:
    """The operation with real numbers near its integers, times `scale`."""
    changed: dict[str, Any] = {}
    for field in fields(op):  # type: ignore[arg-type]  # operations are dataclasses
        value = getattr(op, field.name)
        if isinstance(value, np.ndarray):
            changed[field.name] = frozen(_near(field.name, value, rng, scale))
    if hasattr(op, "fraction_bits"):
        changed["fraction_bits"] = 0
    return replace(op, **changed)  # type: ignore[type-var]


def _near(name: str, values: Array, rng: np.random.Generator, scale: float) -> Array:
    noise = rng.uniform(-0.4, 0.4, values.shape)
    if name == "decay":
        return np.clip((values + noise * (values % 4096 > 0)) / 4096, 0, 1)
    if name == "floor":
        return np.minimum(values + noise, 0) * scale
    near: Array = (values + noise * (values != 0)) * scale
    return near


@st.composite
def float_cases(draw: st.DrawFn) -> Case:
    """A float graph with real numbers of any size, a value per spike behind some neurons, and inputs for it."""
    case = draw(cases(max_batch=4, max_steps=4, max_levels=15, **EVERYTHING))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    agreeing = draw(st.booleans())
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in case.graph.nodes:
        scale = float(2.0 ** rng.integers(-20, 6))
        op = real(node.op, rng, scale) if node.inputs else node.op
        nodes.append(Node(node.name, op, tuple(renamed.get(name, name) for name in node.inputs)))
        if isinstance(op, SpikingNeuron):
            value = 0.25 if agreeing else float(rng.choice([0.25, 0.5, 0.75, 0.3333]))
            nodes.append(Node(f"{node.name}.value", Scale(value), (node.name,)))
            renamed[node.name] = f"{node.name}.value"
    return Case(Graph(tuple(nodes), case.graph.steps), case.inputs)


def outputs(graph: Graph, inputs: Array) -> Array:
    return interpreter.run(graph, inputs)


def test_what_is_quantized_is_legal_or_refused_by_name() -> None:
    refused: list[bool] = []
    differing: list[float] = []

    @settings(max_examples=150)
    @seed(8)
    @given(float_cases(), st.integers(2, 8))
    def check(case: Case, bits: int) -> None:
        integer = quantized_or_named(case.graph, Precision(bits))
        refused.append(integer is None)
        if integer is None:
            return
        assert spec.broken_rule(integer) is None
        found = interpreter.run(integer, case.inputs)
        np.testing.assert_array_equal(engine.run(integer, case.inputs), found)
        units = [np.asarray(node.unit) for node in integer.nodes]
        assert all(np.isfinite(unit).all() and (unit > 0).all() for unit in units)
        if bits == 8:
            differing.extend(1 - layer.equal for layer in agreement(case.graph, integer, case.inputs).layers.values())

    check()
    assert np.mean(refused) < 0.1
    assert np.mean(differing) < 0.02


def quantized_or_named(graph: Graph, precision: Precision) -> Graph | None:
    """The integer graph; None where it is refused by a sentence that names a node."""
    try:
        return quantize(graph, precision)
    except GraphError as error:
        refusal = str(error)
    assert any(repr(node.name) in refusal for node in prepared_or_given(graph).nodes), refusal
    return None


def prepared_or_given(graph: Graph) -> Graph:
    try:
        return prepare(graph).graph
    except GraphError:
        return graph


@settings(max_examples=150)
@seed(9)
@given(float_cases())
def test_preparing_keeps_the_function_but_for_what_it_reports(case: Case) -> None:
    try:
        prepared = prepare(case.graph)
    except GraphError:
        return
    if any(found.what.startswith("ratio") for found in prepared.approximations):
        return
    found, expected = outputs(prepared.graph, case.inputs), outputs(case.graph, case.inputs)
    scale = np.abs(expected).max(initial=1e-30)
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-6)


@pytest.mark.parametrize("scale", ["max", "percentile", "mse", "error"])
@pytest.mark.parametrize("shifts", [False, True])
@settings(max_examples=12)
@seed(10)
@given(case=float_cases(), bits=st.integers(2, 8))
def test_calibration_of_any_kind_gives_legal_networks(scale: Any, shifts: bool, case: Case, bits: int) -> None:
    corrections = ("bias",) if shifts else ("bias", "threshold")
    chosen = PostTraining(Precision(bits), scale=scale, corrections=corrections, shift_thresholds=shifts)
    if quantized_or_named(case.graph, Precision(bits)) is None:
        return
    try:
        found = post_training(case.graph, chosen, case.inputs)
    except GraphError as error:
        refusal = str(error)
    else:
        assert spec.broken_rule(found.graph) is None
        return
    assert shifts, refusal
    assert "no power of two" in refusal
