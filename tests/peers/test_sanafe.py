"""SANA-FE, run as a program of its own, finds what we say it will: counts exactly, energies and time to 1e-9."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings

from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph
from snn2chip.hw_models import Chip, load_chip, simulate
from snn2chip.hw_models.sanafe import Expected, Simple, expected
from snn2chip.ops import Linear
from tests.differential.strategies import Case, cases
from tests.hw import networks
from tests.peers import qualia_networks as larger
from tests.peers.sanafe_runs import simulated

FEW_NEURONS = """name = "few"
title = "few neurons a core"
inherits = "loihi1-sanafe"
[limits]
neurons_per_core = { value = 20, unit = "1", kind = "assumed", source = "sanafe" }
"""


#: Families of drawn networks: binary ones over several steps, graded ones in one step, and other resets.
DRAWN: tuple[dict[str, Any], ...] = (
    {"max_levels": 1, "max_steps": 3, "max_input": 3, "allow_leaky": False},
    {"max_levels": 4, "max_steps": 1, "max_input": 3, "allow_leaky": False},
    {"max_steps": 3, "max_input": 1, "only_hard_reset": True},
)


def drawn(limits: dict[str, Any]) -> list[Case]:
    """Networks drawn at random, the same ones in every run."""
    found: list[Case] = []

    @settings(max_examples=40, derandomize=True, database=None, phases=[Phase.generate])
    @given(cases(max_batch=1, **limits))
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def chosen() -> dict[str, tuple[Graph, Array]]:
    rng = np.random.default_rng(0)
    graphs = {
        "three dense layers": networks.chain(),
        "graded skip": networks.graded_skip(),
        "maxima": networks.maxima(),
        "residual, N=4": networks.residual(1, 4),
        "residual, N=4, SEW": networks.residual(1, 4, barrier=False),
        "residual, T=3": networks.residual(3, 1),
        "sequential, T=4": larger.sequential(4),
        "sequential, N=4": larger.sequential(1, 4, 3),
        "currents that meet": larger.currents(4),
    }

    def images(graph: Graph) -> Array:
        op: Any = graph.input.op
        found = rng.integers(0, op.largest + 1, (2, *op.shape)).astype(np.uint8)
        found[..., 0] = op.largest  # no image is empty
        return found

    return {name: (graph, images(graph)) for name, graph in graphs.items()}


CHOSEN = chosen()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    path = tmp_path_factory.mktemp("chip") / "few.toml"
    path.write_text(FEW_NEURONS, encoding="utf-8")
    return load_chip(path)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Expected, dict[str, Any]]]]:
    chip = load_chip("loihi1-sanafe")
    ours = {name: expected(graph, inputs, chip) for name, (graph, inputs) in CHOSEN.items()}
    folder = tmp_path_factory.mktemp("sanafe")
    theirs = iter(simulated([one.description for found in ours.values() for one in found], folder))
    return {name: [(one, next(theirs)) for one in found] for name, found in ours.items()}


def check(ours: Expected, theirs: dict[str, Any]) -> None:
    """Every figure that SANA-FE prints, and the logits that its readout holds at the end."""
    check_totals(ours.totals, theirs)
    assert theirs["potentials"] == ours.logits.tolist()


def check_totals(ours: Simple, theirs: dict[str, Any]) -> None:
    assert (ours.fired, ours.updated, ours.synaptic_events, ours.packets) == (
        theirs["neurons_fired"],
        theirs["neurons_updated"],
        theirs["spikes"],
        theirs["packets_sent"],
    )
    energy = theirs["energy"]
    for name, joules in (("synapse", ours.synapse), ("soma", ours.soma), ("network", ours.network)):
        assert joules == pytest.approx(energy[name], rel=1e-9, abs=0)
    assert ours.dendrite == energy["dendrite"] == 0
    assert ours.synapse + ours.soma + ours.network == pytest.approx(energy["total"], rel=1e-9, abs=0)
    assert ours.seconds == pytest.approx(theirs["sim_time"], rel=1e-9, abs=0)


@pytest.mark.parametrize("name", CHOSEN)
def test_chosen_networks(name: str, both: dict[str, list[tuple[Expected, dict[str, Any]]]]) -> None:
    for ours, theirs in both[name]:
        check(ours, theirs)


@pytest.mark.parametrize("name", CHOSEN)
def test_our_own_report_counts_the_same(name: str, both: dict[str, list[tuple[Expected, dict[str, Any]]]]) -> None:
    graph, inputs = CHOSEN[name]
    for sample, (_, theirs) in enumerate(both[name]):
        report = simulate(graph, inputs[sample : sample + 1], None, load_chip("loihi1-sanafe"))
        assert report.totals.synaptic_operations == theirs["spikes"] > 0
        assert report.totals.events_out == theirs["neurons_fired"]
        # Where two paths lead from one layer to another, SANA-FE sends one message for both.
        twice = sum(row.events_out for row in report.layers if name == "currents that meet" and row.name == "n0")
        assert report.totals.messages == theirs["packets_sent"] + twice


def test_one_step_without_biases_needs_no_gates(tmp_path: Path) -> None:
    chip = load_chip("loihi1-sanafe")
    graph = larger.sequential(1, 4, 3, biased=False)
    nodes = [replace(n, op=replace(n.op, bias=None)) if isinstance(n.op, Linear) else n for n in graph.nodes]
    found = expected(Graph(tuple(nodes), 1), larger.images(graph), chip)
    plain = [replace(one.description, gates=()) for one in found]
    for ours, theirs in zip(found, simulated(plain, tmp_path), strict=True):
        check(ours, theirs)
        assert theirs["neurons_fired"] > 100


@pytest.mark.parametrize("limits", DRAWN, ids=("binary", "graded", "hard reset"))
def test_drawn_networks(limits: dict[str, Any], few: Chip, tmp_path: Path) -> None:
    ours: list[Expected] = []
    for case in drawn(limits):
        try:
            ours += expected(case.graph, case.inputs, few)
        except GraphError as error:
            if not any(reason in str(error) for reason in REFUSED):
                raise
    assert len(ours) >= 25
    for found, theirs in zip(ours, simulated([one.description for one in ours], tmp_path), strict=True):
        check(found, theirs)
    assert len({one.totals.packets for one in ours}) > 8


#: What no core holds, and what binary spikes cannot say.
REFUSED = (
    "which no core can send",
    "stands between synapses and neuron",
    "whose levels binary spikes do not say",
    "exceed 8 bits as binary spikes",
)


def test_what_fades_is_refused_by_name() -> None:
    with pytest.raises(GraphError, match="'hidden' fades"):
        expected(networks.fading(), np.ones((1, 2), np.uint8), load_chip("loihi1-sanafe"))


def test_a_chip_with_more_prices_than_sana_fe_is_refused() -> None:
    with pytest.raises(UserError, match=r"unit\.toml: \[prices\] gives \w+ a number of its own"):
        expected(networks.chain(), np.ones((1, 2), np.uint8), load_chip("unit"))
