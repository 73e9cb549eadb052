"""Units that have to fit: sums of different spikes, concatenations, leaky neurons; choices that others make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snn2chip import interpreter, spec
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.interpreter import Recorder
from snn2chip.ops import (
    LIF,
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Flatten,
    Input,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    Scale,
)
from snn2chip.quantize import Choices, Precision, quantize
from snn2chip.quantize.integer import prepare

#: Makes weights that have no common divisor with thresholds.
ODD = 2**0.5
ONE = frozen(np.ones((1, 1, 1, 1)))
IMAGES = np.arange(17, dtype=np.uint8).reshape(17, 1, 1, 1) * np.ones((1, 1, 2, 2), np.uint8)


def spikes(name: str, threshold: float, weight: float = 1.0, levels: int = 4) -> list[Node]:
    """Nodes from ``real`` to spikes ``<name>.value``, whose unit is ``threshold / levels``."""
    level = threshold / levels
    return [
        Node(f"{name}.conv", Conv2d(frozen(ONE * weight)), ("real",)),
        Node(name, MultiLevelIF(frozen(np.full(1, level)), levels), (f"{name}.conv",)),
        Node(f"{name}.value", Scale(level), (name,)),
    ]


def network(*middle: Node, features: int = 4, steps: int = 1, classes: int = 2) -> Graph:
    """A float graph around nodes that start at ``real`` (a 1x2x2 image in 0..1) and end in a ``features``-long map."""
    head = np.random.default_rng(0).standard_normal((classes, features))
    nodes = [Node("x", Input((1, 2, 2), 16)), Node("real", Scale(1 / 16), ("x",)), *middle]
    nodes += [
        Node("flat", Flatten(), (nodes[-1].name,)),
        Node("head", Linear(frozen(head)), ("flat",)),
        Node("out", Readout(), ("head",)),
    ]
    return Graph(tuple(nodes), steps)


def counts(graph: Graph, name: str, images: Array = IMAGES) -> Array:
    """Spikes of a node, int32 ``[B, T, ...]``."""
    recorder = Recorder(frozenset({name}))
    interpreter.run(graph, images, [recorder])
    return recorder.tensors[name]


def barrier(theta: float, *reads: str, levels: int = 4) -> list[Node]:
    return [
        Node("sum", Add(), reads),
        Node("barrier", MultiLevelIF(frozen(np.full(1, theta)), levels), ("sum",)),
        Node("barrier.value", Scale(theta), ("barrier",)),
    ]


@pytest.mark.parametrize(("second", "weights"), [(2.0, [1, 2]), (0.5, [2, 1]), (1.5, [2, 3]), (1.25, [4, 5])])
def test_spikes_of_different_units_meet_before_a_neuron_as_weighted_currents(second: float, weights: list[int]) -> None:
    graph = network(*spikes("a", 1.0), *spikes("b", second), *barrier(0.25, "a.value", "b.value"))
    integer = quantize(graph)
    found = [int(integer[f"sum.current{k}"].op.weight.item()) for k in (0, 1)]  # type: ignore[attr-defined]
    assert found == weights
    np.testing.assert_array_equal(counts(integer, "barrier"), counts(graph, "barrier"))


def test_an_odd_ratio_of_units_is_rounded_and_what_it_costs_is_said() -> None:
    graph = network(*spikes("a", 1.0), *spikes("b", 0.7071), *barrier(0.25, "a.value", "b.value"))
    weights = [int(quantize(graph)[f"sum.current{k}"].op.weight.item()) for k in (0, 1)]  # type: ignore[attr-defined]
    assert weights[1] / weights[0] == pytest.approx(0.7071, abs=5e-3)
    assert (counts(quantize(graph), "barrier") != counts(graph, "barrier")).mean() < 0.05


def test_a_sum_of_spikes_that_weights_read_repeats_an_operand() -> None:
    graph = network(*spikes("a", 1.0), *spikes("b", 2.0), Node("sum", Add(), ("a.value", "b.value")))
    prepared = prepare(graph)
    assert prepared.graph["sum"].inputs == ("sum.share0", "sum.share1", "sum.share1")
    assert prepared.approximations == ()
    integer = quantize(graph)
    assert integer["sum"].inputs == ("a", "b", "b")
    np.testing.assert_array_equal(
        counts(integer, "sum"), np.rint(np.asarray(run_float(graph, "sum")) / 0.25).astype(np.int32)
    )


def run_float(graph: Graph, name: str) -> Array:
    """Real values of a node, ``[B, T, ...]``."""

    class Values:
        found: Array

        def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
            if node.name == name:
                self.found = tensor[:, None]

    values = Values()
    interpreter.run(graph, IMAGES, [values])
    return values.found


def test_a_nearly_small_ratio_is_used_and_its_error_is_reported() -> None:
    graph = network(*spikes("a", 1.0), *spikes("b", 2.01), Node("sum", Add(), ("a.value", "b.value")))
    (approximation,) = prepare(graph).approximations
    assert approximation.node == "sum"
    assert approximation.relative_error == pytest.approx(0.005, rel=0.01)


def test_a_ratio_that_is_not_small_is_refused_where_weights_read_the_sum() -> None:
    graph = network(*spikes("a", 1.0), *spikes("b", 1.618), Node("sum", Add(), ("a.value", "b.value")))
    with pytest.raises(GraphError, match=r"node 'sum' sums spikes whose units differ \(0\.25, 0\.4045\)"):
        quantize(graph)


def test_a_neuron_whose_level_is_no_whole_number_of_spikes_reads_a_current() -> None:
    graph = network(
        *spikes("a", 1.0),
        Node("again", MultiLevelIF(frozen(np.full(1, 0.6)), 4), ("a.value",)),
        Node("again.value", Scale(0.6), ("again",)),
    )
    integer = quantize(graph)
    weight, theta = integer["again.current"].op.weight, integer["again"].op.theta  # type: ignore[attr-defined]
    assert (int(weight.item()), theta.tolist()) == (5, [12])  # 0.25 and 0.6 in units of 0.05
    np.testing.assert_array_equal(counts(integer, "again"), counts(graph, "again"))


def test_concatenated_spikes_keep_a_unit_per_channel() -> None:
    graph = network(*spikes("a", 1.0), *spikes("b", 3.0), Node("cat", Concat(), ("a.value", "b.value")), features=8)
    integer = quantize(graph)
    assert np.asarray(integer["cat"].unit).tolist() == [0.25, 0.75]
    assert np.asarray(integer["flat"].unit).tolist() == [0.25] * 4 + [0.75] * 4
    real = np.asarray(graph["head"].op.weight) * np.asarray(integer["flat"].unit)  # type: ignore[attr-defined]
    head = integer["head"]
    np.testing.assert_array_equal(head.op.weight, np.rint(real / np.asarray(head.unit)[:, None]))  # type: ignore[attr-defined]


def test_grouped_convolutions_read_a_unit_per_channel() -> None:
    weight = frozen(ODD * np.array([1.0, -0.5]).reshape(2, 1, 1, 1))
    graph = network(
        *spikes("a", 1.0),
        *spikes("b", 3.0),
        Node("cat", Concat(), ("a.value", "b.value")),
        Node("pool", MaxPool2d((2, 2), (2, 2)), ("cat",)),
        Node("depthwise", Conv2d(weight, groups=2), ("pool",)),
        Node("if", MultiLevelIF(frozen(np.full(2, 0.25)), 4), ("depthwise",)),
        features=2,
    )
    unit = np.asarray(quantize(graph)["depthwise"].unit)
    np.testing.assert_allclose(unit, [ODD * 0.25 / 127, ODD * 0.5 * 0.75 / 127])


def test_concatenated_currents_keep_the_units_of_their_channels_and_sums_share_them() -> None:
    """[a, b] + c: channel 0 of c shares a's unit, channel 1 shares b's."""
    wide = Conv2d(frozen(ODD * np.array([0.1, 4.0]).reshape(2, 1, 1, 1)))
    graph = network(
        Node("a", Conv2d(frozen(ONE * ODD)), ("real",)),
        Node("b", Conv2d(frozen(ONE * 2.0)), ("real",)),
        Node("cat", Concat(), ("a", "b")),
        Node("c", wide, ("real",)),
        Node("sum", Add(), ("cat", "c")),
        Node("if", MultiLevelIF(frozen(np.full(2, 0.25)), 4), ("sum",)),
        features=8,
    )
    integer = quantize(graph)
    units = [np.asarray(integer[name].unit) for name in ("a", "b", "c", "sum")]
    expected = ODD * np.array([1.0, 4.0]) / 16 / 127
    for unit, wanted in zip(units, (expected[:1], expected[1:], expected, expected), strict=True):
        np.testing.assert_allclose(unit, wanted)


def test_averaged_currents_meet_others_in_the_unit_of_their_sum() -> None:
    graph = network(
        Node("a", Conv2d(ONE), ("real",)),
        Node("pool", AvgPool2d((2, 2), (2, 2)), ("a",)),
        Node("b", Conv2d(frozen(np.full((1, 1, 2, 2), 0.5)), stride=(2, 2)), ("real",)),
        Node("sum", Add(), ("pool", "b")),
        Node("if", MultiLevelIF(frozen(np.full(1, 0.25)), 4), ("sum",)),
        features=1,
    )
    integer = quantize(graph)
    np.testing.assert_allclose(np.asarray(integer["a"].unit) / 4, np.asarray(integer["b"].unit))
    assert np.abs(counts(integer, "if") - counts(graph, "if")).max() <= 1


def test_a_current_added_to_a_multiple_of_itself_is_refused() -> None:
    graph = network(
        Node("a", Conv2d(ONE), ("real",)),
        Node("half", Scale(0.5), ("a",)),
        Node("sum", Add(), ("a", "half")),
        Node("if", MultiLevelIF(frozen(np.full(1, 0.25)), 4), ("sum",)),
    )
    with pytest.raises(GraphError, match=r"node 'sum' \(Add\) adds a current to 2 times itself"):
        quantize(graph)


def leaky(theta: float, decay: float, **changes: Any) -> LIF:
    level, share = frozen(np.full(1, theta)), frozen(np.full(1, decay))
    return LIF(level, level, share, **changes)


def lif_net(steps: int = 6, **changes: Any) -> Graph:
    """Two channels that only differ in their decay."""
    given: dict[str, Any] = {
        "theta": frozen(np.full(2, 1.0)),
        "step_size": frozen(np.full(2, 1.0)),
        "decay": frozen(np.array([0.5, 0.9])),
    }
    conv = Conv2d(frozen(np.array([[1.0], [0.37]]).reshape(2, 1, 1, 1)))
    lif = LIF(**{**given, **changes})
    return network(Node("conv", conv, ("real",)), Node("lif", lif, ("conv",)), features=8, steps=steps)


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("delayed", [False, True])
@pytest.mark.parametrize("strict", [False, True])
def test_leaky_neurons_follow_the_real_ones(reset: str, delayed: bool, strict: bool) -> None:
    graph = lif_net(
        reset=reset,
        delayed=delayed,
        strict=strict,
        levels=2,
        drive=frozen(np.array([0.1, -0.05])),
        floor=frozen(np.full(2, -0.2)),
    )
    integer = quantize(graph)
    lif = integer["lif"].op
    assert isinstance(lif, LIF)
    assert not lif.strict
    assert lif.decay.tolist() == [2048, 3686]
    fine = np.asarray(integer["conv"].unit) / 2**lif.fraction_bits
    np.testing.assert_array_equal(lif.drive, np.rint(np.array([0.1, -0.05]) / fine))
    np.testing.assert_array_equal(lif.floor, np.rint(-0.2 / fine))
    assert (counts(integer, "lif") != counts(graph, "lif")).mean() < 0.04
    assert counts(integer, "lif").max() > 0


@pytest.mark.parametrize(("strict", "theta", "expected"), [(False, 1.0, 127), (True, 1.0, 128), (False, 1.001, 128)])
def test_a_threshold_is_the_first_integer_that_fires(strict: bool, theta: float, expected: int) -> None:
    """In a unit of 1/16/127, a count of 1 reaches 1/16 exactly."""
    graph = lif_net(steps=1, theta=frozen(np.full(2, theta / 16)), decay=frozen(np.ones(2)), strict=strict)
    lif = quantize(graph, None, Choices({"conv": np.full(2, 1 / 16 / 127)}))["lif"].op
    assert isinstance(lif, LIF)
    assert lif.theta[0] == expected


def test_a_decay_between_two_fractions_is_reported() -> None:
    approximations = {found.node: found for found in prepare(lif_net()).approximations}
    assert approximations["lif"].relative_error == pytest.approx((3686.4 - 3686) / 4096 * 10, abs=1e-12)


def test_an_integrated_current_keeps_its_unit_and_its_range() -> None:
    graph = network(
        Node("conv", Conv2d(ONE), ("real",)),
        Node("synapse", LeakyIntegrator(frozen(np.full(1, 0.75))), ("conv",)),
        Node("lif", leaky(2.0, 0.5), ("synapse",)),
        steps=8,
    )
    integer = quantize(graph)
    np.testing.assert_array_equal(integer["synapse"].unit, integer["conv"].unit)
    assert integer["synapse"].op.decay.tolist() == [3072]  # type: ignore[attr-defined]
    assert (counts(integer, "lif") != counts(graph, "lif")).mean() < 0.02


def test_a_potential_that_is_never_reset_coarsens_its_channel() -> None:
    integer = quantize(lif_net(steps=2**13, reset="none", decay=frozen(np.ones(2))))
    lif = integer["lif"].op
    assert isinstance(lif, LIF)
    assert spec.MEMBRANE_LIMIT // 2 < lif.membrane(integer.signals["conv"].interval, 2**13).max <= spec.MEMBRANE_LIMIT


def test_a_leaky_neuron_on_spikes_gets_a_fine_current() -> None:
    lif = leaky(0.6, 0.9)
    graph = network(*spikes("a", 1.0), Node("lif", lif, ("a.value",)), steps=8)
    integer = quantize(graph)
    assert int(integer["lif.current"].op.weight.item()) == 125  # type: ignore[attr-defined]  # 0.25 : 0.6 is 125 : 300
    assert (counts(integer, "lif") != counts(graph, "lif")).mean() < 0.02


def test_a_neuron_without_leak_counts_spikes_as_they_are() -> None:
    lif = leaky(0.6, 1.0, reset="zero")
    graph = network(*spikes("a", 1.0), Node("lif", lif, ("a.value",)), steps=8)
    integer = quantize(graph)
    assert integer["lif"].inputs == ("a",)
    assert integer["lif"].op.theta.tolist() == [3]  # type: ignore[attr-defined]  # 3 spikes of 0.25 reach 0.6
    np.testing.assert_array_equal(counts(integer, "lif"), counts(graph, "lif"))


def test_layers_take_the_bits_of_the_last_pattern_that_matches() -> None:
    graph = network(*spikes("a", 1.0, weight=0.9))
    integer = quantize(graph, Precision(8, {"*": 3, "head": 5}))
    for name, bits in (("a.conv", 3), ("head", 5)):
        weight = integer[name].op.weight  # type: ignore[attr-defined]
        assert np.abs(weight.astype(int)).max() == 2 ** (bits - 1) - 1


def test_a_pattern_that_matches_no_layer_is_refused() -> None:
    with pytest.raises(UserError, match=r"--layer-bits 'stem\.\*': no layer is called so: they are a\.conv, head"):
        quantize(network(*spikes("a", 1.0)), Precision(8, {"stem.*": 4}))


def test_chosen_units_and_thresholds_are_taken_as_they_are() -> None:
    graph = network(*spikes("a", 1.0, weight=0.9))
    unit = np.array([0.25 / 64])
    integer = quantize(graph, None, Choices({"a.conv": unit}, {"a": np.array([63])}))
    assert integer["a"].op.theta.tolist() == [63]  # type: ignore[attr-defined]
    assert integer["a.conv"].op.weight.item() == round(0.9 / 16 / unit[0])  # type: ignore[attr-defined]
    np.testing.assert_array_equal(integer["a.conv"].unit, unit)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (Choices({"nowhere": np.ones(1)}), "a unit is chosen for 'nowhere', but there are a.conv, head"),
        (Choices({}, {"head": np.ones(2)}), "a theta is chosen for 'head', but there are a"),
        (Choices({"a.conv": np.zeros(1)}), "node 'a.conv': the chosen units must be positive, one per channel"),
        (Choices({"head": np.array([1.0, 2.0])}), "node 'head': its currents meet others"),
    ],
)
def test_choices_that_fit_nothing_are_refused(choices: Choices, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        quantize(network(*spikes("a", 1.0)), None, choices)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("step", [1.0, 0.0173])
def test_numbers_that_are_whole_already_are_not_rounded(bits: int, step: float) -> None:
    """Weights, biases and thresholds that are multiples of one step stay those multiples, whatever the step is."""
    rng = np.random.default_rng(3)
    weight = rng.integers(-7, 8, (3, 2, 3, 3))
    weight[:, 0, 0, 0] = 7
    bias, theta = np.array([300, -5, 0]), np.array([35, 1000, 4])
    nodes = (
        Node("x", Input((2, 4, 4), 16)),
        Node("conv", Conv2d(frozen(weight * step), frozen(bias * step)), ("x",)),
        Node("if", MultiLevelIF(frozen(theta * step), 4), ("conv",)),
        Node("flat", Flatten(), ("if",)),
        Node("head", Linear(frozen(rng.integers(-3, 4, (2, 12)) * step)), ("flat",)),
        Node("out", Readout(), ("head",)),
    )
    graph = Graph(nodes, 3)
    integer = quantize(graph, Precision(bits))
    conv: Any = integer["conv"].op
    np.testing.assert_array_equal(conv.weight, weight)
    np.testing.assert_array_equal(conv.bias, bias)
    np.testing.assert_array_equal(integer["if"].op.theta, theta)  # type: ignore[attr-defined]
    images = rng.integers(0, 17, (5, 2, 4, 4)).astype(np.uint8)
    np.testing.assert_array_equal(counts(integer, "if", images), counts(graph, "if", images))


def test_whole_numbers_with_too_many_bits_are_rounded_like_all_others() -> None:
    graph = Graph(
        (
            Node("x", Input((2,), 16)),
            Node("head", Linear(frozen(np.array([[8.0, 3.0], [1.0, 0.0]]))), ("x",)),
            Node("out", Readout(), ("head",)),
        ),
        1,
    )
    weight = quantize(graph, Precision(4))["head"].op.weight  # type: ignore[attr-defined]
    assert weight.tolist() == [[7, 3], [1, 0]]  # 8/7 is the unit
    assert quantize(graph, Precision(5))["head"].op.weight.tolist() == [[8, 3], [1, 0]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_few_weight_bits_do_not_coarsen_the_leak(bits: int) -> None:
    """A leak that rounds to whole units of a current of 2-bit weights would swallow a large part of the threshold."""
    rng = np.random.default_rng(1)
    values = {"theta": 0.4, "step_size": 0.4, "decay": 0.95}
    lif = LIF(**{name: frozen(np.full(4, value)) for name, value in values.items()})  # type: ignore[arg-type]
    weight = frozen(rng.choice([-1.0, 1.0], (4, 1, 2, 2)) * 0.1 * ODD)
    graph = network(Node("conv", Conv2d(weight), ("real",)), Node("lif", lif, ("conv",)), features=4, steps=32)
    integer = quantize(graph, Precision(bits))
    found: Any = integer["lif"].op
    assert (1 - 0.95) * found.theta.min() >= 100
    images = rng.integers(0, 17, (64, 1, 2, 2)).astype(np.uint8)
    real, whole = counts(graph, "lif", images), counts(integer, "lif", images)
    assert real.mean() > 0.05
    assert whole.mean() == pytest.approx(real.mean(), rel=0.02)


def test_spikes_that_leave_a_network_are_its_logits() -> None:
    graph = Graph(
        (
            Node("x", Input((2,), 16)),
            Node("fc", Linear(frozen(np.array([[0.3, 0.1], [0.2, -0.1]]))), ("x",)),
            Node("lif", MultiLevelIF(frozen(np.full(2, 0.5)), 4), ("fc",)),
            Node("out", Readout(), ("lif",)),
        ),
        2,
    )
    x = np.array([[3, 1], [16, 2]], np.uint8)
    np.testing.assert_array_equal(interpreter.logits(quantize(graph), x), interpreter.logits(graph, x))


def test_an_integrator_that_reads_spikes_reads_a_fine_current() -> None:
    graph = Graph(
        (
            Node("x", Input((2,), 16)),
            Node("synapse", LeakyIntegrator(frozen(np.full(2, 0.9))), ("x",)),
            Node("lif", LIF(*(frozen(np.full(2, value)) for value in (30.0, 30.0, 0.8))), ("synapse",)),  # type: ignore[arg-type]
            Node("head", Linear(frozen(np.eye(2))), ("lif",)),
            Node("out", Readout(), ("head",)),
        ),
        20,
    )
    integer = quantize(graph)
    x = np.random.default_rng(0).integers(0, 17, (50, 2)).astype(np.uint8)
    real = counts(graph, "lif", x)
    assert real.mean() > 0.1
    assert (counts(integer, "lif", x) != real).mean() < 0.01


def test_a_scale_per_channel_is_a_unit_per_channel() -> None:
    conv = Conv2d(frozen(np.array([1.0, 0.5]).reshape(2, 1, 1, 1)))
    graph = network(
        Node("conv", conv, ("real",)),
        Node("if", MultiLevelIF(frozen(np.array([0.25, 0.4])), 4), ("conv",)),
        Node("value", Scale(frozen(np.array([0.25, 0.4]))), ("if",)),
        features=8,
    )
    assert np.asarray(quantize(graph)["if"].unit).tolist() == [0.25, 0.4]
