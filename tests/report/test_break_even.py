"""Where energies meet, and what grows with events: the split is held against runs of other activity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.ops import LIF, Add, Conv2d, Flatten, Input, Linear, MaxPool2d, MultiLevelIF, Readout
from snn2chip.report import EnergyReport
from snn2chip.report.break_even import break_even
from snn2chip.report.membrane import POTENTIAL, membrane
from snn2chip.report.side_by_side import break_even as break_even_sheet
from snn2chip.report.side_by_side import membrane as membrane_sheet
from tests.hw.networks import images, residual


def dense(seed: int = 0) -> Graph:
    """16 inputs, two layers of 12 neurons with a bias and N = 3, 4 classes, T = 1: every event has one fan-out."""
    rng = np.random.default_rng(seed)

    def linear(outputs: int, inputs: int) -> Linear:
        weights = frozen(rng.integers(-20, 60, (outputs, inputs)), np.int8)
        return Linear(weights, frozen(rng.integers(1, 50, outputs), np.int32))

    def neuron() -> MultiLevelIF:
        return MultiLevelIF(frozen(np.full(12, 150), np.int32), 3)

    return Graph(
        (
            Node("x", Input((16,), 3)),
            Node("l1", linear(12, 16), ("x",)),
            Node("n1", neuron(), ("l1",)),
            Node("l2", linear(12, 12), ("n1",)),
            Node("n2", neuron(), ("l2",)),
            Node("fc", linear(4, 12), ("n2",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=1,
    )


def fading() -> Graph:
    """16 inputs, 12 binary neurons, 12 that fade and read the input as well, 4 classes, T = 2."""
    rng = np.random.default_rng(2)

    def linear(outputs: int, inputs: int) -> Linear:
        return Linear(frozen(rng.integers(-20, 60, (outputs, inputs)), np.int8))

    theta, decay = frozen(np.full(12, 150), np.int32), frozen(np.full(12, 3000), np.int32)
    return Graph(
        (
            Node("x", Input((16,), 3)),
            Node("l1", linear(12, 16), ("x",)),
            Node("n1", LIF(theta, theta, decay, levels=1), ("l1",)),
            Node("l2", linear(12, 12), ("n1",)),
            Node("skip", linear(12, 16), ("x",)),
            Node("sum", Add(), ("l2", "skip")),
            Node("n2", LIF(theta, theta, decay, levels=1), ("sum",)),
            Node("fc", linear(4, 12), ("n2",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=2,
    )


def run(chip: str, density: float) -> NetworkReport:
    rng = np.random.default_rng(1)
    inputs = (rng.integers(1, 4, (8, 16)) * (rng.random((8, 16)) < density)).astype(np.uint8)
    return simulate(dense(), inputs, None, load_chip(chip), label="own")


def part(row: LayerRow, growing: bool) -> float:
    grown = sum(action.growing.nominal for action in row.actions if action.growing is not None)
    return grown if growing else row.energy.nominal - grown


@pytest.mark.parametrize("chip", ["unit", "loihi2", "lemaire-45nm"])
def test_what_grows_is_in_proportion_to_events_and_the_rest_stays(chip: str) -> None:
    """In a chain of Linear layers each event costs the same: two runs of other activity must agree on both parts."""
    sparse, busy = run(chip, 0.2), run(chip, 0.9)
    inner = [place for place, row in enumerate(sparse.layers) if row.depth > 1]
    assert len(inner) == 2
    for place in inner:
        a, b = sparse.layers[place], busy.layers[place]
        assert b.events_in > 1.2 * a.events_in > 0
        assert part(a, growing=False) == pytest.approx(part(b, growing=False), rel=1e-9, abs=0)
        if not a.events_out:  # the readout sends nothing: all that grows belongs to what arrives
            assert part(a, growing=True) / a.events_in == pytest.approx(
                part(b, growing=True) / b.events_in, rel=1e-9, abs=0
            )


def growing(row: LayerRow) -> dict[str, float]:
    """Times that each action grows, of those that cost anything."""
    return {
        action.action: action.count * action.growing.nominal / action.energy.nominal
        for action in row.actions
        if action.growing is not None and action.energy.nominal
    }


@pytest.mark.parametrize("chip", ["unit", "lemaire-45nm"])
def test_leaks_and_what_the_input_causes_do_not_grow(chip: str) -> None:
    report = simulate(fading(), images(fading()), None, load_chip(chip))
    first, second = (row for row in report.layers if row.name in ("n1", "n2"))
    from_input, from_layer = report.layers[0].events_out, first.events_out
    assert from_layer > 0
    assert second.synaptic_operations == 12 * (from_input + from_layer)
    found = growing(second)
    if chip == "unit":
        assert found["synaptic_operation"] == pytest.approx(12 * from_layer)
        assert found["message"] == pytest.approx(second.messages)
        assert (found["leak_multiply"], found["neuron_update_active"], found["barrier"]) == (0, 0, 0)
        assert found["payload_multiply"] == 0, "the layer's spikes are binary, the input's values are not"
    else:
        assert found["accumulate"] == pytest.approx(12 * from_layer + second.spikes_out)  # and a reset a spike
        assert found["potential_write"] == pytest.approx(12 * from_layer)
        assert found["multiply"] == 0, "products with a decay, and with the values of the input"
        assert found["event_write"] == pytest.approx(second.events_out)
    assert growing(first).get("accumulate", 0.0) == pytest.approx(first.spikes_out if chip != "unit" else 0.0)


def test_maxima_grow_and_comparisons_with_a_threshold_do_not() -> None:
    """Behind 4 neurons of N = 3 with odd thresholds: a comparison for each of the 4 events, none of them rests."""
    odd, ones = frozen(np.full(1, 3), np.int32), frozen(np.ones((1, 1, 1, 1)), np.int8)
    graph = Graph(
        (
            Node("x", Input((1, 1, 4), 9)),
            Node("c", Conv2d(ones), ("x",)),
            Node("n", MultiLevelIF(odd, 3), ("c",)),
            Node("max", MaxPool2d((1, 2), (1, 2)), ("n",)),
            Node("flat", Flatten(), ("max",)),
            Node("fc", Linear(frozen([[1, 2]], np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=1,
    )
    report = simulate(graph, np.array([[[[3, 6, 9, 4]]]], np.uint8), None, load_chip("lemaire-45nm"))
    rows = {row.name: {action.action: action.count for action in row.actions} for row in report.layers}
    assert (rows["n"]["compare"], rows["max"]["compare"]) == (4 * 3, 4)
    found = {row.name: growing(row) for row in report.layers}
    assert found["n"]["compare"] == 0
    assert found["max"]["compare"] == pytest.approx(4)


@pytest.mark.parametrize("chip", ["loihi2", "lemaire-45nm"])
def test_at_the_break_even_both_cost_the_same(chip: str) -> None:
    own, other = run(chip, 0.6), simulate(dense(), images(dense()), None, load_chip("dense-45nm"), label="array")
    found = break_even(own, other)
    assert found is not None
    growing = sum(part(row, growing=True) for row in own.layers)
    resting = sum(part(row, growing=False) for row in own.layers)
    assert growing + resting == pytest.approx(own.energy.dynamic.nominal, rel=1e-9, abs=0)
    assert resting + found.factor.nominal * growing == pytest.approx(other.energy.dynamic.nominal, rel=1e-9, abs=0)
    assert found.activity.nominal == pytest.approx(own.totals.activity * found.factor.nominal)
    assert found.factor.low <= found.factor.nominal <= found.factor.high


def test_no_break_even_where_events_do_not_count() -> None:
    graph = dense()
    ann = simulate(graph, images(graph), None, load_chip("dense-45nm"))
    assert break_even(ann, ann) is None
    assert break_even(simulate(graph, images(graph), None, load_chip("lemaire-45nm-qualia")), ann) is None


def test_only_networks_on_arrays_are_met() -> None:
    own, graph = run("lemaire-45nm", 0.5), dense()
    ann = simulate(graph, images(graph), None, load_chip("dense-45nm"), label="array")
    report = EnergyReport((own, own, ann))
    assert [item.label for item in report.break_even] == ["array"]
    (row,) = break_even_sheet(report).rows
    assert row[1] == f"{own.totals.activity:.3f}"


def test_where_nothing_breaks_even_one_none_says_so() -> None:
    own, graph = run("loihi2", 0.5), dense()
    ann = simulate(graph, images(graph), None, load_chip("dense-45nm"), label="array")
    (row,) = break_even_sheet(EnergyReport((own, ann))).rows
    assert row[2:] == ("none", "none")


def test_potentials_stay_out_of_memory_only_at_one_step() -> None:
    chip = load_chip("lemaire-45nm")
    once, twice = (simulate(graph, images(graph), None, chip) for graph in (residual(), residual(steps=2)))
    found = membrane(once)
    assert found is not None
    spent = sum(row.energy.nominal for row in once.totals.actions if row.action in POTENTIAL)
    assert found.with_traffic == once.energy.dynamic
    assert 0 < found.without_traffic.nominal == pytest.approx(once.energy.dynamic.nominal - spent, rel=1e-9, abs=0)
    assert membrane(twice) is None
    assert membrane(simulate(residual(), images(residual()), None, load_chip("unit"))) is None
    assert len(membrane_sheet(EnergyReport((once, replace(twice, label="T=2")))).rows) == 1
