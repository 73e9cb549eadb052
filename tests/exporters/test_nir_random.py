"""Random networks through the NIR form: written, read back, run by NIRTorch and norse, equal to the interpreter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from snn2chip import interpreter
from snn2chip.exporters.nir_form import NirExporter
from snn2chip.interop import norse
from snn2chip.ops import SpikingNeuron
from tests.differential.comparison import assert_same, executed
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.exporters.stepping import step_by_step

#: What the form may refuse, by a part of the message.
REFUSALS = ("kernel cannot be padded", "partial sums may reach", "dense tensor of shape", "maxima of currents")
#: Over several steps it refuses maxima of counts that are not binary, too.
REFUSALS_OVER_STEPS = (*REFUSALS, "maxima of counts")


def _outcome(case: Case, refusals: tuple[str, ...] = REFUSALS) -> str:
    """``exact``, or why the form refuses; an assertion fails where it differs."""
    form, graph = NirExporter(), case.graph
    if refusal := form.refusal(graph):
        assert any(f"node {node.name!r} ({node.kind})" in refusal for node in graph.nodes)
        return next(known for known in refusals if known in refusal)
    with TemporaryDirectory() as folder:
        form.write(graph, Path(folder))
        found = form.executors[0].run(graph, Path(folder), case.inputs)
        module = norse.load(Path(folder, "model.nir"))
    expected = executed(interpreter.run, case)
    assert set(found) == {node.name for node in graph.of_kind(SpikingNeuron)} | {graph.output.name}
    assert_same(expected, found, graph)
    assert (step_by_step(module, case.graph, case.inputs) == expected[graph.output.name]).all()
    return "exact"


@pytest.mark.parametrize("levels", [1, 8, 255])
def test_every_random_network_is_exact_or_refused_by_name(levels: int) -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=70)
    @given(cases(max_steps=1, max_levels=levels, **EVERYTHING))
    def check(case: Case) -> None:
        outcomes[_outcome(case)] += 1

    check()
    # About 0.73 of many draws; which few are drawn here also depends on what else was imported.
    assert outcomes["exact"] > 0.3 * outcomes.total(), outcomes


def test_stock_neurons_over_several_steps_are_exact_or_refused_by_name() -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=90)
    @given(cases(only_hard_reset=True))
    def check(case: Case) -> None:
        outcomes[_outcome(case, REFUSALS_OVER_STEPS)] += 1

    check()
    assert outcomes["exact"] > 0.3 * outcomes.total(), outcomes
