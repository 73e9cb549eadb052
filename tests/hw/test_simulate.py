"""The report as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.errors import GraphError, UserError
from snn2chip.hw_models import simulate as public_simulate
from snn2chip.hw_models.chip import available_chips, load_chip
from snn2chip.hw_models.results import SCHEMA
from snn2chip.hw_models.simulate import simulate
from tests.hw.networks import chain, images, residual, unit


@pytest.mark.parametrize("name", available_chips())
def test_the_same_simulation_gives_the_same_bytes(name: str) -> None:
    graph = residual(levels=3)
    inputs, labels = images(graph), np.array([0, 1, 2, 0])
    first, second = (simulate(graph, inputs, labels, load_chip(name)).to_json() for _ in range(2))
    assert first == second
    document = json.loads(first)
    assert document["schema"] == SCHEMA
    assert document["graph_digest"] == graph.digest


def test_accuracy_is_that_of_the_summed_logits() -> None:
    graph = residual(steps=3, levels=2)
    inputs = images(graph, samples=20)
    predicted = interpreter.logits(graph, inputs).argmax(axis=1)
    labels = np.where(np.arange(20) < 15, predicted, (predicted + 1) % 3)
    assert simulate(graph, inputs, labels, load_chip("unit")).accuracy == 0.75


def test_batches_do_not_matter() -> None:
    graph = residual(steps=2, levels=3)
    inputs = images(graph, samples=7)
    reports = [simulate(graph, inputs, None, load_chip("loihi2"), batch_size=size).to_json() for size in (1, 3, 7)]
    assert reports[0] == reports[1] == reports[2]


def test_a_chip_without_payload_gets_the_unary_lowering_and_says_so() -> None:
    graph = residual(levels=4)
    report = simulate(graph, images(graph), None, load_chip("loihi1-davies2018"))
    assert report.form == "unary"
    assert any("lowered to binary neurons" in note for note in report.notes)
    assert any("stands for N binary neurons with a copy of all its synapses" in note for note in report.notes)
    assert report.graph_digest == graph.digest
    assert report.levels == 4
    graded = simulate(graph, images(graph), None, load_chip("loihi2"))
    sent = {row.name: row for row in graded.layers}
    for row in report.layers:
        if row.name in sent and row.name != "out":
            assert row.events_out == sent[row.name].spikes_out  # k unary events for one of value k


def test_levels_over_several_steps_are_refused_on_such_a_chip() -> None:
    graph = residual(steps=2, levels=4)
    with pytest.raises(GraphError, match="'n0' has N=4 levels over T=2 steps"):
        simulate(graph, images(graph), None, load_chip("loihi1-davies2018"))


def test_latency_counts_the_pipeline() -> None:
    graph = residual(steps=3, levels=2)
    latency = simulate(graph, images(graph), None, load_chip("loihi2")).latency
    assert (latency.steps, latency.interval_steps) == (3 + 5 - 1, 3)
    assert latency.cycles is not None
    assert latency.interval_cycles is not None
    assert latency.interval_cycles < latency.cycles


def test_notes_say_what_time_and_placement_stand_for(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="2", structure__cores="4", structure__tile_columns="2")
    notes = " ".join(simulate(chain(), np.array([[1, 0]], np.uint8), None, chip).notes)
    assert "3 of 4 cores on 1 chip are in use" in notes
    assert "Latency is a lower bound: the time of hops" in notes
    # The figures are those of docs/hardware-models.md.
    assert "takes 3 steps (23 ns); in a stream, one ends every 2 steps (17 ns). Static energy is charged" in notes
    assert "breaks limits" not in notes
    uncertain = " ".join(simulate(chain(), images(chain()), None, load_chip("loihi1-sanafe")).notes)
    assert re.search(r"takes 3 steps \(.* µs, .* to .* µs by the times of the chip file\); in a stream", uncertain)


def test_notes_count_the_numbers_that_are_assumed(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ninherits = "unit"\nprices.message = { value = 2, unit = "pJ", kind = "measured", '
                    'source = "unit" }\n', encoding="utf-8")  # fmt: skip
    notes = simulate(chain(), images(chain()), None, load_chip(path)).notes
    assert (
        "22 of 23 prices, 13 of 13 times and 12 of 12 numbers on structure, clock and power of mine are assumed."
        in notes
    )
    graph = residual(levels=1)
    published = simulate(graph, images(graph), None, load_chip("loihi1-davies2018")).notes
    assert "4 of 14 numbers on structure, clock and power of loihi1-davies2018 are assumed." in published


def test_unary_operations_are_not_what_the_unary_lowering_performs() -> None:
    graph = residual(levels=4)
    graded, unary = (simulate(graph, images(graph), None, load_chip(name)) for name in ("loihi2", "loihi1-davies2018"))
    rows = {row.name: row for row in graded.layers}
    lowered = {row.name: row for row in unary.layers}
    assert lowered["n1"].synaptic_operations == 4 * rows["n1"].unary_operations > 0


def test_the_formula_knows_no_time_and_no_static_power() -> None:
    graph = residual()
    report = simulate(graph, images(graph), None, load_chip("lemaire-45nm"))
    assert report.latency.seconds is None
    assert report.energy.static is None
    assert report.placement is None
    assert report.energy.total == report.energy.dynamic
    assert any("Static power is unknown" in note for note in report.notes)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (np.zeros((0, 2), np.uint8), None, "no samples to simulate"),
        (np.zeros((2, 2), np.uint8), np.zeros(3, int), "3 labels for 2 inputs"),
        (np.zeros((2, 3), np.uint8), None, "has shape"),
        (np.full((2, 2), 9, np.uint8), None, "holds 9"),
    ],
)
def test_unfit_inputs_are_refused(inputs: np.ndarray, labels: np.ndarray | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        simulate(chain(), inputs, labels, load_chip("unit"))


def test_it_is_public() -> None:
    assert public_simulate is simulate
