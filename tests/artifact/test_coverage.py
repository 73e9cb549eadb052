"""What a certificate says the inputs exercised: held against plain loops, and searched for what is missing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from snn2chip import artifact, certify, interpreter
from snn2chip.artifact import Samples
from snn2chip.certify.inputs import arranged, input_sets, search_inputs
from snn2chip.certify.situations import SIDES, CoverageObserver, coverage
from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.interpreter import Recorder
from snn2chip.ops import LIF, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout


def network(neuron: Op, steps: int, weight: Array | None = None, shape: tuple[int, ...] = (1, 5, 4)) -> Graph:
    """One convolution over a padded map (stride 2), one neuron layer of two channels, and a readout."""
    rng = np.random.default_rng(5)
    kernel = frozen(rng.integers(-9, 10, (2, 1, 3, 3)) if weight is None else weight, np.int8)
    nodes = (
        Node("x", Input(shape, 7)),
        Node("conv", Conv2d(kernel, frozen([3, -2], np.int32), stride=(2, 2), padding=(1, 1)), ("x",)),
        Node("if", neuron, ("conv",)),
        Node("flat", Flatten(), ("if",)),
        Node("head", Linear(frozen(rng.integers(-9, 10, (3, 12)), np.int8)), ("flat",)),
        Node("out", Readout(), ("head",)),
    )
    return Graph(nodes, steps)


def thetas(value: int) -> Array:
    return frozen([value, value + 2], np.int32)


def measured(graph: Graph, inputs: Array) -> certify.Coverage:
    observer = CoverageObserver(graph)
    interpreter.run(graph, inputs, [observer], batch_size=3)
    return coverage(observer.probes, observer.counts.sum(axis=0))


def counted(graph: Graph, inputs: Array) -> Counter[str]:
    """The same by loops over Python integers, from the currents that the interpreter saw."""
    recorder = Recorder(frozenset({"conv"}))
    interpreter.run(graph, inputs, [recorder])
    op, last, found = graph["if"].op, graph.steps - 1, Counter[str]()
    assert isinstance(op, (MultiLevelIF, LIF))
    floor = op.floor if isinstance(op, LIF) else None
    for currents in recorder.tensors["conv"]:
        for place in np.ndindex(currents.shape[1:]):
            theta, u = int(op.theta[place[0]]), 0
            for step in range(graph.steps):
                v = u + int(currents[(step, *place)])
                z = max(0, min(op.levels, v // theta))
                left = v - z * theta
                u = left if floor is None else max(left, int(floor[place[0]]))
                found[f"level {z}"] += 1
                found["more than N levels"] += v >= (op.levels + 1) * theta
                found["potential below zero"] += v < 0
                found["held at the floor"] += u != left
                if graph.steps > 1:
                    found["spike in the first step"] += z > 0 and step == 0
                    found["spike in the last step"] += z > 0 and step == last
                    found["reset carried over"] += z > 0 and step < last
                    found["potential carried over"] += u != 0 and step < last
    return +found


@pytest.mark.parametrize("steps", [1, 3])
def test_counts_are_those_of_plain_loops(steps: int) -> None:
    graph = network(MultiLevelIF(thetas(15), 3), steps)
    inputs = np.random.default_rng(1).integers(0, 8, (8, 1, 5, 4)).astype(np.uint8)
    found = next(layer for layer in measured(graph, inputs).layers if layer.layer == "if")
    assert Counter(found.seen) == counted(graph, inputs)
    assert len(found.seen) > steps + 3


def test_a_floor_is_counted() -> None:
    theta, floor = thetas(40), frozen([-20, -1], np.int32)
    graph = network(LIF(theta, theta, frozen([4096, 4096], np.int32), levels=3, floor=floor), 3)
    inputs = np.random.default_rng(1).integers(0, 8, (8, 1, 5, 4)).astype(np.uint8)
    found = next(layer for layer in measured(graph, inputs).layers if layer.layer == "if")
    assert Counter(found.seen) == counted(graph, inputs)
    assert found.seen["held at the floor"] > 0


def test_what_the_ranges_exclude_is_called_unreachable_and_not_unseen() -> None:
    """Weights of zero and one: the current lies in 3..66 and -2..-2, so that channel 1 stays silent for ever."""
    weight = np.zeros((2, 1, 3, 3), np.int64)
    weight[0] = 1
    graph = network(MultiLevelIF(thetas(20), 4), 1, weight)
    found = next(layer for layer in measured(graph, np.zeros((1, 1, 5, 4), np.uint8)).layers if layer.layer == "if")
    assert found.unreachable == ("level 4", "more than N levels")
    assert found.unseen == ("level 1", "level 2", "level 3")
    assert (found.channels, found.silent, found.silent_channels, found.unreachable_channels) == (2, 1, (0,), 1)


def test_borders_are_told_apart() -> None:
    graph = network(MultiLevelIF(thetas(40), 3), 1)
    image = np.zeros((1, 1, 5, 4), np.uint8)
    image[0, 0, 0, 2] = 5  # the first row, between the columns at the sides
    found = next(layer for layer in measured(graph, image).layers if layer.layer == "conv")
    assert found.seen == {"padding above": 1}
    assert found.unseen == ("padding below", "padding on the left")
    # 4 columns, stride 2: windows begin at -1 and 1, and the last ends at column 3, short of the padding.
    assert found.unreachable == ("padding on the right",)


def border_counts(graph: Graph, inputs: Array) -> Counter[str]:
    """Values other than 0 that some window over each side reads: by loops over windows and their taps."""
    op, (height, width), outputs = graph["conv"].op, inputs.shape[2:], graph.signals["conv"].shape[1:]
    assert isinstance(op, Conv2d)
    hit: dict[str, set[tuple[int, int]]] = {side: set() for side in SIDES}
    for place in np.ndindex(outputs):
        ys, xs = (
            [at * stride - padding + tap * dilation for tap in range(kernel)]
            for at, kernel, stride, padding, dilation in zip(
                place, op.kernel, op.stride, op.padding, op.dilation, strict=True
            )
        )
        inner = {(y, x) for y in ys for x in xs if 0 <= y < height and 0 <= x < width}
        over = (min(ys) < 0, max(ys) >= height, min(xs) < 0, max(xs) >= width)
        for side in (side for side, reached in zip(SIDES, over, strict=True) if reached):
            hit[side] |= inner
    return +Counter({side: sum(int(inputs[0, 0, y, x] != 0) for y, x in places) for side, places in hit.items()})


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((3, 3), (2, 2), (1, 1), (1, 1)),
        ((2, 3), (1, 2), (2, 3), (3, 2)),
        ((2, 2), (2, 3), (1, 1), (2, 1)),
        ((3, 2), (1, 1), (2, 0), (2, 4)),
        ((1, 2), (3, 4), (1, 1), (1, 3)),
        ((2, 2), (1, 1), (4, 0), (5, 1)),
    ],
)
def test_only_positions_that_a_tap_hits_touch_the_padding(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> None:
    weight = frozen(np.ones((1, 1, *kernel)), np.int8)
    nodes = (
        Node("x", Input((1, 7, 6), 7)),
        Node("conv", Conv2d(weight, stride=stride, padding=padding, dilation=dilation), ("x",)),
        Node("flat", Flatten(), ("conv",)),
        Node("out", Readout(), ("flat",)),
    )
    graph = Graph(nodes, 1)
    for place in np.ndindex(7, 6):
        image = np.zeros((1, 1, 7, 6), np.uint8)
        image[0, 0, place[0], place[1]] = 1
        assert Counter(measured(graph, image).layers[0].seen) == border_counts(graph, image), place
    full = np.ones((1, 1, 7, 6), np.uint8)
    found = measured(graph, full).layers[0]
    assert Counter(found.seen) == border_counts(graph, full)
    assert found.unseen == ()
    assert set(found.unreachable) == set(SIDES) - set(found.seen)


def test_the_search_reaches_what_the_inputs_do_not() -> None:
    """Many levels, whose upper half only images near the kernel's own shape reach."""
    weight = np.full((2, 1, 3, 3), -9)
    weight[:, :, 1, 1] = 100
    weight[:, :, 0, 1] = 60
    graph = network(MultiLevelIF(thetas(20), 60), 1, weight)
    sets = input_sets(graph, None)
    before = measured(graph, np.concatenate([array for _, array in sets]))
    found = search_inputs(graph, None)
    after = measured(graph, np.concatenate([*(array for _, array in sets), found]))
    assert 1 <= len(found) <= 32
    assert before.reachable - before.seen > 10
    assert after.reachable - after.seen <= (before.reachable - before.seen) // 3
    assert (search_inputs(graph, None) == found).all(), "the same in every run"


