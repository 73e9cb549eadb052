"""Figures of reports recounted from the tensors, synapse by synapse, with nothing of the models but the placement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.graph import Array, Graph, Node, Region, frozen
from snn2chip.hw_models.chip import available_chips, load_chip
from snn2chip.hw_models.placement import lowered_for, place
from snn2chip.hw_models.results import LayerRow, Range
from snn2chip.hw_models.simulate import simulate
from snn2chip.lowering import Network, Population, to_populations
from snn2chip.ops import Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout
from snn2chip.report.membrane import membrane
from tests.hw.networks import graded_skip, images, residual, unit
from tests.hw.taps import taps

Tensors = dict[str, Array]


def strided(steps: int = 1) -> Graph:
    """Convolutions of 3-bit and 5-bit weights, stride 2 and groups, with fewer and more channels than an array has."""
    rng = np.random.default_rng(11)

    def conv(outputs: int, inputs: int, most: int, stride: int, groups: int) -> Conv2d:
        weight = frozen(rng.integers(-most - 1, most + 1, (outputs, inputs // groups, 3, 3)), np.int8)
        return Conv2d(weight, stride=(stride, stride), padding=(1, 1), groups=groups)

    def neuron(channels: int, theta: int) -> MultiLevelIF:
        return MultiLevelIF(frozen(np.full(channels, theta), np.int32), 3)

    return Graph(
        (
            Node("x", Input((3, 7, 7), 9)),
            Node("c1", conv(20, 3, 3, 2, 1), ("x",)),
            Node("n1", neuron(20, 5), ("c1",)),
            Node("c2", conv(6, 20, 15, 1, 2), ("n1",)),
            Node("n2", neuron(6, 9), ("c2",)),
            Node("flat", Flatten(), ("n2",)),
            Node("fc", Linear(frozen(rng.integers(-4, 4, (3, 96)), np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps,
    )


def recorded(network: Network, inputs: Array) -> Tensors:
    """Every tensor ``[samples, T, *shape]``."""
    recorder = interpreter.Recorder()
    interpreter.run(network.graph, inputs, [recorder])
    return recorder.tensors


def bits_of(weight: Array) -> int:
    return next(bits for bits in range(1, 9) if -(2 ** (bits - 1)) <= weight.min() and weight.max() < 2 ** (bits - 1))


def homes(population: Population, regions: Sequence[Region]) -> Array:
    """Which of the regions each neuron lies in."""
    found = np.full(population.shape, -1)
    for number, region in enumerate(regions):
        found[region.mask(population.shape) == 1] = number
    assert (found >= 0).all()
    return found


def count(row: LayerRow, action: str) -> float:
    return next((each.count for each in row.actions if each.action == action), 0.0)


@pytest.mark.parametrize("neurons", ["7", "50", "1024"])
def test_words_of_weights_are_packed(neurons: str, tmp_path: Path) -> None:
    """At every core and place that an event reaches: the bits of its weights there, in whole words of 8 bits."""
    chip = unit(tmp_path, limits__neurons_per_core=neurons, structure__cores="900")
    graph = strided(steps=2)
    network, inputs = to_populations(graph), images(graph, samples=2)
    tensors, placement = recorded(network, inputs), place(network, chip)
    rows = {row.name: row for row in simulate(graph, inputs, None, chip).layers}
    for population in network.populations[1:]:
        (projection,) = population.projections
        assert isinstance(projection.op, (Conv2d, Linear))
        events = (tensors[projection.source] != 0).sum(axis=(0, 1)).reshape(projection.view)
        core, bits = homes(population, placement.regions[population.name]), bits_of(projection.op.weight)
        here = Counter((source, core[target], target[1:]) for source, target, _ in taps(projection.op, projection.view))
        words = sum(int(events[source]) * -(-weights * bits // 8) for (source, _, _), weights in here.items())
        assert count(rows[population.name], "synapse_read") == words / len(inputs)
        assert rows[population.name].synaptic_operations <= words / len(inputs) * 8 // bits


@pytest.mark.parametrize("skips", [False, True])
def test_the_memories_of_the_array(skips: bool) -> None:
    """A read of an activation serves 16 outputs of one place; sums of more than 16 inputs wait between passes."""
    graph = strided(steps=2)
    network, inputs = to_populations(graph), images(graph, samples=2)
    tensors, samples = recorded(network, inputs), 2
    chip = load_chip("dense-45nm-zero-skipping" if skips else "dense-45nm")
    rows = {row.name: row for row in simulate(graph, inputs, None, chip).layers}
    for population in network.populations[1:]:
        (projection,) = population.projections
        op, row = projection.op, rows[population.name]
        assert isinstance(op, (Conv2d, Linear))
        groups = op.groups if isinstance(op, Conv2d) else 1
        columns, inputs_of_a_sum = len(op.weight) // groups, op.weight[0].size
        met = {(source, target[1:]) for source, target, _ in taps(op, projection.view)}
        values = tensors[projection.source].reshape(samples, graph.steps, *projection.view)
        dense = graph.steps * len(met)
        events = (values != 0).sum(axis=(0, 1))
        shown = sum(int(events[source]) for source, _ in met) / samples if skips else dense
        assert count(row, "activation_read") == shown * -(-columns // 16)
        assert count(row, "multiply") == shown * columns
        assert count(row, "bitmap_read") == (dense * -(-columns // 16) if skips else 0)
        assert count(row, "weight_read") == op.weight.size * graph.steps
        waits = population.neurons * graph.steps * (-(-inputs_of_a_sum // 16) - 1)
        kept = population.neurons * graph.steps  # potentials and logits, between two steps
        assert (count(row, "sum_read"), count(row, "sum_write")) == (waits + kept, waits + kept)
    weights = [memory for row in rows.values() for memory in row.memories if memory.memory == "weight"]
    assert [memory.word_bits for memory in weights] == [3, 5, 3]


def access(bits: int, words: int) -> Range:
    """A word of a memory of so many words: Horowitz's three sizes, of 64, 32 or (at most) one bit an access."""
    size = bits * words / 8 / 1024
    whole = float(np.interp(size, [0, 8, 32, 1024], [0, 10e-12, 20e-12, 100e-12]))
    return Range(whole * bits / 64, whole * bits / 32, whole)


