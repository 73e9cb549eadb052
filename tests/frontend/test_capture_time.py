"""Time in a forward: loops, lists, records, sequences, models that run one step. The graph is one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from norse.torch import IAF, IAFCell, LIBoxCell, Lift, SequentialState
from norse.torch.functional.iaf import IAFParameters
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip.errors import UserError
from snn2chip.ops import LIF, LeakyIntegrator

Forward = Callable[..., Any]
STEPS = 5


class Layers(nn.Module):
    """Two layers, which each forward below steps in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.T = STEPS
        self.first, self.second = nn.Linear(6, 12), nn.Linear(12, 4)
        self.neuron, self.last, self.whole = IAFCell(), IAFCell(), IAF()
        self.graded = IAFCell(IAFParameters(v_th=torch.tensor(0.5)))
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = torch.randint(-32, 64, parameter.shape, generator=generator) / 64

    def step(self, x: Tensor, states: list[Any]) -> Tensor:
        """One step; `states` is changed."""
        spikes, states[0] = self.neuron(self.first(x), states[0])
        spikes, states[1] = self.last(self.second(spikes), states[1])
        return spikes  # type: ignore[no-any-return]


def network(forward: Forward) -> nn.Module:
    return type("Network", (Layers,), {"forward": forward})()  # type: ignore[no-any-return]