def test_the_search_stops_where_nothing_is_missing() -> None:
    graph = network(MultiLevelIF(thetas(20), 1), 1)
    samples = Samples(np.random.default_rng(1).integers(0, 8, (16, 1, 5, 4)).astype(np.uint8))
    seen = measured(graph, samples.x)
    assert seen.seen == seen.reachable
    assert search_inputs(graph, samples).shape == (0, 1, 5, 4)


def test_a_beginning_of_the_inputs_holds_some_of_each_set() -> None:
    graph = network(MultiLevelIF(thetas(20), 1), 1)
    samples = Samples(np.arange(16 * 20, dtype=np.uint8).reshape(16, 1, 5, 4) % 8)
    inputs = arranged([*input_sets(graph, samples), ("search", np.full((2, 1, 5, 4), 3, np.uint8))])
    assert inputs.counts(5) == {"samples": 1, "zero": 1, "maximum": 1, "random": 1, "search": 1}
    assert inputs.counts(len(inputs)) == {"samples": 16, "zero": 1, "maximum": 1, "random": 4, "search": 2}
    for place, (name, index) in enumerate(inputs.origins):
        assert (dict(inputs.sets)[name][index] == inputs.array[place]).all()


def test_found_inputs_travel_with_the_artifact(original: Path) -> None:
    read = artifact.read(original)
    stored = artifact.read_samples(original / "search.npz").x
    assert (stored == search_inputs(read.graph, read.samples)).all()
    assert stored.dtype == np.uint8
