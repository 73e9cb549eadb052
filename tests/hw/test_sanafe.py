"""What SANA-FE is told, and what we say it will find; tests/peers/test_sanafe.py asks SANA-FE itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from snn2chip import interpreter
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Graph, Node, Region, frozen
from snn2chip.hw_models import Chip, load_chip, simulate
from snn2chip.hw_models.placement import lowered_for, place
from snn2chip.hw_models.sanafe import expected
from snn2chip.hw_models.sanafe.describe import synapses
from snn2chip.hw_models.sanafe.mapping import CoreMap, mapping_of, synapses_to_cores
from snn2chip.hw_models.sanafe.prices import barrier, times
from snn2chip.hw_models.sanafe.simple import axons_of, loads_of
from snn2chip.hw_models.sanafe.stream import stream
from snn2chip.hw_models.sanafe.trace import Recorder, cell_of
from snn2chip.lowering import Network, to_populations
from snn2chip.ops import LIF, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout
from tests.differential.strategies import Case, cases
from tests.hw import networks


@pytest.fixture(scope="module")
def chip() -> Chip:
    return load_chip("loihi1-sanafe")


def few(folder: Path) -> Chip:
    text = 'name = "few"\ntitle = "few"\ninherits = "loihi1-sanafe"\n[limits]\nneurons_per_core = '
    text += '{ value = 20, unit = "1", kind = "assumed", source = "sanafe" }\n'
    (folder / "few.toml").write_text(text, encoding="utf-8")
    return load_chip(folder / "few.toml")


def test_by_hand(chip: Chip) -> None:
    """The network that docs/hardware-models.md works out: its two cores lie on one tile, the input beside them.

    The input fires in steps 0 and 1. Its events reach all of hidden, which fires once in step 1 and twice in step 2
    and is left with no potential; out is reached in steps 2 and 3.
    """
    totals = expected(networks.chain(), np.array([[1, 0]], np.uint8), chip)[0].totals
    assert (totals.fired, totals.synaptic_events, totals.packets) == (2 + 3, 6 + 6, 2 + 3)
    assert totals.updated == 2 + 3 * 2 + 2 * 2
    assert totals.synapse == pytest.approx(12 * 33.6e-12, rel=1e-9, abs=0)
    assert totals.soma == pytest.approx((5 * 4 * 51.2 + 10 * 21.6 + 3 * 69.3) * 1e-12, rel=1e-9, abs=0)
    assert totals.network == pytest.approx(5 * 111e-12, rel=1e-9, abs=0)  # all on one tile
    visits, taken = 3 * 6.0, 16.0 + 3 * 4.7
    steps = [
        max(visits, taken),
        max(visits + 3 * 3.7 + 30.0 + 5.1, taken, 16.0 + 2 * 4.7),
        max(visits + 3 * 3.7 + 2 * (30.0 + 5.1), 2 * (16.0 + 2 * 4.7)),
        max(visits, 2 * 6.0 + 2 * 3.7),
    ]
    assert totals.seconds == pytest.approx((sum(steps) + 4 * 600.0) * 1e-9, rel=1e-9, abs=0)


def test_logits_are_those_of_the_network(chip: Chip) -> None:
    graph = networks.residual(1, 4)
    images = networks.images(graph)
    found = [one.logits for one in expected(graph, images, chip)]
    np.testing.assert_array_equal(found, interpreter.logits(graph, images))


@pytest.mark.parametrize(("steps", "levels"), [(1, 4), (3, 1)])
def test_counts_are_those_of_the_report(steps: int, levels: int, tmp_path: Path) -> None:
    graph, priced = networks.residual(steps, levels), few(tmp_path)
    images = networks.images(graph)[:1]
    totals = simulate(graph, images, None, priced).totals
    found = expected(graph, images, priced)[0].totals
    rows = {row.action: row for row in totals.actions}
    counts = found.synaptic_events, found.packets, found.fired
    assert counts == (totals.synaptic_operations, totals.messages, totals.events_out)
    assert found.synapse == pytest.approx(rows["synaptic_operation"].energy.nominal, rel=1e-9, abs=0)
    assert found.network == pytest.approx(
        sum(row.energy.nominal for name, row in rows.items() if name in TRAVEL), rel=1e-9, abs=0
    )
    # SANA-FE takes one step more, in which the input is sent, and updates whatever has a potential.
    inputs = totals.events_out - rows["spike_out"].count
    further = found.updated - inputs - rows["neuron_update_active"].count
    assert further > 0
    somas = sum(row.energy.nominal for name, row in rows.items() if name in SOMA)
    assert found.soma == pytest.approx(somas + totals.neurons * 51.2e-12 + further * 21.6e-12, rel=1e-9, abs=0)


TRAVEL = ("message", "hop_x", "hop_y")
SOMA = ("neuron_update_active", "neuron_update_inactive", "spike_out")


@settings(max_examples=60)
@given(cases(max_steps=1, max_input=2, max_levels=3), st.integers(0, 2**32 - 1))
def test_synapses_are_in_bounds_and_none_is_missing(case: Case, seed: int) -> None:
    network = drawn_network(case)
    for target in network.populations:
        for projection in target.projections:
            source, reached, weight = synapses(projection, target)
            whole = Region(range(target.shape[0]), range(target.shape[1] if len(target.shape) == 3 else 1))
            size = int(np.prod(projection.view))
            fan_out = projection.fan_out(whole).reshape(-1)
            np.testing.assert_array_equal(np.bincount(source, minlength=size), fan_out)
            effective = projection.fan_out(whole, effective=True).reshape(-1)
            np.testing.assert_array_equal(np.bincount(source[weight != 0], minlength=size), effective)
            home = np.random.default_rng(seed).integers(0, 5, target.signal.size)
            counted = np.zeros((size, 5), dtype=np.int64)
            np.add.at(counted, (source, home[reached]), 1)
            np.testing.assert_array_equal(synapses_to_cores(projection, target, home, 5), counted)


def drawn_network(case: Case) -> Network:
    try:
        return to_populations(case.graph)
    except GraphError:
        assume(False)
        raise


def chain_of_convolutions(rng: np.random.Generator, reset: Any, steps: int) -> Graph:
    def conv(outputs: int, inputs: int, **geometry: Any) -> Conv2d:
        weight = frozen(rng.integers(-300, 350, (outputs, inputs, 3, 3)), np.int16)
        return Conv2d(weight, frozen(rng.integers(-40, 40, outputs), np.int32), **geometry)

    def neuron(theta: int, channels: int) -> LIF:
        thetas = frozen(np.full(channels, theta), np.int32)
        return LIF(thetas, thetas, frozen(np.full(channels, 4096), np.int32), reset=reset)

    return Graph(
        (
            Node("x", Input((1, 7, 6), 255)),
            Node("image", Conv2d(frozen([[[[1]]]], np.int8)), ("x",)),
            Node("n0", neuron(256, 1), ("image",)),
            Node("c1", conv(4, 1, stride=(2, 1), padding=(1, 0)), ("n0",)),
            Node("n1", neuron(420, 4), ("c1",)),
            Node("c2", conv(3, 4, padding=(2, 1), dilation=(2, 1)), ("n1",)),
            Node("n2", neuron(700, 3), ("c2",)),
            Node("flat", Flatten(), ("n2",)),
            Node("fc", Linear(frozen(rng.integers(-127, 128, (5, 48)), np.int8)), ("flat",)),
            Node("n3", neuron(60, 5), ("fc",)),
            Node("read", Linear(frozen(np.eye(5), np.int8)), ("n3",)),
            Node("out", Readout(), ("read",)),
        ),
        steps,
    )


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_a_stream_is_the_network_step_by_step(reset: str) -> None:
    """Each layer, one step behind the one before: the interpreter's first steps follow those of the empty chain."""
    steps, rng = 12, np.random.default_rng(3)
    graph = without_biases(chain_of_convolutions(rng, reset, steps))
    network = to_populations(graph)
    layers = network.populations[1:-1]
    image = rng.integers(0, 256, (1, 1, 7, 6)).astype(np.uint8)
    recorder = Recorder(network, 1)
    interpreter.run(network.graph, image, [recorder])
    cores = CoreMap(
        {layer.name: np.zeros(layer.signal.size, np.int64) for layer in layers}, *np.zeros((2, 1), np.int64)
    )
    cells = {layer.name: cell_of(network, layer) for layer in layers}
    tracks = stream(layers, cells, image.reshape(-1).astype(np.int64), cores, steps)
    for behind, layer in enumerate(layers):
        track = tracks[layer.name]
        fired = np.zeros((steps, layer.signal.size), dtype=bool)
        fired[track.step, track.neuron] = True
        assert fired.any()
        assert not fired[:behind].any()
        np.testing.assert_array_equal(fired[behind:], recorder.fired[layer.name][0, : steps - behind])
        if behind:  # the recorder counts what arrives from the input as events, the stream as a bias
            updated = recorder.updated[layer.name][0, : steps - behind].sum(axis=1)
            np.testing.assert_array_equal(track.updated[behind:, 0], updated)
        np.testing.assert_array_equal(np.diff(track.step) >= 0, True)


