"""Every backward is the derivative, by finite differences in float64, of the smooth forward that its docstring names.

The smooth forward touches the hard one at the point of the test: it emits ``Vth * (z/N + what S has moved by)``, with S
as documented, so that its value there is the hard output and its derivative is what the backward has to return.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from snn2chip.nn import MultiLevelIF, Threshold
from snn2chip.nn.neurons import Backward

ALPHA, GAIN, STEP = 4.0, 0.75, 1e-6
#: (V, Vth, N, Vth at the point) to S.
Smooth = Callable[[float, float, int, float], float]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def surrogate(v: float, threshold: float, levels: int, _: float) -> float:
    return GAIN * logistic(ALPHA * (v - threshold))


def sum_of_bumps(v: float, threshold: float, levels: int, _: float) -> float:
    bumps = [logistic(ALPHA * (v - k * threshold / levels)) for k in range(1, levels + 1)]
    return GAIN / levels * sum(bumps)


def clipped_identity(v: float, threshold: float, levels: int, at: float) -> float:
    return at * min(max(v / threshold, 0.0), 1.0)


SMOOTH: dict[Backward, Smooth] = {
    "surrogate": surrogate,
    "sum_of_bumps": sum_of_bumps,
    "straight_through": clipped_identity,
}


@dataclass(frozen=True)
class Point:
    """One neuron's currents over T steps, and what the hard neuron does there."""

    currents: list[float]
    threshold: float
    levels: int

    @property
    def emitted(self) -> list[tuple[float, int]]:
        """Membrane before reset and levels of each step."""
        residue, found = 0.0, []
        for current in self.currents:
            membrane = residue + current
            count = min(max(math.floor(self.levels * membrane / self.threshold), 0), self.levels)
            residue = membrane - count * self.threshold / self.levels
            found.append((membrane, count))
        return found


def smooth_outputs(point: Point, backward: Backward, currents: list[float], threshold: float) -> list[float]:
    """The smooth forward that touches the hard one at ``point``, evaluated at other currents and another Vth."""
    s, levels, at = SMOOTH[backward], point.levels, point.threshold
    residue, outputs = 0.0, []
    for current, (membrane, count) in zip(currents, point.emitted, strict=True):
        v = residue + current
        moved = (s(v, threshold, levels, at) - s(membrane, at, levels, at)) / at
        output = threshold * (count / levels + moved)
        detached = count * at / levels
        residue = v - (output if backward == "straight_through" else detached)
        outputs.append(output)
    return outputs


def numeric(point: Point, backward: Backward, weights: list[float]) -> tuple[list[float], float]:
    """Central differences of ``sum of weight * output`` by every current and by Vth."""

    def loss(currents: list[float], threshold: float) -> float:
        outputs = smooth_outputs(point, backward, currents, threshold)
        return sum(weight * output for weight, output in zip(weights, outputs, strict=True))

    def moved(step: int, by: float) -> list[float]:
        return [current + by * (index == step) for index, current in enumerate(point.currents)]

    by_current = [
        (loss(moved(t, STEP), point.threshold) - loss(moved(t, -STEP), point.threshold)) / (2 * STEP)
        for t in range(len(weights))
    ]
    higher, lower = point.threshold + STEP, point.threshold - STEP
    return by_current, (loss(point.currents, higher) - loss(point.currents, lower)) / (2 * STEP)


def drive(steps: int, neurons: int, threshold: float) -> Tensor:
    """``[T, neurons]`` float64 from far below zero to far above Vth."""
    generator = torch.Generator().manual_seed(10 * steps)
    return (torch.rand(steps, neurons, generator=generator, dtype=torch.float64) * 3.5 - 1) * threshold