def test_one_step_without_potentials() -> None:
    """Each operation and each update reads and writes a potential: without them, their price is missing, no other."""
    graph = graded_skip()
    inputs = images(graph, samples=3)
    report = simulate(graph, inputs, None, load_chip("lemaire-45nm"))
    found, network = membrane(report), to_populations(graph)
    assert found is not None
    tensors = recorded(network, inputs)
    expected = np.zeros(3)
    for population in network.populations[1:]:
        operations = 0.0
        for projection in population.projections:
            events = (tensors[projection.source] != 0).sum(axis=(0, 1)) / len(inputs)
            operations += sum(events[source] for source, _, _ in taps(projection.op, projection.view))
        touched = 2 * (operations + population.neurons)  # T = 1
        each = access(population.state_bits, population.neurons)
        expected += touched * np.array([each.low, each.nominal, each.high])
    saved = found.with_traffic - found.without_traffic
    assert (saved.low, saved.nominal, saved.high) == pytest.approx(tuple(expected), rel=1e-9, abs=0)
    assert found.with_traffic == report.energy.dynamic


@pytest.mark.parametrize("neurons", ["4", "20"])
def test_hops_of_a_network_lowered_to_binary_neurons(neurons: str, tmp_path: Path) -> None:
    """Every spike goes to every core with a target of it, along x and then along y."""
    entry = f'{{ value = {neurons}, unit = "1", kind = "assumed", source = "davies2018" }}'
    path = tmp_path / "small.toml"
    path.write_text(
        f'name = "small"\ntitle = "t"\ninherits = "loihi1-davies2018"\nlimits.neurons_per_core = {entry}\n'
        'structure.cores = { value = 4096, unit = "1", kind = "assumed", source = "davies2018" }\n'
    )
    chip, graph = load_chip(path), residual(levels=3, size=4)
    inputs = images(graph, samples=2)
    lowering = lowered_for(graph, chip)
    assert lowering is not None
    network = to_populations(lowering.graph)
    tensors, placement = recorded(network, lowering.encode(inputs)), place(network, chip)
    rows = {row.name: row for row in simulate(graph, inputs, None, chip).layers}
    for population in network.populations[:-1]:
        assert tensors[population.name].max() == 1
        along_x = along_y = messages = 0
        home = np.zeros((2, *population.shape), np.int64)  # the input enters at tile 0, 0
        if own := placement.slots[population.name]:
            home = np.array([(slot.x, slot.y) for slot in own])[homes(population, [slot.region for slot in own])]
            home = np.moveaxis(home, -1, 0)
        for projection in network.outgoing[population.name]:
            events = tensors[population.name].sum(axis=(0, 1)).reshape(projection.view)
            x, y = home.reshape(2, *projection.view)
            slots = placement.slots[projection.target]
            core = homes(network[projection.target], [slot.region for slot in slots])
            for source, to in {(source, core[target]) for source, target, _ in taps(projection.op, projection.view)}:
                messages += int(events[source])
                along_x += int(events[source]) * abs(int(x[source]) - slots[to].x)
                along_y += int(events[source]) * abs(int(y[source]) - slots[to].y)
        row = rows[population.name]
        found = [count(row, action) * len(inputs) for action in ("message", "hop_x", "hop_y")]
        assert found == [messages, along_x, along_y]
        assert (row.messages, row.hops) == (messages / len(inputs), (along_x + along_y) / len(inputs))
    assert sum(row.hops or 0 for row in rows.values()) > 0


