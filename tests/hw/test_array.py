"""The dense array against arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.results import LayerRow
from snn2chip.hw_models.simulate import simulate
from snn2chip.ops import Add, Input, Linear, MultiLevelIF, Readout
from tests.hw.networks import images, residual


def rows(chip: Chip, fraction: float = 1.0) -> dict[str, LayerRow]:
    graph = residual(levels=7)
    inputs = images(graph) * (np.random.default_rng(0).random((4, 2, 6, 6)) < fraction).astype(np.uint8)
    return {row.name: row for row in simulate(graph, inputs, None, chip).layers}


def counts(row: LayerRow) -> dict[str, float]:
    return {action.action: action.count for action in row.actions}


#: Taps of a padded 3 x 3 window over 6 x 6: 16 inner outputs, 16 on an edge, 4 in a corner.
PLACES = 16 * 9 + 16 * 6 + 4 * 4


def test_dense_work_does_not_depend_on_the_input() -> None:
    chip = load_chip("dense-45nm")
    busy, idle = rows(chip)["n1"], rows(chip, fraction=0.0)["n1"]
    assert counts(busy) == counts(idle)
    assert busy.cycles == idle.cycles
    assert counts(busy) == {
        "weight_read": 4 * 4 * 9 + 4,  # each weight once, and 4 biases
        "activation_read": 4 * PLACES,  # 4 channels; 4 outputs share a read, for the array has 16 columns
        "sum_read": 144 * 2,  # 36 inputs of a sum take 16 rows three times: it waits twice
        "sum_write": 144 * 2,
        "activation_write": 144,
        "multiply": 4 * 4 * PLACES,
        "accumulate": 4 * 4 * PLACES + 144,  # and the bias
        "requantize": 144,
    }
    assert busy.cycles == 3 * (36 + 16)  # three tiles: 36 positions streamed, 16 rows of weights loaded


def test_a_sum_of_two_branches_waits_between_them() -> None:
    """20 inputs take 16 rows twice, 3 once: three passes, and the 5 sums wait in memory between each two of them."""
    rng = np.random.default_rng(3)

    def linear(outputs: int, inputs: int) -> Linear:
        return Linear(frozen(rng.integers(1, 4, (outputs, inputs)), np.int8))

    graph = Graph(
        (
            Node("x", Input((20,), 3)),
            Node("near", linear(3, 20), ("x",)),
            Node("n", MultiLevelIF(frozen(np.full(3, 20), np.int32), 3), ("near",)),
            Node("deep", linear(5, 3), ("n",)),
            Node("skip", linear(5, 20), ("x",)),
            Node("both", Add(), ("deep", "skip")),
            Node("m", MultiLevelIF(frozen(np.full(5, 30), np.int32), 3), ("both",)),
            Node("fc", linear(2, 5), ("m",)),
            Node("out", Readout(), ("fc",)),
        ),
        1,
    )
    found = {row.name: counts(row) for row in simulate(graph, images(graph), None, load_chip("dense-45nm")).layers}
    assert (found["m"]["sum_read"], found["m"]["sum_write"]) == (5 * 2, 5 * 2)
    assert (found["n"]["sum_read"], found["n"]["sum_write"]) == (3, 3)
    assert "sum_read" not in found["out"], "one pass leaves nothing to wait for"


def test_zero_skipping_pays_for_events_and_bitmaps() -> None:
    row = rows(load_chip("dense-45nm-zero-skipping"), fraction=0.3)["n1"]
    found = counts(row)
    assert found["multiply"] == row.synaptic_operations < 4 * 4 * PLACES
    assert found["activation_read"] == row.synaptic_operations / 4
    assert found["bitmap_read"] == 4 * PLACES
    assert found["bitmap_write"] == 144
    assert found["activation_write"] == row.events_out
    dense = 4 * 4 * PLACES
    assert row.cycles == pytest.approx(3 * 16 + 3 * 36 * row.synaptic_operations / dense, rel=1e-12)


def test_sums_and_pools_are_charged() -> None:
    found = rows(load_chip("dense-45nm"))
    assert counts(found["bar"])["elementwise_add"] == 2 * 144
    assert counts(found["bar"])["activation_read"] == 2 * 144
    assert counts(found["pool"])["elementwise_add"] == 144
    assert found["pool"].cycles == 144 / 16


def test_skipping_never_costs_time_and_saves_energy_where_zeros_are() -> None:
    dense, skipping = (rows(load_chip(name), 0.3) for name in ("dense-45nm", "dense-45nm-zero-skipping"))
    for name in ("n0", "n1", "out"):
        assert (skipping[name].cycles or 0) <= (dense[name].cycles or 0)
    assert skipping["n0"].energy.nominal < dense["n0"].energy.nominal


def test_layers_run_one_after_the_other() -> None:
    graph = residual(levels=7)
    report = simulate(graph, images(graph), None, load_chip("dense-45nm"))
    assert report.latency.cycles == sum(row.cycles or 0 for row in report.layers)
    assert report.latency.seconds == pytest.approx((report.latency.cycles or 0) / 200e6, rel=1e-9, abs=0)