@pytest.mark.parametrize("backward", list(SMOOTH))
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("levels", [1, 3, 4])
@pytest.mark.parametrize("initial", [1.0, 0.6])
def test_gradients_are_those_of_the_smooth_forward(backward: Backward, steps: int, levels: int, initial: float) -> None:
    threshold = Threshold(initial).double()
    inputs = drive(steps, 25, initial).requires_grad_()
    weights = torch.randn(steps, 25, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (MultiLevelIF(levels, threshold, steps, backward, ALPHA, GAIN)(inputs) * weights).sum().backward()
    assert inputs.grad is not None
    assert threshold.log.grad is not None
    value, by_threshold = float(threshold().detach()), 0.0
    for neuron in range(25):
        point = Point(inputs[:, neuron].tolist(), value, levels)
        by_current, shift = numeric(point, backward, weights[:, neuron].tolist())
        assert inputs.grad[:, neuron].tolist() == pytest.approx(by_current, abs=1e-6)
        by_threshold += shift
    # The parameter is the logarithm of Vth: d/d log(Vth) = Vth * d/dVth.
    assert float(threshold.log.grad) == pytest.approx(value * by_threshold, abs=1e-5)


@pytest.mark.parametrize("backward", list(SMOOTH))
def test_every_channel_learns_from_its_own_neurons(backward: Backward) -> None:
    steps, levels, channels = 2, 4, 3
    threshold = Threshold(1.0, channels).double()
    with torch.no_grad():
        threshold.log.copy_(torch.tensor([0.5, 1.0, 1.75]).log())
    inputs = drive(steps, 4 * channels * 5, 1.0).reshape(steps * 4, channels, 5)
    weights = torch.randn(steps * 4, channels, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (MultiLevelIF(levels, threshold, steps, backward, ALPHA, GAIN)(inputs) * weights).sum().backward()
    assert threshold.log.grad is not None
    for channel, value in enumerate(threshold().tolist()):
        columns = inputs[:, channel].reshape(steps, -1)
        factors = weights[:, channel].reshape(steps, -1)
        total = sum(
            numeric(Point(columns[:, n].tolist(), value, levels), backward, factors[:, n].tolist())[1]
            for n in range(columns.shape[1])
        )
        assert float(threshold.log.grad[channel]) == pytest.approx(value * total, abs=1e-5)


@pytest.mark.parametrize("backward", list(SMOOTH))
def test_a_learned_threshold_changes_no_other_gradient(backward: Backward) -> None:
    gradients = []
    for threshold in (1.0, Threshold(1.0).double()):
        inputs = drive(3, 40, 1.0).requires_grad_()
        MultiLevelIF(4, threshold, 3, backward)(inputs).square().sum().backward()
        gradients.append(inputs.grad)
    first, second = gradients
    assert first is not None
    assert second is not None
    assert torch.allclose(first, second, atol=1e-12)


def test_at_one_level_the_sum_of_bumps_is_the_single_bump() -> None:
    gradients = []
    for backward in ("surrogate", "sum_of_bumps"):
        inputs = drive(2, 40, 1.0).requires_grad_()
        MultiLevelIF(1, 1.0, 2, backward)(inputs).square().sum().backward()
        gradients.append(inputs.grad)
    assert gradients[0] is not None
    assert gradients[1] is not None
    assert torch.allclose(gradients[0], gradients[1], atol=1e-12)


def test_a_sum_of_bumps_reaches_the_low_levels() -> None:
    """At a quarter of Vth, where the single bump has all but vanished (0.112 of a peak of 1.25)."""
    at_the_first_level = torch.tensor([0.25], requires_grad=True)
    MultiLevelIF(4, backward="surrogate")(at_the_first_level).sum().backward()
    single = float(at_the_first_level.grad)  # type: ignore[arg-type]
    at_the_first_level.grad = None
    MultiLevelIF(4, backward="sum_of_bumps")(at_the_first_level).sum().backward()
    assert single == pytest.approx(0.112, abs=1e-3)
    assert float(at_the_first_level.grad) > 5 * single  # type: ignore[arg-type]