def stacked(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    return torch.stack([self.step(x, states) for _ in range(self.T)], dim=0).sum(0)


def averaged(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    return torch.stack([self.step(x, states) for _ in range(self.T)]).mean(dim=0) * self.T


def all_steps(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    return torch.stack([self.step(x, states) for _ in range(self.T)], dim=1).sum(1)


def joined(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    return torch.cat([self.step(x, states).unsqueeze(0) for _ in range(self.T)]).sum(0)


def accumulated(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    total = 0
    for _ in range(self.T):
        total = total + self.step(x, states)
    return total


def accumulated_in_place(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    total = torch.zeros(x.shape[0], 4)
    for _ in range(self.T):
        total.add_(self.step(x, states))
    return total


def started_with_the_first(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    total = self.step(x, states)
    for _ in range(self.T - 1):
        total += self.step(x, states)
    return total / self.T * self.T


def recorded(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    record = torch.zeros(self.T, x.size(0), 4)
    for t in range(self.T):
        record[t] = self.step(x, states)
    return record.sum(0)


def with_states(self: Any, x: Tensor) -> Any:
    """The potentials are returned, too, and are no output."""
    states: list[Any] = [None, None]
    spikes, potentials = [], []
    for _ in range(self.T):
        spikes.append(self.step(x, states))
        potentials.append(states[1].v)
    return torch.stack(spikes).sum(0), torch.stack(potentials)


def repeated(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    frames = x.unsqueeze(0).repeat(self.T, 1, 1)
    return sum(self.step(frames[t], states) for t in range(frames.shape[0]))


def expanded_and_unbound(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    frames = x[None].expand(self.T, -1, -1)
    return torch.stack([self.step(frame, states) for frame in frames]).sum(0)


def as_a_sequence(self: Any, x: Tensor) -> Any:
    frames = x.unsqueeze(0).repeat(self.T, 1, 1)
    spikes, _ = self.whole(self.first(frames))
    return self.second(spikes).sum(0)


def merged(self: Any, x: Tensor) -> Any:
    """Time in the batch for what has no state."""
    frames = x.repeat(self.T, 1)
    spikes, _ = self.whole(self.first(frames).view(self.T, -1, 12))
    return self.second(spikes.flatten(0, 1)).unflatten(0, (self.T, -1)).sum(0)


def of_means(self: Any, x: Tensor) -> Any:
    """What is linear means the same before and after a mean over time."""
    spikes, _ = self.whole(self.first(x.unsqueeze(0).repeat(self.T, 1, 1)))
    return self.second(spikes.mean(0)) * self.T


LOOPS = (
    *(stacked, averaged, all_steps, joined, accumulated, accumulated_in_place, started_with_the_first, recorded),
    *(with_states, repeated, expanded_and_unbound, as_a_sequence, merged, of_means),
)


@pytest.mark.parametrize("forward", LOOPS)
def test_a_loop_is_rolled_up(forward: Forward) -> None:
    model = network(forward)
    images = np.random.default_rng(1).integers(0, 4, (16, 6)).astype(np.uint8)
    graph = frontend.capture(model, (6,), 3)
    with torch.no_grad():
        expected = model(torch.from_numpy(images).float())
    expected = expected[0] if isinstance(expected, tuple) else expected
    assert graph.steps == STEPS
    assert len(graph.of_kind(LIF)) == (1 if forward in (as_a_sequence, merged, of_means) else 2)
    # A mean is scaled back in a single precision that does not always hold it: exact but for those two.
    tolerance = 1e-5 if forward in (averaged, of_means, started_with_the_first) else 0
    # ``mean * T`` is T times the mean, and the readout gives T times what the network returns of means.
    factor = STEPS if forward in (averaged, of_means) else 1
    np.testing.assert_allclose(interpreter.logits(graph, images), expected.numpy() * factor, atol=tolerance)


def frames_first(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    return torch.stack([self.step(x[t], states) for t in range(x.size(0))])


def frames_second(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    return torch.stack([self.step(x[:, t], states) for t in range(x.shape[1])], dim=1)


@pytest.mark.parametrize("forward", [frames_first, frames_second])
def test_frames_along_a_time_axis(forward: Forward) -> None:
    model = network(forward)
    images = np.random.default_rng(1).integers(0, 4, (16, STEPS, 6)).astype(np.uint8)
    graph = frontend.capture(model, (6,), 3, steps=STEPS)
    given = torch.from_numpy(images).float()
    with torch.no_grad():
        expected = model(given.transpose(0, 1)).transpose(0, 1) if forward is frames_first else model(given)
    np.testing.assert_array_equal(interpreter.run(graph, images), expected.numpy())


def one_step(self: Any, x: Tensor, first: Any, second: Any) -> Any:
    states = [first, second]
    return self.step(x, states), *states


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_a_model_that_runs_one_step(steps: int) -> None:
    model = network(one_step)
    images = np.random.default_rng(1).integers(0, 4, (16, 6)).astype(np.uint8)
    graph = frontend.capture(model, (6,), 3, steps=steps)
    found, states = [], (None, None)
    with torch.no_grad():
        for _ in range(steps):
            spikes, *states = model(torch.from_numpy(images).float(), *states)
            found.append(spikes)
    np.testing.assert_array_equal(interpreter.run(graph, images), torch.stack(found, 1).numpy())


def test_a_sequential_with_states_over_time() -> None:
    torch.manual_seed(0)
    model = SequentialState(Lift(nn.Conv2d(1, 2, 3)), IAF(), nn.Flatten(2), nn.Linear(8, 3), IAF())
    graph = frontend.capture(model, (1, 4, 4), 3, steps=3)
    assert [node.name for node in graph.of_kind(LIF)] == ["1", "4"]
    assert graph["0.lifted_module"].kind == "Conv2d"


def test_a_membrane_is_read() -> None:
    graph = frontend.capture(SequentialState(nn.Linear(6, 3), LIBoxCell()), (6,), 3, steps=4)
    assert len(graph.of_kind(LeakyIntegrator)) == 1


def dropped_state(self: Any, x: Tensor) -> Any:
    return self.neuron(self.first(x))[0]


def last_only(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    return [self.step(x, states) for _ in range(self.T)][-1]


def some_steps(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    return sum([self.step(x, states) for _ in range(self.T)][1:])


def delayed(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    total, before = 0, torch.zeros(len(x), 12)
    for _ in range(self.T):
        spikes, states[0] = self.neuron(self.first(x), states[0])
        out, states[1] = self.last(self.second(before), states[1])
        before, total = spikes, total + out
    return total


def alternating(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    total = 0
    for t in range(self.T):
        spikes, states[0] = self.neuron(self.first(x) * (1 + t), states[0])
        total = total + spikes
    return total


def swapped(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    current = self.second(self.neuron(self.first(x), None)[0])
    for _ in range(self.T):
        _, states[0] = self.last(current, states[1])
        spikes, states[1] = self.graded(current, states[0])
    return spikes


def unequal(self: Any, x: Tensor) -> Any:
    states: list[Any] = [None, None]
    self.step(x, states)
    return self.neuron(self.first(x), states[0])[0] + self.step(x, [None, None])


def summed_midway(self: Any, x: Tensor) -> Any:
    spikes, _ = self.whole(self.first(x.unsqueeze(0).repeat(self.T, 1, 1)))
    return self.last(self.second(spikes.sum(0)))[0]


@pytest.mark.parametrize(
    ("forward", "steps", "sentence"),
    [
        (one_step, None, r"say how many steps it runs"),
        (frames_first, None, r"it selects some of the batch .*say how many steps it runs"),
        (stacked, 4, r"it runs 5 steps, but the network runs T = 4"),
        (dropped_state, 4, r"its neuron 'neuron' starts afresh at every call"),
        (last_only, None, r"returns step 4 of 'last' alone"),
        (some_steps, None, r"it combines step 1 with step 2: only values of one step can meet"),
        (delayed, None, r"module 'last' \(IAFCell\).*: it reads a constant"),
        (
            alternating,
            None,
            r"module 'neuron' \(IAFCell\).*: it read 'first' at step 0 and reads 'mul' at step 1",
        ),
        (swapped, None, r"module '(graded|last)' \(IAFCell\).*not its own latest"),
        (unequal, None, r"its neurons are called different numbers of times"),
        (summed_midway, None, r"module 'second' \(Linear\): a linear layer is applied to the sum over all steps"),
    ],
)
def test_what_is_no_loop_over_equal_steps_is_refused(forward: Forward, steps: int | None, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(network(forward), (6,), 3, steps=steps)
