"""MultiLevelIF against the equations written out as plain loops over exact fractions, and its two backwards."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from snn2chip.errors import UserError
from snn2chip.nn import MultiLevelIF, QuantizedReLU, Threshold
from snn2chip.nn.neurons import Backward


def fire(inputs: list[Fraction], levels: int, threshold: Fraction) -> tuple[list[int], list[Fraction]]:
    """Levels and membranes before reset of one neuron, straight from the equations."""
    residue, spikes, membranes = Fraction(0), [], []
    for current in inputs:
        membrane = residue + current
        spike = min(max(math.floor(levels * membrane / threshold), 0), levels)
        residue = membrane - spike * threshold / levels
        spikes.append(spike)
        membranes.append(membrane)
    return spikes, membranes


def drive(steps: int, neurons: int, seed: int = 0) -> Tensor:
    """``[T, neurons]`` multiples of 1/64 around the threshold, exact in float32."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-96, 160, (steps, neurons), generator=generator) / 64


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("steps", [1, 2, 4, 7])
@pytest.mark.parametrize("threshold", [1.0, 0.5])
def test_is_the_equations(levels: int, steps: int, threshold: float) -> None:
    inputs = drive(steps, 200)
    outputs = MultiLevelIF(levels, threshold, steps)(inputs)
    for neuron in range(inputs.shape[1]):
        column = [Fraction(value) for value in inputs[:, neuron].tolist()]
        expected, _ = fire(column, levels, Fraction(threshold))
        assert (outputs[:, neuron] * levels / threshold).round().tolist() == expected
        assert torch.allclose(outputs[:, neuron], torch.tensor(expected) * threshold / levels, rtol=1e-6)


@pytest.mark.parametrize(("levels", "steps"), [(4, 2), (1, 8), (8, 1), (4, 1), (1, 4)])
def test_a_constant_input_is_quantised_to_the_levels_of_all_steps(levels: int, steps: int) -> None:
    constant = torch.arange(0, 193) / 128
    outputs = MultiLevelIF(levels, steps=steps)(constant.repeat(steps)).reshape(steps, -1)
    expected = torch.floor(levels * steps * constant).clamp(0, levels * steps)
    assert torch.equal(outputs.sum(0) * levels, expected)
    assert len(set(expected.tolist())) == levels * steps + 1


def learned(threshold: float) -> Threshold:
    """A threshold that training has moved there."""
    module = Threshold(1.0)
    with torch.no_grad():
        module.log.fill_(math.log(threshold))
    return module.requires_grad_(False)


