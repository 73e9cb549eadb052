"""How samples are fed has no part in what they mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given

from snn2chip import engine, interpreter
from snn2chip.errors import UserError
from snn2chip.ops import Input
from tests.differential.comparison import Execute, assert_same, executed
from tests.differential.strategies import Case, cases

both = pytest.mark.parametrize("execute", [interpreter.run, engine.run], ids=["interpreter", "engine"])


@both
@given(case=cases(max_batch=5))
def test_batch_size_does_not_matter(execute: Execute, case: Case) -> None:
    together = executed(execute, case, batch_size=64)
    for size in (1, 2, 3):
        assert_same(together, executed(execute, case, batch_size=size), case.graph)


@both
@given(case=cases(max_batch=4))
def test_samples_do_not_see_one_another(execute: Execute, case: Case) -> None:
    forward = executed(execute, case)
    backward = executed(execute, Case(case.graph, np.ascontiguousarray(case.inputs[::-1])))
    assert_same(forward, {name: tensor[::-1] for name, tensor in backward.items()}, case.graph)


@both
@given(case=cases())
def test_an_image_means_the_same_frame_at_every_step(execute: Execute, case: Case) -> None:
    assert isinstance(case.graph.input.op, Input)
    assume(case.inputs.shape[1:] == case.graph.input.op.shape)
    frames = np.repeat(case.inputs[:, None], case.graph.steps, axis=1)
    assert_same(executed(execute, case), executed(execute, Case(case.graph, frames)), case.graph)


@both
@given(case=cases(max_batch=1))
def test_no_samples_give_no_logits(execute: Execute, case: Case) -> None:
    found = execute(case.graph, case.inputs[:0])
    assert found.shape == (0, case.graph.steps, *case.graph.signals[case.graph.output.name].shape)
    assert found.dtype == np.int32


@both
@given(case=cases(max_batch=1))
def test_outputs_are_int32_per_step(execute: Execute, case: Case) -> None:
    found = execute(case.graph, case.inputs)
    assert found.shape == (1, case.graph.steps, *case.graph.signals[case.graph.output.name].shape)
    assert found.dtype == np.int32


@both
@given(case=cases(max_batch=1, max_input=254))
def test_unfit_inputs_are_refused(execute: Execute, case: Case) -> None:
    op = case.graph.input.op
    assert isinstance(op, Input)
    with pytest.raises(UserError, match="dtype int64"):
        execute(case.graph, case.inputs.astype(np.int64))
    with pytest.raises(UserError, match="shape"):
        execute(case.graph, case.inputs[..., None, None])
    with pytest.raises(UserError, match=f"holds {op.largest + 1}"):
        execute(case.graph, np.full_like(case.inputs, op.largest + 1))