def without_biases(graph: Graph) -> Graph:
    nodes = [replace(n, op=replace(n.op, bias=None)) if isinstance(n.op, Conv2d) else n for n in graph.nodes]
    return Graph(tuple(nodes), graph.steps)


def test_only_chains_stream() -> None:
    network = to_populations(networks.residual(3, 1))
    layers = [population for population in network.populations[1:] if population.levels]
    cores = CoreMap(
        {layer.name: np.zeros(layer.signal.size, np.int64) for layer in layers}, *np.zeros((2, 1), np.int64)
    )
    cells = {layer.name: cell_of(network, layer) for layer in layers}
    with pytest.raises(GraphError, match="layer 'bar' is not reached from 'n1' alone"):
        stream(layers, cells, np.zeros(layers[0].signal.size, np.int64), cores, 2)


def test_what_fades_is_refused(chip: Chip) -> None:
    with pytest.raises(GraphError, match="'hidden' fades"):
        expected(networks.fading(), np.ones((1, 2), np.uint8), chip)


def test_values_are_refused() -> None:
    network = to_populations(networks.graded_skip())
    with pytest.raises(GraphError, match="'n1' sends values up to 3, but SANA-FE's spikes carry none"):
        cell_of(network, network["n1"])


def test_several_chips_are_refused(tmp_path: Path) -> None:
    text = (
        tmp_path / "few.toml",
        'structure]\ncores = { value = 1, unit = "1", kind = "assumed", source = "sanafe" }\n',
    )
    few(tmp_path)
    text[0].write_text(text[0].read_text(encoding="utf-8") + "[" + text[1], encoding="utf-8")
    with pytest.raises(GraphError, match="on 2 chips, but SANA-FE describes one chip"):
        expected(networks.chain(), np.ones((1, 2), np.uint8), load_chip(text[0]))


