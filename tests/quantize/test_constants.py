"""Constants of neurons that integers say coarsely are named, with what they were and what they became."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snn2chip import api
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.ops import LIF, Input, Linear, MultiLevelIF, Readout, SpikingNeuron
from snn2chip.quantize import Precision
from snn2chip.quantize.cost import cost
from snn2chip.quantize.post_training import PostTraining, Quantized, plain, post_training

#: Weights that have no common divisor with anything: nothing stays whole. 8 bits make sqrt(2) 127 units.
WEIGHT = frozen([[2**0.5, 0.3], [2**0.5, -0.7]])
UNIT = 2**0.5 / 127


def real(*units: float) -> Array:
    """Real constants of so many units of the current."""
    return frozen(np.array(units) * UNIT)


def network(neuron: SpikingNeuron, steps: int = 4) -> Graph:
    nodes = (
        Node("x", Input((2,), 3)),
        Node("fc", Linear(WEIGHT), ("x",)),
        Node("neuron", neuron, ("fc",)),
        Node("head", Linear(frozen(np.eye(2))), ("neuron",)),
        Node("logits", Readout(), ("head",)),
    )
    return Graph(nodes, steps)


def lif(**changes: Any) -> LIF:
    ones = {"theta": real(100, 100), "step_size": real(100, 100), "decay": frozen([1.0, 1.0])}
    return LIF(**{**ones, **changes})


def said(quantized: Quantized) -> list[tuple[str, float]]:
    return [(f"{found.node}: {found.what}", round(found.relative_error, 4)) for found in quantized.approximations]


@pytest.mark.parametrize(
    ("neuron", "expected"),
    [
        (MultiLevelIF(real(100.4, 50.2), 4), []),
        (MultiLevelIF(real(100.4, 2.7), 4), [("neuron: theta of channel 1: 3 units instead of 2.70", 0.1111)]),
        (MultiLevelIF(real(0.4, 1.45), 4), [("neuron: theta of channel 0: 1 units instead of 0.40", 1.5)]),
        (lif(), []),
        (lif(theta=real(1.2, 100)), [("neuron: theta of channel 0: 2 units instead of 1.20", 0.6667)]),
        (lif(step_size=real(100, 1.4)), [("neuron: step_size of channel 1: 1 units instead of 1.40", 0.2857)]),
        (lif(drive=real(0.4, 30)), [("neuron: drive of channel 0: 0 units instead of 0.40", 1.0)]),
        (lif(floor=real(-50, -2.4)), [("neuron: floor of channel 1: -2 units instead of -2.40", 0.1667)]),
        (lif(floor=frozen([-1e9, -1e9])), []),  # beyond 24 bits: no potential falls so low
        (lif(drive=real(0.01, 30)), []),  # 0.04 units in four steps move no threshold of 100
    ],
)
def test_what_moved_by_more_than_a_twentieth_is_named(neuron: SpikingNeuron, expected: list[tuple[str, float]]) -> None:
    assert said(plain(network(neuron), Precision())) == expected


def test_above_a_whole_number_is_from_the_next_one_on() -> None:
    """Weights and constants are whole: nothing is rounded, and 'above 2' is 'from 3 on'."""
    whole = Graph(
        (
            Node("x", Input((2,), 3)),
            Node("fc", Linear(frozen([[3.0, -1.0], [1.0, 2.0]])), ("x",)),
            Node("neuron", LIF(frozen([2.0, 2.0]), frozen([2.0, 2.0]), frozen([1.0, 1.0]), strict=True), ("fc",)),
            Node("logits", Readout(), ("neuron",)),
        ),
        3,
    )
    quantized = plain(whole, Precision())
    np.testing.assert_array_equal(quantized.graph["neuron"].op.theta, [3, 3])  # type: ignore[attr-defined]
    assert said(quantized) == []


def test_fraction_bits_make_constants_fine_again() -> None:
    leaky = lif(theta=real(3.3, 3.3), step_size=real(3.3, 3.3), decay=frozen([0.9, 0.9]))
    quantized = plain(network(leaky), Precision())
    assert quantized.graph["neuron"].op.fraction_bits > 3  # type: ignore[attr-defined]
    assert not any("theta" in what or "step_size" in what for what, _ in said(quantized))


def test_the_account_holds_them_and_how_far_thresholds_moved() -> None:
    account = cost(plain(network(MultiLevelIF(real(100.4, 2.7), 4)), Precision()))
    (neuron,) = account.neurons
    assert neuron.theta_change == pytest.approx(0.3 / 2.7)
    assert [found.what for found in account.approximations] == ["theta of channel 1: 3 units instead of 2.70"]
    assert account.to_json()["neurons"][0]["theta_change"] == neuron.theta_change


def test_correction_does_not_hide_them() -> None:
    """A corrected threshold is a whole number by construction, and still not the one that was trained."""
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 4, (64, 2)).astype(np.uint8)
    graph = network(MultiLevelIF(real(100.4, 2.5), 4))
    quantized = post_training(graph, PostTraining(Precision(), scale="max", corrections=("threshold",)), inputs)
    wanted = (2.5 * UNIT / quantized.rounding.unit("fc"))[1]
    found = int(quantized.graph["neuron"].op.theta[1])  # type: ignore[attr-defined]
    sentence = f"neuron: theta of channel 1: {found} units instead of {wanted:.2f}"
    assert (sentence, round(abs(found - wanted) / wanted, 4)) in said(quantized)


def test_counting_says_what_a_neuron_does() -> None:
    kinds = {
        "comparison": MultiLevelIF(real(64, 64), 1),
        "shift": MultiLevelIF(real(64, 16), 4),
        "division": MultiLevelIF(real(64, 17), 4),
    }
    found = {kind: cost(plain(network(neuron), Precision())).neurons[0].counting for kind, neuron in kinds.items()}
    assert found == {kind: kind for kind in kinds}


def test_what_is_coarse_reaches_the_export() -> None:
    from snn2chip.quantize.branches import Approximation

    found = api._coarse([Approximation("a", "theta", 0.051), Approximation("b", "decay", 0.049)])
    assert found == ("a: theta, by 5.1 %",)
