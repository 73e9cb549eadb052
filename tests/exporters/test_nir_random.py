"""Random networks through the NIR form: written, read back, run by NIRTorch and norse, equal to the interpreter.

And read again by us: the same graph, and confirmed by the exporter. `make fuzz` draws two thousand.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings

from snn2chip import interpreter
from snn2chip.exporters import exporter
from snn2chip.exporters.base import Confirms, Exporter
from snn2chip.frontend import nir_fold
from snn2chip.graph import Graph
from snn2chip.interop import norse
from snn2chip.ops import SpikingNeuron
from tests.differential.comparison import assert_same, executed
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.exporters.stepping import step_by_step

#: What the form may refuse, by a part of the message.
REFUSALS = (
    "kernel cannot be padded",
    "partial sums may reach",
    "dense tensor of shape",
    "maxima of currents",
    "there are more than",
)
OVER_TIME = (*REFUSALS, "how a leak is computed", "which is reset to zero", "one step later", "no floor under its")
#: And what each profile may refuse besides; of `nir`, which chooses one, the last that it tries refuses.
OWN: dict[str, tuple[str, ...]] = {
    "nir": REFUSALS,
    "nir-compact": (*REFUSALS, "a node for each of at most"),
    "nir-snntorch": REFUSALS,
    "nir-composed": OVER_TIME,
    "nir-unrolled": (*OVER_TIME, "a reset to zero leaves is no sum"),
}


def _outcome(case: Case, name: str = "nir") -> str:
    """``exact``, or why the form refuses; an assertion fails where it differs, or does not come back as it was."""
    form, graph = exporter(name), case.graph
    if refusal := form.refusal(graph):
        assert any(f"node {node.name!r} ({node.kind})" in refusal for node in graph.nodes)
        return next(known for known in OWN[name] if known in refusal)
    with TemporaryDirectory() as folder:
        form.write(graph, Path(folder))
        path = Path(folder, form.files[0])
        found = form.executors[0].run(graph, Path(folder), case.inputs)
        _assert_comes_back(graph, path, form)
        module = norse.load(path)
    expected = executed(interpreter.run, case)
    assert set(found) == {node.name for node in graph.of_kind(SpikingNeuron)} | {graph.output.name}
    assert_same(expected, found, graph)
    if name != "nir-unrolled":  # whose steps are channels
        assert (step_by_step(module, case.graph, case.inputs) == expected[graph.output.name]).all()
    return "exact"


def _assert_comes_back(graph: Graph, path: Path, form: Exporter) -> None:
    again = nir_fold.read_own(path)
    assert again is not None
    assert again.graph.digest == graph.digest
    assert isinstance(form, Confirms)
    form.confirm(again.graph, path)


def _outcomes(count: int, name: str, **limits: Any) -> Counter[str]:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=count)
    @given(cases(**limits))
    def check(case: Case) -> None:
        outcomes[_outcome(case, name)] += 1

    check()
    return outcomes


@pytest.mark.parametrize("levels", [1, 8, 255])
def test_every_random_network_is_exact_or_refused_by_name(levels: int) -> None:
    outcomes = _outcomes(25, "nir", max_steps=1, max_levels=levels, **EVERYTHING)
    # About 0.73 of many draws; which few are drawn here also depends on what else was imported.
    assert outcomes["exact"] > 0.3 * outcomes.total(), outcomes


@pytest.mark.parametrize("name", ["nir-compact", "nir-snntorch"])
def test_other_profiles_in_one_step(name: str) -> None:
    outcomes = _outcomes(12, name, max_steps=1, max_levels=8, **EVERYTHING)
    assert outcomes["exact"] > 0.3 * outcomes.total(), outcomes


def test_stock_neurons_over_several_steps_are_exact_or_refused_by_name() -> None:
    outcomes = _outcomes(20, "nir", only_hard_reset=True)
    assert outcomes["exact"] > 0.3 * outcomes.total(), outcomes


@pytest.mark.parametrize(("name", "steps", "count"), [("nir-composed", 8, 15), ("nir-unrolled", 3, 12)])
@pytest.mark.parametrize("leaky", [False, True], ids=["multi-level", "everything"])
def test_soft_resets_over_several_steps(name: str, steps: int, count: int, leaky: bool) -> None:
    limits = EVERYTHING if leaky else {"allow_leaky": False}
    outcomes = _outcomes(count, name, max_steps=steps, max_levels=12, **limits)
    assert outcomes["exact"] > (0 if leaky else 0.15) * outcomes.total(), outcomes
