"""Every change that is proposed for a layer too big for any core, applied, does fit; the next smaller one does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models.changes import with_levels
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.fitting import fit
from snn2chip.hw_models.placement import lowered_for, place
from snn2chip.lowering import to_populations
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout
from tests.hw.networks import graded_skip, images, residual, thresholds, unit, weight
from tests.hw.test_placement_changes import with_capacity

Limits = set[tuple[str, str]]


def broken(graph: Graph, chip: Chip) -> Limits:
    """(layer, limit) that no cut keeps."""
    return {(found.layer, found.limit) for found in place(to_populations(graph), chip).broken}


def proposed(graph: Graph, chip: Chip, layer: str) -> str:
    (text,) = {entry["change"] for entry in fit(graph, chip)["broken"] if entry["layer"] == layer}
    return str(text)


def grouped(graph: Graph, name: str, groups: int) -> Graph:
    """The graph with the channels of a convolution in groups, and the first of its weights kept."""

    def changed(node: Node) -> Node:
        assert isinstance(node.op, Conv2d)
        weight = frozen(node.op.weight[:, : node.op.weight.shape[1] // groups].copy(), np.int8)
        return replace(node, op=replace(node.op, weight=weight, groups=groups))

    return Graph(tuple(changed(node) if node.name == name else node for node in graph.nodes), graph.steps)


def test_groups_of_channels_take_less_of_the_axon_table(tmp_path: Path) -> None:
    graph, chip = residual(), unit(tmp_path, limits__axons_in_per_core="40")
    # One row of a channel sees 2 rows at the border and 3 inside, of 6 neurons each, in all 4 channels.
    assert proposed(graph, chip, "n1") == "split 'c1' into 2 groups of channels, so that it needs 36"
    assert ("n1", "axons_in_per_core") in broken(graph, chip)
    assert ("n1", "axons_in_per_core") not in broken(grouped(graph, "c1", 2), chip)


def test_the_fewest_groups_that_fit_are_proposed(tmp_path: Path) -> None:
    graph, chip = residual(), unit(tmp_path, limits__axons_in_per_core="20")
    assert proposed(graph, chip, "n1") == "split 'c1' into 4 groups of channels, so that it needs 18"
    assert ("n1", "axons_in_per_core") in broken(grouped(graph, "c1", 2), chip)
    assert ("n1", "axons_in_per_core") not in broken(grouped(graph, "c1", 4), chip)


def six_channels(levels: int, last: int = 6) -> Graph:
    """Two convolutions, of 6 and of `last` channels."""
    weight = frozen(np.full((6, 6, 3, 3), 9), np.int8)
    return Graph(
        (
            Node("x", Input((6, 4, 4), 1)),
            Node("c0", Conv2d(weight, padding=(1, 1)), ("x",)),
            Node("n0", MultiLevelIF(thresholds(*[50] * 6), levels), ("c0",)),
            Node("c", Conv2d(frozen(weight[:last], np.int8), padding=(1, 1)), ("n0",)),
            Node("n", MultiLevelIF(thresholds(*[50] * last), levels), ("c",)),
            Node("flat", Flatten(), ("n",)),
            Node("fc", Linear(frozen(np.ones((1, 16 * last)), np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=1,
    )


def test_groups_of_a_unary_form_are_those_of_the_network(tmp_path: Path) -> None:
    graph, chip = six_channels(2), with_capacity(tmp_path, payload=0)
    number = unit(tmp_path, limits__axons_in_per_core="40").numbers["limits.axons_in_per_core"]
    small = replace(chip, numbers={**chip.numbers, "limits.axons_in_per_core": number})
    # 12 channels of 12 places: 4 groups of 3 would fit, but the network has 6, which 4 does not divide.
    assert fit(graph, small)["form"] == "unary"
    assert proposed(graph, small, "n") == "split 'c' into 6 groups of channels, so that it needs 24"
    lowering = lowered_for(grouped(graph, "c", 6), small)
    assert lowering is not None
    assert ("n", "axons_in_per_core") not in broken(lowering.graph, small)


@pytest.mark.parametrize(("have", "keep"), [(100, 3), (95, 2)])
def test_channels_of_a_unary_form_are_those_of_the_network(have: int, keep: int, tmp_path: Path) -> None:
    """Each of the 6 channels has 2 binary ones of 16 neurons, so that the readout sees 192."""
    chip = with_capacity(tmp_path, payload=0)
    number = unit(tmp_path, limits__axons_in_per_core=str(have)).numbers["limits.axons_in_per_core"]
    small = replace(chip, numbers={**chip.numbers, "limits.axons_in_per_core": number})

    def breaks(last: int) -> bool:
        lowering = lowered_for(six_channels(2, last), small)
        assert lowering is not None
        return ("out", "axons_in_per_core") in broken(lowering.graph, small)

    assert proposed(six_channels(2), small, "out") == f"let 'n', which it reads, have at most {keep} channels (6 now)"
    assert not breaks(keep)
    assert breaks(keep + 1)


def eight_channels() -> Graph:
    """A convolution of 8 channels onto 8, whose weights take 8 bits."""
    weight = frozen(np.full((8, 8, 3, 3), 127), np.int8)
    return Graph(
        (
            Node("x", Input((8, 4, 4), 1)),
            Node("c", Conv2d(weight, padding=(1, 1)), ("x",)),
            Node("n", MultiLevelIF(thresholds(*[50] * 8), 3), ("c",)),
            Node("flat", Flatten(), ("n",)),
            Node("fc", Linear(frozen(np.ones((1, 128)), np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=1,
    )


def test_groups_hold_weights_that_no_width_makes_small_enough(tmp_path: Path) -> None:
    graph, chip = eight_channels(), with_capacity(tmp_path, synapse=100)
    # 8 x 9 weights of 2 bits take 144; a quarter of them, of 8 bits, take as many; an eighth takes 72.
    assert proposed(graph, chip, "n") == "split 'c' into 8 groups of channels, so that it needs 72"
    assert ("n", "synapse_bits_per_core") in broken(grouped(graph, "c", 4), chip)
    assert ("n", "synapse_bits_per_core") not in broken(grouped(graph, "c", 8), chip)


def long_sum(steps: int, levels: int = 3) -> Graph:
    """A neuron that never fires: what it holds grows with every step."""
    return Graph(
        (
            Node("x", Input((1,), 1)),
            Node("in", Linear(frozen([[-100]], np.int8)), ("x",)),
            Node("n", MultiLevelIF(thresholds(1), levels), ("in",)),
            Node("fc", Linear(frozen([[1]], np.int8)), ("n",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps,
    )


def test_fewer_steps_need_less_state(tmp_path: Path) -> None:
    bits = [to_populations(long_sum(steps))["n"].stored_bits for steps in range(1, 9)]
    chip = with_capacity(tmp_path, state=bits[4])
    assert bits[4] < bits[7]
    fits = max(steps for steps in range(1, 8) if bits[steps - 1] <= bits[4])
    assert proposed(long_sum(8), chip, "n") == f"T = {fits} instead of 8 steps would fit"
    assert ("n", "state_bits_per_core") not in broken(long_sum(fits), chip)
    assert ("n", "state_bits_per_core") in broken(long_sum(fits + 1), chip)


def narrowed(levels: int) -> Graph:
    """Two layers; the second holds as many bits as the first sends levels."""
    return Graph(
        (
            Node("x", Input((1,), 255)),
            Node("in", Linear(frozen([[1]], np.int8)), ("x",)),
            Node("n", MultiLevelIF(thresholds(1), levels), ("in",)),
            Node("l", Linear(frozen([[1]], np.int8)), ("n",)),
            Node("m", MultiLevelIF(thresholds(1), levels), ("l",)),
            Node("fc", Linear(frozen([[1]], np.int8)), ("m",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=1,
    )


def test_narrower_spikes_need_less_state(tmp_path: Path) -> None:
    graph = narrowed(15)
    chip = with_capacity(tmp_path, state=to_populations(narrowed(7))["m"].stored_bits)
    assert proposed(graph, chip, "m") == "neurons of at most N = 7 levels (now 15) would fit"
    assert ("m", "state_bits_per_core") in broken(graph, chip)
    assert ("m", "state_bits_per_core") not in broken(with_levels(graph, 7), chip)


def twice(graph: Graph, name: str, reader: str) -> Graph:
    """The graph with a neuron and its synapses made twice; `reader` reads the second."""
    neuron = next(node for node in graph.nodes if node.name == name)
    synapses = next(node for node in graph.nodes if node.name == neuron.inputs[0])
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple("again" if node.name == reader and source == name else source for source in node.inputs)
        nodes.append(replace(node, inputs=inputs))
        if node is neuron:
            nodes += [replace(synapses, name="again.in"), replace(neuron, name="again", inputs=("again.in",))]
    return Graph(tuple(nodes), graph.steps)


def test_a_copy_takes_over_some_readers_and_the_logits_stay(tmp_path: Path) -> None:
    graph = graded_skip()
    chip = unit(tmp_path, limits__neurons_per_core="1", limits__axons_out_per_core="2")
    assert proposed(graph, chip, "n1") == "make it 2 times, read by 'n2'; 'bar' (the logits stay)"
    changed = twice(graph, "n1", "sum")
    assert ("n1", "axons_out_per_core") in broken(graph, chip)
    assert not {("n1", "axons_out_per_core"), ("again", "axons_out_per_core")} & broken(changed, chip)
    inputs = images(graph, samples=8)
    np.testing.assert_array_equal(interpreter.run(graph, inputs), interpreter.run(changed, inputs))


def two_skips(first: int, second: int) -> Graph:
    """A chain of neurons; the last one also reads those so many steps before the one it follows."""
    nodes = [Node("x", Input((1,), 1))]
    for number in range(7):
        nodes.append(Node(f"l{number}", Linear(weight([[1]])), (nodes[-1].name,)))
        nodes.append(Node(f"n{number}", MultiLevelIF(thresholds(1), 1), (f"l{number}",)))
    summed = (f"n{6 - first}", f"n{6 - second}", "n6")
    nodes += [
        Node("sum", Add(), summed),
        Node("bar", MultiLevelIF(thresholds(1), 1), ("sum",)),
        Node("fc", Linear(weight([[1]])), ("bar",)),
        Node("out", Readout(), ("fc",)),
    ]
    return Graph(tuple(nodes), steps=1)


@pytest.mark.parametrize(("have", "keep"), [(2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 4)])
def test_skips_that_wait_no_longer_fit_together(have: int, keep: int, tmp_path: Path) -> None:
    """A bit for every step that an event waits: 5 + 3 of them."""
    chip = with_capacity(tmp_path, delay=have)
    steps = "step" if keep == 1 else "steps"
    assert proposed(two_skips(5, 3), chip, "bar") == f"let its skips wait at most {keep} {steps} instead of 5"
    assert not broken(two_skips(keep, min(3, keep)), chip)
    assert broken(two_skips(keep + 1, min(3, keep + 1)), chip)