@pytest.mark.parametrize("levels", [*range(1, 16), 31, 255])
@pytest.mark.parametrize("threshold", [1.0, 0.3, learned(1.0), learned(0.7351), learned(2.11)])
def test_sums_of_levels_lose_none_to_rounding(levels: int, threshold: float | Threshold) -> None:
    """What meets at a barrier: three branches of k*Vth/N each, and again what they leave over the steps."""
    counts = torch.cartesian_prod(*[torch.arange(0, levels + 1, 1 + levels // 16)] * 3)
    steps = 4
    neuron = MultiLevelIF(levels, threshold, steps)
    branches = (counts * neuron.level).to(torch.float32)
    current = branches[:, 0] + branches[:, 1] + branches[:, 2]
    outputs = neuron(current.repeat(steps)).reshape(steps, -1)
    remaining = torch.zeros(len(counts), dtype=torch.long)
    for step in range(steps):
        remaining += counts.sum(1)
        expected = remaining.clamp(max=levels)
        remaining -= expected
        assert torch.equal((outputs[step] / neuron.level).round().long(), expected)


def test_levels_that_are_powers_of_two_need_no_guard() -> None:
    assert MultiLevelIF(levels=4).guard == 0
    assert MultiLevelIF(levels=4, threshold=learned(1.0)).guard > 0  # training may move it anywhere
    below = torch.nextafter(torch.tensor([1.0]), torch.tensor([0.0]))
    assert MultiLevelIF(levels=4)(below).item() == 0.75
    assert QuantizedReLU(bits=3).guard > 0


def test_every_call_starts_from_an_empty_membrane() -> None:
    neuron, inputs = MultiLevelIF(levels=4, steps=3), drive(3, 50)
    assert torch.equal(neuron(inputs), neuron(inputs))


def test_time_is_outermost() -> None:
    """Samples do not mix: a batch is its samples side by side."""
    neuron, inputs = MultiLevelIF(levels=2, steps=3), drive(3, 8).reshape(3, 2, 4)
    together = neuron(inputs.reshape(6, 4)).reshape(3, 2, 4)
    for sample in range(2):
        assert torch.equal(together[:, sample], neuron(inputs[:, sample]))


def bump(excess: float, alpha: float) -> float:
    return alpha * math.exp(-alpha * excess) / (1 + math.exp(-alpha * excess)) ** 2


@pytest.mark.parametrize(("alpha", "gain", "threshold"), [(5.0, 1.0, 1.0), (3.0, 0.5, 2.0)])
def test_the_surrogate_is_one_bump_at_the_threshold(alpha: float, gain: float, threshold: float) -> None:
    current = torch.linspace(-1, 3, 81, requires_grad=True)
    MultiLevelIF(4, threshold, alpha=alpha, surrogate_gain=gain)(current).sum().backward()
    expected = [gain * bump(value - threshold, alpha) for value in current.tolist()]
    assert current.grad is not None
    assert torch.allclose(current.grad, torch.tensor(expected), atol=1e-6)
    assert current.detach()[current.grad.argmax()].item() == pytest.approx(threshold)
    assert current.grad.max().item() == pytest.approx(gain * alpha / 4)


def test_the_surrogate_reaches_back_in_time_past_a_detached_reset() -> None:
    steps, levels = 4, 2
    inputs = drive(steps, 30).requires_grad_()
    weights = torch.rand(steps, 30, generator=torch.Generator().manual_seed(1))
    (MultiLevelIF(levels, steps=steps)(inputs) * weights).sum().backward()
    assert inputs.grad is not None
    for neuron in range(30):
        _, membranes = fire([Fraction(v) for v in inputs[:, neuron].tolist()], levels, Fraction(1))
        slopes = [weights[t, neuron].item() * bump(float(v) - 1, 5) for t, v in enumerate(membranes)]
        expected = [sum(slopes[t:]) for t in range(steps)]
        assert inputs.grad[:, neuron].tolist() == pytest.approx(expected, abs=1e-5)


def test_straight_through_is_the_identity_within_the_range() -> None:
    current = torch.tensor([-0.5, -0.01, 0.0, 0.1, 0.6, 1.0, 1.01, 2.0], requires_grad=True)
    upstream = torch.arange(1.0, 9.0)
    MultiLevelIF(4, backward="straight_through")(current).backward(upstream)
    assert current.grad is not None
    assert current.grad.tolist() == [0, 0, 3, 4, 5, 6, 0, 0]


def test_straight_through_passes_clipped_charge_on_to_the_next_step() -> None:
    current = torch.tensor([[1.5, 0.5, -0.5], [0.25, 0.25, 0.75]], requires_grad=True)
    neuron = MultiLevelIF(4, steps=2, backward="straight_through")
    assert neuron(current).tolist() == [[1.0, 0.5, 0.0], [0.75, 0.25, 0.25]]
    neuron(current).backward(torch.tensor([[1.0, 1.0, 1.0], [10.0, 10.0, 10.0]]))
    assert current.grad is not None
    assert current.grad.tolist() == [[10.0, 1.0, 10.0], [10.0, 10.0, 10.0]]


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_the_quantised_relu_has_two_to_the_bits_values(bits: int) -> None:
    inputs = torch.linspace(-1, 2, 4096)
    outputs = QuantizedReLU(bits)(inputs)
    assert len(set(outputs.tolist())) == 2**bits
    assert (outputs.min().item(), outputs.max().item()) == (0, 1)
    assert ((inputs.clamp(0, 1) - outputs) < 1 / (2**bits - 1)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": 0}, "levels 0"),
        ({"steps": 0}, "steps 0"),
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"threshold": math.nan}, "threshold is nan: it must be positive and finite"),
        ({"threshold": math.inf}, "threshold is inf"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"backward": "none"}, "'none'"),
    ],
)
def test_a_neuron_that_cannot_be_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MultiLevelIF(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0,), "initial is 0.0"),
        ((math.nan,), "initial is nan"),
        ((1.0, 0), "channels is 0"),
        ((1.0, 10**9), "1000000000"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Threshold(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("backward", ["surrogate", "sum_of_bumps", "straight_through"])
def test_a_learned_threshold_stays_positive(backward: Backward) -> None:
    """However far an optimiser steps: here towards ever lower thresholds."""
    threshold = Threshold(1.0)
    for _ in range(10):
        loss = -MultiLevelIF(4, threshold, backward=backward)(torch.full((8,), 0.6)).sum()
        (gradient,) = torch.autograd.grad(loss, threshold.log)
        with torch.no_grad():
            threshold.log.sub_(5 * gradient)
    assert 0 < float(threshold().detach()) != 1


def test_channels_have_thresholds_of_their_own() -> None:
    threshold = Threshold(1.0, channels=3)
    with torch.no_grad():
        threshold.log.copy_(torch.tensor([0.5, 1.0, 2.0]).log())
    neuron, inputs = MultiLevelIF(3, threshold, steps=2), drive(6, 12).reshape(4, 3, 3, 2)
    for channel, value in enumerate([0.5, 1.0, 2.0]):
        alone = MultiLevelIF(3, learned(value), steps=2)(inputs[:, channel])
        assert torch.allclose(neuron(inputs)[:, channel], alone)
    assert torch.allclose(neuron(inputs[:, :, 0, 0]), neuron(inputs)[:, :, 0, 0])


def test_autocast_leaves_levels_exact() -> None:
    """In bfloat16, seven levels of 1/7 would not add up to the seven that a barrier must count."""
    neuron = MultiLevelIF(7, learned(1.1))
    with torch.autocast("cpu", torch.bfloat16):
        outputs = neuron(torch.linspace(0, 1.2, 50).to(torch.bfloat16))
        counted = neuron(outputs)
    assert outputs.dtype == torch.float32
    assert len(set(outputs.tolist())) == 8
    assert torch.equal(counted, outputs)


def test_shapes_can_be_had_without_memory() -> None:
    with torch.device("meta"):
        assert MultiLevelIF(4, Threshold(1.0), steps=2)(torch.empty(10**6, 10**6)).shape == (10**6, 10**6)


def test_rows_that_do_not_divide_into_steps_are_refused() -> None:
    with pytest.raises(UserError, match="5 rows are no multiple of 2 steps"):
        MultiLevelIF(steps=2)(torch.zeros(5, 3))


def test_a_quantiser_without_bits_is_refused() -> None:
    with pytest.raises(UserError, match="not 0"):
        QuantizedReLU(0)


@pytest.mark.parametrize("backward", ["surrogate", "straight_through", "sum_of_bumps"])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_residual_sum_may_be_formed_in_place(backward: Backward, steps: int) -> None:
    current = torch.randn(4, 3, requires_grad=True)
    spikes = MultiLevelIF(levels=4, steps=steps, backward=backward)(current * 1.0)
    spikes += 1
    spikes.sum().backward()
    assert current.grad is not None
