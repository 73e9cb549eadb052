"""Rounding to integers: units that agree, ranges that hold, accuracy that stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snn2chip import engine, frontend, interpreter, nn, spec, zoo
from snn2chip.data import digits
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Graph, Node, frozen
from snn2chip.ops import Add, AvgPool2d, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, Scale, SumPool2d
from snn2chip.quantize import Precision, quantize

#: Makes weights that have no common divisor with thresholds: numbers that are whole already are not rounded at all.
ODD = 2**0.5


def conv_net(weight: float = 1.0, bias: float = 0.0, threshold: float = 1.0, steps: int = 1, levels: int = 4) -> Graph:
    """Float graph: one 1x1 convolution of two channels, a neuron, a head."""
    kernel = frozen(ODD * np.array([weight, 0.5]).reshape(2, 1, 1, 1))
    return Graph(
        (
            Node("x", Input((1, 2, 2), 16)),
            Node("real", Scale(1 / 16), ("x",)),
            Node("conv", Conv2d(kernel, frozen(np.array([bias, 0.1]))), ("real",)),
            Node("if", MultiLevelIF(frozen(np.full(2, threshold / levels)), levels), ("conv",)),
            Node("if.value", Scale(threshold / levels), ("if",)),
            Node("flat", Flatten(), ("if.value",)),
            Node("head", Linear(frozen(np.linspace(-1, 1, 24).reshape(3, 8) ** 3)), ("flat",)),
            Node("out", Readout(), ("head",)),
        ),
        steps,
    )


def test_units_are_the_real_value_of_one_integer() -> None:
    graph = quantize(conv_net())
    conv, neuron = graph["conv"], graph["if"]
    assert isinstance(conv.op, Conv2d)
    assert conv.op.weight.reshape(-1).tolist() == [127, 127]  # per-channel scales use all bits in both channels
    assert conv.unit is not None
    np.testing.assert_allclose(conv.unit, [ODD / 16 / 127, ODD * 0.5 / 16 / 127])
    assert isinstance(neuron.op, MultiLevelIF)
    np.testing.assert_array_equal(neuron.op.theta, np.rint(0.25 / conv.unit))
    assert graph["if"].unit is not None
    assert graph["if"].unit.tolist() == [0.25]
    assert "real" not in graph
    assert "if.value" not in graph
    head = graph["head"].unit
    assert head is not None
    assert len(set(head.tolist())) == 1  # one scale for all classes


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weights_keep_to_their_bits(bits: int) -> None:
    graph = quantize(conv_net(), Precision(bits))
    limit = 2 ** (bits - 1) - 1
    for node in graph.of_kind(Conv2d, Linear):
        weight = np.asarray(node.op.weight)  # type: ignore[attr-defined]
        assert np.abs(weight.astype(int)).max() == limit


@pytest.mark.parametrize("bits", [0, 1, 9])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(UserError, match="2 to 8 bits"):
        Precision(bits)


@pytest.mark.parametrize("weight", [1e-12, 1e-30, 0.0])
def test_a_gain_near_zero_does_not_explode_bias_or_threshold(weight: float) -> None:
    graph = quantize(conv_net(weight=weight, bias=0.8))
    spec.check_integer(graph)
    images = np.full((1, 1, 2, 2), 16, np.uint8)
    recorder = interpreter.Recorder(frozenset({"if"}))
    interpreter.run(graph, images, [recorder])
    assert recorder.tensors["if"][0, 0, 0].tolist() == [[3, 3], [3, 3]]  # 0.8 of Vth is level 3 of 4


def test_a_threshold_out_of_reach_is_set_just_above_the_largest_potential() -> None:
    graph = quantize(conv_net(threshold=1e6))
    neuron = graph["if"].op
    assert isinstance(neuron, MultiLevelIF)
    reach = neuron.membrane(graph.signals["conv"].interval, 1)
    assert (neuron.theta <= reach.high + 1).all()
    assert graph.signals["if"].interval.max == 0


def test_a_membrane_that_could_leave_24_bits_coarsens_its_channel() -> None:
    steps = 2**15
    graph = quantize(conv_net(weight=-1.0, bias=-1.0, steps=steps))
    neuron = graph["if"].op
    assert isinstance(neuron, MultiLevelIF)
    membrane = neuron.membrane(graph.signals["conv"].interval, steps)
    assert -spec.MEMBRANE_LIMIT <= membrane.min < -spec.MEMBRANE_LIMIT // 4


def two_branches(first: float, second: float, levels: int = 4) -> Graph:
    """Float graph: two neurons of different thresholds whose spikes are summed and reach a barrier."""
    one = frozen(np.ones((1, 1, 1, 1)))
    nodes = [Node("x", Input((1, 2, 2), 16)), Node("real", Scale(1 / 16), ("x",))]
    for name, threshold in (("a", first), ("b", second)):
        nodes += [
            Node(f"conv_{name}", Conv2d(one), ("real",)),
            Node(f"if_{name}", MultiLevelIF(frozen(np.full(1, threshold / levels)), levels), (f"conv_{name}",)),
            Node(f"value_{name}", Scale(threshold / levels), (f"if_{name}",)),
        ]
    nodes += [
        Node("sum", Add(), ("value_a", "value_b")),
        Node("barrier", MultiLevelIF(frozen(np.full(1, first / levels)), levels), ("sum",)),
        Node("barrier.value", Scale(first / levels), ("barrier",)),
        Node("flat", Flatten(), ("barrier.value",)),
        Node("head", Linear(frozen(np.ones((2, 4)))), ("flat",)),
        Node("out", Readout(), ("head",)),
    ]
    return Graph(tuple(nodes), 1)


def test_a_barrier_counts_levels() -> None:
    graph = quantize(two_branches(1.0, 1.0))
    barrier = graph["barrier"].op
    assert isinstance(barrier, MultiLevelIF)
    assert barrier.theta.tolist() == [1]


def test_currents_that_meet_share_their_units() -> None:
    float_conv = [Conv2d(frozen(np.full((1, 1, 1, 1), ODD * value))) for value in (1.0, 0.1)]
    graph = Graph(
        (
            Node("x", Input((1, 2, 2), 16)),
            Node("big", float_conv[0], ("x",)),
            Node("small", float_conv[1], ("x",)),
            Node("sum", Add(), ("big", "small")),
            Node("if", MultiLevelIF(frozen(np.ones(1)), 4), ("sum",)),
            Node("pool", SumPool2d((2, 2), (2, 2)), ("if",)),
            Node("flat", Flatten(), ("pool",)),
            Node("head", Linear(frozen(np.ones((2, 1)))), ("flat",)),
            Node("out", Readout(), ("head",)),
        ),
        1,
    )
    integer = quantize(graph)
    weights = [int(integer[name].op.weight.flat[0]) for name in ("big", "small")]  # type: ignore[attr-defined]
    assert weights == [127, 13]
    np.testing.assert_array_equal(integer["big"].unit, integer["small"].unit)


@pytest.mark.parametrize("name", ["sparse-n4-t1", "binary-t4", "binary-t1", "sew-n4-t1", "qann-3bit"])
def test_integer_accuracy_stays_within_three_tenths_of_a_point_of_float(name: str) -> None:
    test = digits.load().test
    losses = []
    for seed in range(3):
        checkpoint = frontend.read(zoo.path(name, seed))
        graph = quantize(frontend.capture(checkpoint.model, checkpoint.input_shape, checkpoint.largest))
        with torch.no_grad():
            expected = checkpoint.model(torch.from_numpy(test.x)).argmax(1).numpy()
        found = engine.run(graph, test.x).sum(axis=1).argmax(1)
        losses.append(100 * (np.mean(expected == test.y) - np.mean(found == test.y)))
        assert checkpoint.metadata["accuracy"] == pytest.approx(np.mean(expected == test.y), abs=1e-9)
    assert abs(float(np.mean(losses))) <= 0.3, losses


def test_the_paper_identity_survives_rounding() -> None:
    """A constant input x gives clip(floor(N T x / Vth), 0, N T) spikes in total, within one level of rounding."""
    model = nn.MultiLevelIF(levels=4, threshold=1.0, steps=3)
    for value in np.linspace(0, 1.5, 23):
        total = model(torch.full((3, 1), float(value))).sum() * 4
        assert float(total) == np.clip(np.floor(4 * 3 * np.float32(value) + 1e-6), 0, 12)


@pytest.mark.parametrize("shortcut_first", [True, False])
def test_branches_of_currents_are_rounded_in_any_order(shortcut_first: bool) -> None:
    """A shortcut convolution is often called before the branch whose units it shares."""
    one = frozen(np.full((1, 1, 1, 1), ODD))
    level = frozen(np.full(1, 0.25))
    shortcut = Node("shortcut", Conv2d(one), ("real",))
    branch = (
        Node("conv", Conv2d(one), ("real",)),
        Node("if", MultiLevelIF(level, 4), ("conv",)),
        Node("if.value", Scale(0.25), ("if",)),
        Node("conv2", Conv2d(frozen(one * 2)), ("if.value",)),
    )
    graph = Graph(
        (
            Node("x", Input((1, 2, 2), 16)),
            Node("real", Scale(1 / 16), ("x",)),
            *((shortcut, *branch) if shortcut_first else (*branch, shortcut)),
            Node("add", Add(), ("conv2", "shortcut")),
            Node("if2", MultiLevelIF(level, 4), ("add",)),
            Node("flat", Flatten(), ("if2",)),
            Node("head", Linear(frozen(np.ones((3, 4)))), ("flat",)),
            Node("out", Readout(), ("head",)),
        ),
        1,
    )
    integer = quantize(graph)
    unit = 2 * ODD * 0.25 / 127  # of conv2, the coarser branch
    for name in ("shortcut", "conv2", "add"):
        np.testing.assert_allclose(np.asarray(integer[name].unit), [unit])


def test_a_convolution_that_ends_in_the_readout_has_one_unit_for_all_classes() -> None:
    weight = frozen(np.array([1.0, 10.0, ODD / 14]).reshape(3, 1, 1, 1))
    graph = Graph(
        (
            Node("x", Input((1, 2, 2), 16)),
            Node("head", Conv2d(weight), ("x",)),
            Node("pool", AvgPool2d((2, 2), (2, 2)), ("head",)),
            Node("flat", Flatten(), ("pool",)),
            Node("out", Readout(), ("flat",)),
        ),
        1,
    )
    integer = quantize(graph)
    assert len(set(np.asarray(integer.output.unit).tolist())) == 1
    image = np.full((1, 1, 2, 2), 16, np.uint8)
    assert interpreter.logits(integer, image).tolist() == [[13 * 64, 127 * 64, 64]]


@pytest.mark.parametrize("levels", [1, 32, 36, 38, 199, 254, 255])
def test_rounding_a_level_never_pushes_the_saturation_beyond_24_bits(levels: int) -> None:
    integer = quantize(conv_net(weight=1e-9, bias=1.0, levels=levels))
    assert levels * int(integer["if"].op.theta.max()) <= spec.MEMBRANE_LIMIT  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parameters_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(GraphError, match=r"'conv' \(Conv2d\) holds NaN or infinite"):
        quantize(conv_net(weight=value))
