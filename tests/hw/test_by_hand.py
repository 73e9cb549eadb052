"""Networks of 3 to 7 neurons on the unit chip, against arithmetic done by hand (docs/hardware-models.md shows it)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snn2chip.graph import Graph
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.results import LayerRow, NetworkReport
from snn2chip.hw_models.simulate import simulate
from tests.hw.networks import chain, fading, graded_skip, maxima, unit

PJ = 1e-12


def report(graph: Graph, image: list[int], chip: Chip) -> NetworkReport:
    return simulate(graph, np.array([image], np.uint8), np.array([0]), chip)


def layer(found: NetworkReport, name: str) -> LayerRow:
    return next(row for row in found.layers if row.name == name)


def actions(row: LayerRow) -> dict[str, float]:
    return {action.action: action.count for action in row.actions}


@pytest.fixture
def two_by_two(tmp_path: Path) -> Chip:
    """4 cores on 2 x 2 tiles, 2 neurons a core: `chain` takes cores 0 and 1 for its 3 neurons, and core 2."""
    return unit(tmp_path, limits__neurons_per_core="2", structure__cores="4", structure__tile_columns="2")


class TestChain:
    @pytest.fixture
    def found(self, two_by_two: Chip) -> NetworkReport:
        return report(chain(), [1, 0], two_by_two)

    def test_the_input_is_sent_to_both_cores_at_every_step(self, found: NetworkReport) -> None:
        assert actions(layer(found, "x")) == {"message": 4, "hop_x": 2}
        assert layer(found, "x").events_out == 2

    def test_hidden_layer(self, found: NetworkReport) -> None:
        row = layer(found, "hidden")
        assert (row.cores, row.neurons, row.depth, row.weights) == (2, 3, 1, 6)
        assert (row.events_in, row.events_out, row.spikes_out) == (2, 3, 3)
        assert (row.synaptic_operations, row.effective_operations, row.unary_operations) == (6, 4, 6)
        assert actions(row) == {
            "synaptic_operation": 6,
            "synapse_read": 4,
            "axon_in_read": 4,
            "accumulator_read": 6,
            "accumulator_write": 6,
            "neuron_update_active": 6,
            "state_read": 6,
            "state_write": 6,
            "barrier": 6,
            "spike_out": 3,
            "message": 3,
            "axon_out_read": 3,
            "hop_x": 1,
            "hop_y": 3,
        }
        assert row.cycles == 5 + 7
        assert row.energy.nominal == pytest.approx(63 * PJ, rel=1e-12, abs=0)

    def test_readout(self, found: NetworkReport) -> None:
        row = layer(found, "out")
        assert (row.synaptic_operations, row.effective_operations) == (6, 4)
        assert actions(row) == {
            "synaptic_operation": 6,
            "synapse_read": 3,
            "axon_in_read": 3,
            "accumulator_read": 6,
            "accumulator_write": 6,
            "neuron_update_active": 4,
            "state_read": 4,
            "state_write": 4,
            "barrier": 3,
        }
        assert row.cycles == 5 + 8

    def test_time_is_the_slowest_core_of_each_step_and_the_barrier(self, found: NetworkReport) -> None:
        assert found.latency.steps == 3
        assert found.latency.cycles == 5 + 7 + 8 + 3
        assert found.latency.seconds == pytest.approx(23e-9, rel=1e-12, abs=0)
        assert found.latency.interval_steps == 2
        assert found.latency.interval_cycles == 8 + 7 + 2

    def test_energy(self, found: NetworkReport) -> None:
        assert found.energy.dynamic.nominal == pytest.approx(108 * PJ, rel=1e-12, abs=0)
        assert found.energy.static is not None
        assert found.energy.static.nominal == pytest.approx(23 * PJ, rel=1e-12, abs=0)
        assert found.energy.total.nominal == pytest.approx(131 * PJ, rel=1e-12, abs=0)

    def test_totals_and_accuracy(self, found: NetworkReport) -> None:
        assert (found.totals.neurons, found.totals.cores, found.totals.messages, found.totals.hops) == (5, 3, 7, 6)
        assert found.accuracy == 1.0


class TestGradedSkip:
    @pytest.fixture
    def found(self) -> NetworkReport:
        return report(graded_skip(), [3, 0], load_chip("unit"))

    def test_first_layer(self, found: NetworkReport) -> None:
        row = layer(found, "n1")
        assert (row.events_in, row.events_out, row.spikes_out) == (1, 1, 3)
        assert (row.synaptic_operations, row.unary_operations) == (2, 6)
        expected = {"payload_multiply": 2, "synapse_read": 1, "level_shift": 1, "level_compare": 2}
        assert expected.items() <= actions(row).items()

    def test_a_value_pays_for_its_bits_on_every_link(self, found: NetworkReport) -> None:
        row = layer(found, "n1")  # to n2, one tile on, and to the barrier, two tiles on: 2 bits each
        assert (row.messages, row.hops, row.payload_bits) == (2, 3, 4)
        assert actions(row)["payload_bit_hop"] == 6

    def test_the_skip_waits_one_step(self, found: NetworkReport) -> None:
        row = layer(found, "bar")
        assert row.depth == 3
        assert (row.events_in, row.synaptic_operations, row.unary_operations) == (3, 3, 8)
        expected = {"delay_read": 1, "delay_write": 1, "level_shift": 2, "payload_multiply": 3, "axon_in_read": 3}
        assert expected.items() <= actions(row).items()
        assert "level_compare" not in actions(row)
        assert "synapse_read" not in actions(row)

    def test_memories_are_as_wide_as_what_they_hold(self, found: NetworkReport) -> None:
        widths = {memory.memory: memory.word_bits for memory in layer(found, "bar").memories}
        assert widths["delay"] == 3  # that there is an event, and 2 bits of value
        assert widths["state"] == 3  # 0 .. 6


def test_idle_neurons_are_visited_in_every_step_of_the_pipeline(tmp_path: Path) -> None:
    chip = unit(tmp_path, choices__idle_neurons='"visited"')
    found = report(graded_skip(), [0, 0], chip)
    row = layer(found, "bar")  # 2 neurons, 4 steps, nothing arrives
    assert actions(row) == {"neuron_update_inactive": 8, "state_read": 8, "barrier": 4}
    # Every step lasts as long as a core with two idle neurons, and the barrier.
    assert found.latency.cycles == 4 * (2 + 1)


def test_untouched_neurons_are_inactive(tmp_path: Path) -> None:
    found = report(graded_skip(), [1, 0], load_chip("unit"))
    # n1 = [1, 0]; n2 = floor([1, 2] / [1, 3]) = [1, 0]: only the first neuron of the barrier is reached.
    assert actions(layer(found, "bar"))["neuron_update_active"] == 1
    assert actions(layer(found, "bar"))["neuron_update_inactive"] == 1


class TestLeakyNeuron:
    """3 neurons whose membrane and current fade, T = 2, input [1, 0] at both steps, all on one core.

    Currents: 4, then 4/2 + 4 = 6 in neuron 0; neuron 1 gets 1, then 0 + 1 = 1. v = 4 >= 3: spike, u = 0; v = 6: spike.
    """

    @pytest.fixture
    def found(self, tmp_path: Path) -> NetworkReport:
        return report(fading(), [1, 0], unit(tmp_path, limits__neurons_per_core="4"))

    def test_every_neuron_is_active_at_every_step_and_fades_twice(self, found: NetworkReport) -> None:
        row = layer(found, "hidden")
        assert (row.events_in, row.events_out, row.synaptic_operations, row.effective_operations) == (2, 2, 6, 4)
        assert actions(row)["neuron_update_active"] == 6
        assert actions(row)["leak_multiply"] == 12
        assert "level_compare" not in actions(row)
        assert row.operation == "Linear + LIF"

    def test_state_holds_membrane_and_current(self, found: NetworkReport) -> None:
        memories = {memory.memory: memory for memory in layer(found, "hidden").memories}
        # current in 0..6 (3 bits), v in 0..6 (3 bits)
        assert (memories["state"].word_bits, memories["accumulator"].word_bits) == (6, 3)

    def test_cycles(self, found: NetworkReport) -> None:
        # an arrival, 3 operations, 3 visits with 2 leaks each, a spike, a message, at both steps: 1 + 3 + 3 + 6 + 1 + 1
        assert layer(found, "hidden").cycles == 30


class TestMaximum:
    """A 1x4 map of 3-level spikes [2, 3, 0, 0], windows of 2: maxima [3, 0]."""

    @pytest.fixture
    def found(self, tmp_path: Path) -> NetworkReport:
        return simulate(maxima(), np.array([[[[2, 3, 0, 0]]]], np.uint8), None, unit(tmp_path))

    def test_an_event_is_a_comparison_without_a_product(self, found: NetworkReport) -> None:
        row = layer(found, "max")
        assert (row.events_in, row.synaptic_operations, row.events_out, row.spikes_out) == (2, 2, 1, 3)
        assert (row.weights, row.neurons, row.operation) == (0, 2, "MaxPool2d")
        assert "payload_multiply" not in actions(row)
        assert actions(row)["neuron_update_active"] == 1

    def test_what_reads_the_maxima_multiplies(self, found: NetworkReport) -> None:
        assert actions(layer(found, "logits"))["payload_multiply"] == 1
