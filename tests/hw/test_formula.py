"""The corrected formula against a calculation written down term by term, sharing no code with the model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models.chip import load_chip
from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.hw_models.simulate import simulate
from snn2chip.ops import Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout
from tests.hw.networks import graded_skip, images, residual


def access(bits: float, capacity: float) -> tuple[float, float, float]:
    """Joules (low, nominal, high) of one access to `bits` in a memory of `capacity` bits."""
    size = capacity / 8 / 1024  # KiB
    if size <= 8:
        whole = 10 * size / 8
    elif size <= 32:
        whole = 10 + 10 * (size - 8) / 24
    else:
        whole = 20 + 80 * (min(size, 1024) - 32) / 992
    return tuple(whole * 1e-12 * min(1.0, bits / width) for width in (64, 32, 1))  # type: ignore[return-value]


def add(bits: int) -> float:
    """Joules of an addition: 0.03, 0.05 and 0.1 pJ at 8, 16 and 32 bits."""
    if bits <= 8:
        return 0.03e-12
    return (0.03 + 0.02 * (bits - 8) / 8 if bits <= 16 else 0.05 + 0.05 * (bits - 16) / 16) * 1e-12


def multiply(bits: int) -> float:
    return (0.2 + 2.9 * (max(bits, 8) - 8) / 24) * 1e-12


def layer(report: NetworkReport, name: str) -> LayerRow:
    return next(row for row in report.layers if row.name == name)


def counts(row: LayerRow) -> dict[str, float]:
    return {action.action: action.count for action in row.actions}


def test_a_barrier_is_charged_for_its_additions_potentials_and_levels() -> None:
    report = simulate(graded_skip(), np.array([[3, 0]], np.uint8), None, load_chip("lemaire-45nm"))
    row = layer(report, "bar")  # n1 = [3, 0] by the skip, n2 = [3, 2]: 3 events, 3 additions, 2 events out
    assert counts(row) == {
        "event_read": 3,
        "potential_read": 3 + 2,
        "potential_write": 3 + 2,
        "event_write": 2,
        "accumulate": 3,
        "address": 3,
        "compare": 2,  # theta = 2: one shift a neuron
    }
    # Two values up to 3: the potential has 3 bits. An event has 2 bits of value and 1 of address.
    queue, potential = access(3, 1000 * 3), access(3, 2 * 3)
    expected = [5 * queue[i] + 10 * potential[i] + (3 + 2) * add(3) + 3 * add(1) for i in range(3)]
    assert [row.energy.low, row.energy.nominal, row.energy.high] == pytest.approx(expected, rel=1e-12, abs=0)


def test_a_convolution_counts_its_borders_exactly() -> None:
    """2 steps of 3 x 3 windows, padded, over a 3 x 3 map with events in a corner and in the middle."""
    kernel, bias = frozen(np.arange(-9, 9).reshape(2, 1, 3, 3), np.int8), frozen([5, 0], np.int32)
    graph = Graph(
        (
            Node("x", Input((1, 3, 3), 1)),
            Node("conv", Conv2d(kernel, bias, padding=(1, 1)), ("x",)),
            Node("n", MultiLevelIF(frozen([3, 4], np.int32), 1), ("conv",)),
            Node("flat", Flatten(), ("n",)),
            Node("fc", Linear(frozen(np.ones((1, 18)), np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=2,
    )
    image = np.zeros((1, 1, 3, 3), np.uint8)
    image[0, 0, 0, 0] = image[0, 0, 1, 1] = 1
    report = simulate(graph, image, None, load_chip("lemaire-45nm"))
    row = layer(report, "n")
    operations = 2 * (4 + 9) * 2  # steps, targets of corner and middle, output channels
    spikes = row.events_out
    assert row.synaptic_operations == operations
    assert row.effective_operations == 2 * (4 + 9 + 3 + 8)  # channel 1 has the weight 0 at its first tap
    assert counts(row) == {
        "event_read": 4,
        "weight_read": operations,
        "potential_read": operations + 2 * 18,
        "potential_write": operations + 2 * 18,
        "bias_read": 2 * 9,  # one channel has a bias
        "event_write": spikes,
        "accumulate": operations + 2 * 9 + spikes,  # synapses, bias, soft reset
        "compare": 2 * 18,
        "address": operations,
        "address_multiply": 2 * 4,
    }
    bits = layer_bits(row, "potential")
    expected = (
        4 * access(4, 1000 * 4)[1]
        + operations * access(5, 18 * 5)[1]
        + 2 * (operations + 36) * access(bits, 18 * bits)[1]
        + 18 * access(32, 32)[1]
        + spikes * access(5, 1000 * 5)[1]
        + (operations + 18 + spikes + 36) * add(bits)
        + operations * add(math.ceil(math.log2(18)))
        + 8 * multiply(5)
    )
    assert row.energy.nominal == pytest.approx(expected, rel=1e-12, abs=0)


def layer_bits(row: LayerRow, memory: str) -> int:
    return next(found.word_bits for found in row.memories if found.memory == memory)


def test_graded_events_pay_a_product_and_binary_ones_do_not() -> None:
    chip = load_chip("lemaire-45nm")
    graded, binary = residual(levels=4), residual(levels=1)
    row = layer(simulate(graded, images(graded), None, chip), "n1")
    assert counts(row)["multiply"] == row.synaptic_operations
    assert "multiply" not in counts(layer(simulate(binary, images(binary), None, chip), "n1"))


def test_nothing_is_reset_where_no_state_survives() -> None:
    chip = load_chip("lemaire-45nm")
    for steps in (1, 2):
        graph = residual(steps=steps, levels=4)
        row = layer(simulate(graph, images(graph), None, chip), "n1")
        reset = row.spikes_out if steps > 1 else 0.0
        assert counts(row)["accumulate"] == pytest.approx(row.synaptic_operations + steps * 144 + reset)