ENDS = ("low", "nominal", "high")
SUMMED = (
    *("neurons", "weights", "events_in", "events_out", "spikes_out", "synaptic_operations", "effective_operations"),
    *("unary_operations", "neuron_updates", "payload_bits", "messages", "hops", "cores"),
)


@pytest.mark.parametrize("name", available_chips())
def test_the_json_of_every_chip_adds_up(name: str) -> None:
    """Layers, actions, memories and cores are four ways to cut one total, at each end of the prices."""
    graph = residual(levels=2)
    chip = load_chip(name)
    document = json.loads(simulate(graph, images(graph), None, chip).to_json())
    layers, totals = document["layers"], document["totals"]
    for key in SUMMED:
        parts = [row[key] for row in layers if row[key] is not None]
        assert (totals[key] is None) == (not parts)
        assert not parts or totals[key] == pytest.approx(sum(parts), rel=1e-12, abs=0)
    for end in ENDS:
        whole = document["energy"]["dynamic"][end]
        assert whole > 0
        ways = [[row["energy"] for row in layers], [row["energy"] for row in totals["actions"]]]
        if document["cores"] is not None:
            ways.append([layers[0]["energy"], *document["cores"]["energy"]])
        for row in layers:
            assert row["energy"][end] == pytest.approx(
                sum(each["energy"][end] for each in row["actions"]), rel=1e-9, abs=0
            )
        for way in ways:
            assert sum(each[end] for each in way) == pytest.approx(whole, rel=1e-9, abs=0)
    for place_ in [*layers, totals]:
        _memories_are_their_accesses(place_)
    if chip.model == "neurocore":
        steps = document["latency"]["steps"]
        assert sum(map(len, document["cores"]["cycles"])) == graph.steps * totals["cores"]
        barriers = next((row["count"] for row in totals["actions"] if row["action"] == "barrier"), None)
        assert barriers == steps * totals["cores"]


def _memories_are_their_accesses(row: dict[str, object]) -> None:
    """Reads and writes of each memory are the actions of these names, and cost what these cost."""
    found: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    memories, actions = row["memories"], row["actions"]
    assert isinstance(memories, list)
    assert isinstance(actions, list)
    for memory in memories:
        found.update({f"{memory['memory']}_read": memory["reads"], f"{memory['memory']}_write": memory["writes"]})
        spent.update({memory["memory"]: memory["energy"]["nominal"] if memory["energy"] else 0.0})
    accesses = {each["action"]: each for each in actions if each["action"].endswith(("_read", "_write"))}
    assert {name: value for name, value in found.items() if value} == pytest.approx(
        {name: each["count"] for name, each in accesses.items()}, rel=1e-12, abs=0
    )
    for memory, joules in spent.items():
        own = [each["energy"]["nominal"] for name, each in accesses.items() if name.rpartition("_")[0] == memory]
        assert joules == pytest.approx(sum(own), rel=1e-9, abs=0)