def test_prices_without_a_place_are_refused() -> None:
    with pytest.raises(UserError, match=r"\[prices\] gives synapse_read a number of its own"):
        expected(networks.chain(), np.ones((1, 2), np.uint8), load_chip("unit"))


def test_too_many_synapses_are_refused(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snn2chip.hw_models.sanafe.describe.MOST_SYNAPSES", 11)
    with pytest.raises(GraphError, match="layer 'out' brings the network beyond 11 synapses"):
        expected(networks.chain(), np.ones((1, 2), np.uint8), chip)


def test_cores_beyond_sana_fe_are_refused(tmp_path: Path) -> None:
    few(tmp_path)
    path = tmp_path / "few.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("value = 20", "value = 2000"), encoding="utf-8")
    nodes = (
        Node("x", Input((1,), 1)),
        Node("in", Linear(frozen(np.ones((1200, 1)), np.int8)), ("x",)),
        Node("wide", MultiLevelIF(frozen(np.ones(1200), np.int32), 1), ("in",)),
        Node("fc", Linear(frozen(np.ones((2, 1200)), np.int8)), ("wide",)),
        Node("out", Readout(), ("fc",)),
    )
    with pytest.raises(GraphError, match="'wide' puts 1200 neurons on a core, but SANA-FE's cores hold 1024"):
        expected(Graph(nodes, 1), np.ones((1, 1), np.uint8), load_chip(path))


def test_names_that_look_alike_stay_apart(chip: Chip) -> None:
    nodes = {"hidden": "a.b", "out": "a_b"}
    renamed = (
        replace(n, name=nodes.get(n.name, n.name), inputs=tuple(nodes.get(name, name) for name in n.inputs))
        for n in networks.chain().nodes
    )
    text = expected(Graph(tuple(renamed), 2), np.ones((1, 2), np.uint8), chip)[0].description.network
    assert len(re.findall("- name: ", text)) == len(set(re.findall(r'- name: "(\w+)"', text))) == 3


def test_the_chip_in_yaml(chip: Chip) -> None:
    text = expected(networks.chain(), np.ones((1, 2), np.uint8), chip)[0].description.architecture
    assert " width: 8\n" in text
    assert " height: 4\n" in text
    wanted = {
        "energy_message_out": {111e-12},
        "latency_message_out": {5.1e-9, 0.0},  # the input's core sends for nothing
        "energy_process_spike": {33.6e-12},
        "latency_process_spike": {4.7e-9},
        "energy_update_neuron": {21.6e-12, 0.0},
        "energy_north_hop": {4.2e-12},
        "energy_west_hop": {3e-12},
        "latency_sync": {600e-9},
    }
    for key, values in wanted.items():
        found = {float(value) for value in re.findall(rf"{key}: (\S+)", text)}
        assert sorted(found) == pytest.approx(sorted(values), rel=1e-12, abs=0), key


def test_our_summary_is_its_simple_time_without_overlap(chip: Chip) -> None:
    """Ours lets a core take in messages, then compute, a step behind their sender; the input takes no step of its own.

    At T = 1 and without skips nothing else differs: SANA-FE updates leftover potentials after the layer's own step.
    """
    graph = without_skip(networks.residual(1, 4, barrier=False))
    images = networks.images(graph)[:1]
    lowering = lowered_for(graph, chip)
    assert lowering is not None
    network = to_populations(lowering.graph)
    cores, recorder = mapping_of(place(network, chip)), Recorder(network, 1)
    interpreter.run(network.graph, lowering.encode(images), [recorder])
    tracks = recorder.tracks(0, cores)
    for population in network.populations:
        tracks[population.name].updated[population.depth + 1 :] = 0
    loads = loads_of(network.populations, cores, axons_of(network.populations, cores), tracks)
    time = times(chip)
    taken = loads.received * time.arrival + loads.operations * time.synaptic_operation
    spent = loads.visited * time.access + loads.updated * time.update + loads.fired * time.spike_out
    spent = spent + loads.sent * time.message
    steps = (taken[:-1] + spent[1:]).max(axis=1)
    latency = simulate(graph, images, None, chip).latency
    assert latency.steps == len(steps)
    assert latency.seconds == pytest.approx(steps.sum() + len(steps) * barrier(chip, cores.tiles), rel=1e-9, abs=0)


def without_skip(graph: Graph) -> Graph:
    nodes = (replace(n, inputs=tuple("n1" if name == "sum" else name for name in n.inputs)) for n in graph.nodes)
    return Graph(tuple(node for node in nodes if node.name != "sum"), graph.steps)
