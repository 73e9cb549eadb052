"""Post-training quantization: every choice does what it says, and accuracy stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from snn2chip import frontend, interpreter, zoo
from snn2chip.data import digits
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.interpreter import Recorder
from snn2chip.ops import LIF, Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, Scale
from snn2chip.quantize import Precision, quantize
from snn2chip.quantize.agreement import agreement
from snn2chip.quantize.cost import cost, counting
from snn2chip.quantize.post_training import PostTraining, Quantized, post_training, start
from snn2chip.quantize.scales import candidates, choose_units, weight_errors

SPLITS = digits.load()
IMAGES = SPLITS.train.x[::3][:256]


@pytest.fixture(scope="module")
def sparse() -> Graph:
    checkpoint = frontend.read(zoo.path("sparse-n4-t1"))
    return frontend.capture(checkpoint.model, checkpoint.input_shape, checkpoint.largest)


def settings(bits: int = 4, **changes: Any) -> PostTraining:
    return PostTraining(Precision(bits), **{"scale": "mse", "corrections": (), **changes})


def small(steps: int = 1, *neurons: Node) -> Graph:
    """One 3x3 convolution of three channels, a neuron (or those given), and a head."""
    rng = np.random.default_rng(5)
    neurons = neurons or (
        Node("if", MultiLevelIF(frozen(np.array([0.25, 0.4, 0.1])), 4), ("conv",)),
        Node("value", Scale(0.25), ("if",)),
    )
    nodes = (
        Node("x", Input((1, 8, 8), 16)),
        Node("real", Scale(1 / 16), ("x",)),
        Node(
            "conv",
            Conv2d(frozen(rng.standard_normal((3, 1, 3, 3)) / 3), frozen(rng.standard_normal(3) / 10)),
            ("real",),
        ),
        *neurons,
        Node("flat", Flatten(), (neurons[-1].name,)),
        Node("head", Linear(frozen(rng.standard_normal((4, 108)) / 10)), ("flat",)),
        Node("out", Readout(), ("head",)),
    )
    return Graph(nodes, steps)


def recorded(graph: Graph, inputs: Array = IMAGES) -> Mapping[str, Array]:
    class Values(dict[str, Array]):
        def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
            self.setdefault(node.name, []).append(tensor.astype(np.float64))  # type: ignore[arg-type, attr-defined]

    values = Values()
    interpreter.run(graph, inputs, [values])
    return {name: np.concatenate(pieces) for name, pieces in values.items()}


def test_mse_takes_the_candidate_with_the_least_squared_error() -> None:
    rounding = start(small(), settings(3)).rounding
    layer = rounding.network["conv"]
    chosen = choose_units(rounding, "mse").units["conv"]
    grid = rounding.classes.unit("conv", candidates(rounding))
    errors = weight_errors(rounding, layer, np.vstack([grid, chosen]))
    np.testing.assert_allclose(errors[-1], errors[:-1].min(axis=0))
    assert (errors[-1] < errors[0]).any()  # the first candidate clips nothing


def test_percentile_clips_what_exceeds_it() -> None:
    rounding = start(small(), settings(4)).rounding
    unit = choose_units(rounding, "percentile", percentile=90).units["head"]
    real = np.abs(rounding.real_weight(rounding.network["head"]))
    expected = np.percentile(real, 90, axis=1).max() / 7  # all classes share the unit of the largest
    np.testing.assert_allclose(unit, expected)


def test_max_clips_nothing() -> None:
    quantized = post_training(small(), settings(3, scale="max"))
    assert [layer.clipped for layer in cost(quantized).layers] == [0, 0]


def test_thresholds_are_whole_numbers_of_every_chosen_unit() -> None:
    for scale in ("percentile", "mse", "error"):
        quantized = post_training(small(), settings(3, scale=scale), IMAGES)
        neuron: Any = quantized.graph["if"].op
        np.testing.assert_allclose(neuron.theta * quantized.rounding.unit("conv"), [0.25, 0.4, 0.1], rtol=1e-9)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_scales_by_error_give_spikes_closer_to_the_float_ones(sparse: Graph, bits: int) -> None:
    def difference(scale: str) -> float:
        quantized = post_training(sparse, settings(bits, scale=scale), IMAGES)
        layers = agreement(sparse, quantized.graph, IMAGES).layers.values()
        return float(np.mean([layer.mean_difference for layer in layers]))

    assert difference("error") < difference("mse") < difference("max")


def test_a_corrected_bias_makes_the_mean_current_right() -> None:
    graph = small()
    expected = recorded(graph)["conv"].mean(axis=(0, 2, 3))
    errors = []
    for corrections in ((), ("bias",)):
        quantized = post_training(graph, settings(2, scale="max", corrections=corrections), IMAGES)
        unit = quantized.rounding.unit("conv")
        mean = recorded(quantized.graph)["conv"].mean(axis=(0, 2, 3))
        errors.append(np.abs(mean - expected / unit))
    assert errors[1].max() <= 0.5 + 1e-4  # what rounding an integer bias leaves
    assert errors[0].max() > 1


def test_later_layers_correct_what_earlier_ones_still_do_wrong() -> None:
    """The head's bias makes up for the errors of the convolution's spikes, as the integer network makes them."""
    graph = small()
    expected = recorded(graph)["head"].mean(axis=0)
    quantized = post_training(graph, settings(2, corrections=("bias",)), IMAGES)
    mean = recorded(quantized.graph)["head"].mean(axis=0)
    assert np.abs(mean - expected / quantized.rounding.unit("head")).max() <= 0.5 + 1e-4


def test_a_corrected_threshold_never_makes_spikes_worse() -> None:
    graph = small(steps=3)
    expected = recorded(graph)["if"]
    errors = []
    for corrections in ((), ("threshold",)):
        integer = post_training(graph, settings(2, scale="max", corrections=corrections), IMAGES).graph
        errors.append(((recorded(integer)["if"] - expected) ** 2).mean(axis=(0, 2, 3)))
    assert (errors[1] <= errors[0]).all()
    assert (errors[1] < errors[0]).any()


def lif(**changes: Any) -> Node:
    values = {"theta": 0.3, "step_size": 0.2, "decay": 0.9}
    arrays: Any = {name: frozen(np.full(3, value)) for name, value in values.items()}
    return Node("if", LIF(**{**arrays, **changes}), ("conv",))


def test_shift_thresholds_are_powers_of_two_and_mean_the_same(sparse: Graph) -> None:
    for scale in ("max", "percentile", "mse", "error"):
        quantized = post_training(sparse, settings(4, scale=scale, shift_thresholds=True), IMAGES)
        assert all(neuron.counting == "shift" for neuron in cost(quantized).neurons)
        for node in quantized.state.reference.of_kind(MultiLevelIF):
            found: Any = quantized.graph[node.name].op
            real = found.theta * quantized.rounding.unit(node.inputs[0])
            np.testing.assert_allclose(real, node.op.theta, rtol=1e-9)  # type: ignore[attr-defined]


def test_neurons_of_several_levels_divide_by_their_step() -> None:
    quantized = post_training(small(4, lif(levels=3)), settings(shift_thresholds=True))
    found: Any = quantized.graph["if"].op
    assert counting(found) == "shift"
    assert found.levels == 3
    np.testing.assert_allclose(found.step_size * quantized.rounding.unit("conv") / 2**found.fraction_bits, 0.2)


def test_levels_that_cannot_both_be_powers_of_two_are_refused() -> None:
    neurons = [
        Node(name, MultiLevelIF(frozen(np.full(3, level)), 4), ("conv",)) for name, level in (("a", 0.25), ("b", 0.75))
    ]
    values = [
        Node("a.value", Scale(0.25), ("a",)),
        Node("b.value", Scale(0.25), ("b",)),
        Node("sum", Add(), ("a.value", "b.value")),
    ]
    graph = small(1, *neurons, *values)
    with pytest.raises(
        GraphError, match=r"node 'b' \(MultiLevelIF\) cannot divide by a shift: its level is 3 levels of"
    ):
        post_training(graph, settings(shift_thresholds=True))


def test_bits_go_where_they_save_the_most_error(sparse: Graph) -> None:
    quantized = post_training(sparse, settings(average_bits=3.0), IMAGES)
    account = cost(quantized)
    bits = {layer.name: layer.bits for layer in account.layers}
    assert 2.9 < account.average_bits <= 3
    assert bits["stem.0"] > bits["stages.1.0.conv2"]  # 288 weights of the first layer against 36864
    uniform = agreement(sparse, post_training(sparse, settings(3), IMAGES).graph, IMAGES)
    mixed = agreement(sparse, quantized.graph, IMAGES)
    assert mean_difference(mixed) < mean_difference(uniform)


def mean_difference(found: Any) -> float:
    return float(np.mean([layer.mean_difference for layer in found.layers.values()]))


def test_named_layers_keep_their_bits_under_an_average(sparse: Graph) -> None:
    chosen = PostTraining(Precision(8, {"head": 7, "stem.*": 2}), average_bits=4, scale="mse", corrections=())
    account = cost(post_training(sparse, chosen, IMAGES))
    bits = {layer.name: layer.bits for layer in account.layers}
    assert (bits["head"], bits["stem.0"]) == (7, 2)
    assert account.average_bits <= 4


def test_an_average_that_named_layers_exceed_is_refused(sparse: Graph) -> None:
    chosen = PostTraining(Precision(8, {"stages.*": 8}), average_bits=4)
    with pytest.raises(UserError, match="--average-bits 4 cannot be kept"):
        post_training(sparse, chosen, IMAGES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": "median"}, "--scale median: this is unknown: choose one of max, percentile, mse, error"),
        ({"corrections": ("weights",)}, "--correct weights: this is unknown: choose of bias, threshold, or none"),
        ({"percentile": 30.0}, r"--percentile 30: it must lie in 50\.\.100"),
        ({"shift_thresholds": True, "corrections": ("threshold",)}, "leave threshold out of --correct"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings(**changes)


@pytest.mark.parametrize("changes", [{"scale": "error"}, {"corrections": ("bias",)}, {"average_bits": 4.0}])
def test_calibration_without_inputs_is_refused(sparse: Graph, changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="calibration needs inputs: give some with --calibration"):
        post_training(sparse, settings(**changes))


def test_calibration_reports_what_it_does(sparse: Graph) -> None:
    lines: list[str] = []
    post_training(sparse, settings(corrections=("bias",)), IMAGES[:8], lines.append)
    assert lines[0] == "choosing scales by mse"
    assert "calibrating head" in lines
    assert lines[-1] == "rounding"


def test_agreement_counts_every_spike_of_every_step() -> None:
    graph = small(steps=3)
    integer = quantize(graph, Precision(2))
    found = agreement(graph, integer, IMAGES, np.zeros(len(IMAGES), np.int64))
    recorders = Recorder(frozenset({"if"})), Recorder(frozenset({"if"}))
    logits = [interpreter.run(g, IMAGES, [r]).sum(axis=1) for g, r in zip((graph, integer), recorders, strict=True)]
    real, whole = (recorder.tensors["if"] for recorder in recorders)
    layer = found.layers["if"]
    assert layer.equal == pytest.approx(np.mean(real == whole))
    assert layer.mean_difference == pytest.approx(np.mean(np.abs(real - whole)))
    assert (layer.float_mean, layer.integer_mean) == pytest.approx((real.mean(), whole.mean()))
    assert found.samples == len(IMAGES)
    assert found.same_predictions == np.mean(logits[0].argmax(1) == logits[1].argmax(1))
    assert found.float_accuracy == np.mean(logits[0].argmax(1) == 0)
    assert found.integer_accuracy == np.mean(logits[1].argmax(1) == 0)
    assert 0.3 < layer.equal < 0.99


def test_the_cost_of_every_layer_is_what_the_weights_say() -> None:
    quantized = post_training(small(), settings(3), IMAGES)
    account = cost(quantized)
    conv, _ = account.layers
    real = quantized.rounding.real_weight(quantized.state.reference["conv"])
    unit = quantized.rounding.unit("conv")[:, None, None, None]
    integers: Any = quantized.graph["conv"].op
    noise = ((real - unit * integers.weight) ** 2).sum()
    assert conv.sqnr_db == pytest.approx(10 * np.log10((real**2).sum() / noise))
    assert conv.clipped == np.mean(np.abs(real / unit) > 3.5)
    assert (conv.weights, conv.bits) == (27, 3)
    neuron = account.neurons[0]
    theta = quantized.graph["if"].op.theta  # type: ignore[attr-defined]
    assert (neuron.theta_low, neuron.theta_high) == (theta.min(), theta.max())
    assert account.to_json()["layers"][0]["bits"] == 3


ZOO = ("sparse-n4-t1", "sew-n4-t1", "binary-t4", "binary-t1", "qann-3bit")


@pytest.mark.parametrize(("bits", "most"), [(8, 0.45), (4, 0.9), (2, 5.0)])
def test_accuracy_on_digits_survives(bits: int, most: float) -> None:
    """Mean loss over the zoo, of one seed each; one test image is 0.22 points. Three seeds: docs/quantization.md."""
    losses = []
    for name in ZOO:
        checkpoint = frontend.read(zoo.path(name))
        graph = frontend.capture(checkpoint.model, checkpoint.input_shape, checkpoint.largest)
        quantized: Quantized = post_training(graph, PostTraining(Precision(bits)), IMAGES)
        found = agreement(graph, quantized.graph, SPLITS.test.x, SPLITS.test.y)
        assert found.float_accuracy == pytest.approx(checkpoint.metadata["accuracy"], abs=1e-9)
        losses.append(100 * (checkpoint.metadata["accuracy"] - (found.integer_accuracy or 0)))
    assert np.mean(losses) <= most, losses


def test_an_identity_beside_corrected_layers_keeps_its_bits() -> None:
    """Spikes that join a sum of currents pass weights of one a channel; with a bias they would be a layer of 4 bits."""
    checkpoint = frontend.read(zoo.path("spiking-n4-t1"))
    graph = frontend.capture(checkpoint.model, checkpoint.input_shape, checkpoint.largest)
    quantized = post_training(graph, settings(4, scale="error", corrections=("bias", "threshold")), IMAGES[:64])
    found: Any = quantized.graph["stages.0.0.add.current"].op
    assert found.bias is None
    assert np.abs(found.weight.astype(int)).max() > 7
    unit = quantized.rounding.unit("stages.0.0.add.current")
    np.testing.assert_allclose(found.weight.ravel() * unit, 0.25, atol=0.5 * unit.max())
