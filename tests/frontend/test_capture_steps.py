"""Networks that are called step by step, feed back, or change their weights on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import norse.torch as norse
import numpy as np
import pytest
import torch
from norse.torch.functional.leaky_integrator import LIParameters
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip.errors import UserError
from snn2chip.frontend.exported import capture_exported
from snn2chip.ops import LIF, LeakyIntegrator, MultiLevelIF

STEPS = 4
Forward = Callable[..., Any]


class Layers(nn.Module):
    """Layers that each forward below wires in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head, self.back = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 6, bias=False)
        self.both, self.cell, self.lstm = nn.Linear(10, 6), norse.IAFCell(), nn.LSTM(4, 6)
        self.one, self.other = torch.full((6, 4), 0.5), torch.full((6, 4), 2.0)
        self.spikes: Any = None
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = torch.randint(-64, 96, parameter.shape, generator=generator) / 64


def network(forward: Forward) -> Any:
    return type("Network", (Layers,), {"forward": forward})().double().eval()


def frames(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 6, shape).astype(np.uint8)


def by_data(weight: Tensor, values: Tensor) -> None:
    weight.data = values


def by_copy(weight: Tensor, values: Tensor) -> None:
    weight.data.copy_(values)


def by_numpy(weight: Tensor, values: Tensor) -> None:
    weight.detach().numpy()[:] = values.numpy()


@pytest.mark.parametrize("change", [by_data, by_copy, by_numpy])
def test_weights_that_change_between_the_steps_are_seen(change: Callable[[Tensor, Tensor], None]) -> None:
    def forward(self: Any, x: Tensor) -> Any:
        v, total = 0.0, 0.0
        for step in range(STEPS):
            change(self.first.weight, (self.other if step == changed else self.one).double())
            v = v + self.first(x)
            s = (v >= 1).to(x.dtype)
            v, total = v - s, total + self.head(s)
        return total

    changed = -1
    graph, inputs = frontend.capture(network(forward), (4,), 5), frames(16, 4)
    with torch.no_grad():
        np.testing.assert_array_equal(
            interpreter.logits(graph, inputs), network(forward)(torch.tensor(inputs).double())
        )
    changed = 2
    with pytest.raises(UserError, match="Network"):
        frontend.capture(network(forward), (4,), 5)


class DataParallel(nn.Module):
    """The user's own, called as PyTorch's."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Any:
        return 2 * self.module(x)


class Derived(torch.nn.DataParallel[nn.Module]):
    def forward(self, x: Tensor) -> Any:
        return 3 * self.module(x)


@pytest.mark.parametrize("wrapper", [DataParallel, Derived, torch.nn.DataParallel, torch.compile])
def test_a_wrapper_is_known_by_its_class_not_by_its_name(wrapper: Callable[[nn.Module], nn.Module]) -> None:
    linear = network(lambda self, x: None).first
    inputs = frames(8, 4)
    graph = frontend.capture(wrapper(linear), (4,), 5, steps=1)
    factor = {DataParallel: 2, Derived: 3}.get(wrapper, 1)  # type: ignore[call-overload]
    expected = factor * linear(torch.tensor(inputs).double()).detach().numpy()
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), expected)


def test_a_wrapper_with_hooks_is_refused_by_name() -> None:
    wrapper = torch.nn.DataParallel(nn.Linear(4, 3))
    wrapper.register_forward_hook(lambda module, args, out: 2 * out)
    with pytest.raises(UserError, match="the wrapper DataParallel: it has forward hooks"):
        frontend.capture(wrapper, (4,), 5, steps=1)


@pytest.mark.parametrize("threshold", [0.7, 0.1, 0.3, 1.1, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_of_any_threshold(threshold: float, dtype: torch.dtype) -> None:
    def forward(self: Any, x: Tensor) -> Any:
        v, total = torch.zeros(x.shape[0], 6), 0.0
        for _ in range(STEPS):
            v = v + self.first(x)
            s = torch.clamp(torch.floor(v / threshold), 0, 4)
            v, total = v - threshold * s, total + self.head(s)
        return total

    graph = frontend.capture(network(forward).to(dtype), (4,), 5)
    op: Any = graph.of_kind(MultiLevelIF)[0].op
    assert op.levels == 4
    rounded = np.array(threshold, np.float64 if dtype == torch.float64 else np.float32)
    np.testing.assert_allclose(op.theta, np.full(6, rounded, np.float64), rtol=2.0**-51)


@pytest.mark.parametrize("threshold", [0.5, 0.75, 1.0, 2.0])
@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_a_soft_reset_of_any_threshold_is_immediate(threshold: float, decay: float) -> None:
    def forward(self: Any, x: Tensor) -> Any:
        v, total = torch.zeros(x.shape[0], 6, dtype=x.dtype), 0.0
        for _ in range(STEPS):
            v = decay * v + self.first(x)
            s = (v > threshold).to(x.dtype)
            v, total = v - threshold * s, total + self.head(s)
        return total

    graph, inputs = frontend.capture(network(forward), (4,), 5), frames(64, 4)
    op: Any = graph.of_kind(LIF)[0].op
    assert (op.delayed, op.theta[0], op.step_size[0]) == (False, threshold, threshold)
    with torch.no_grad():
        expected = network(forward)(torch.tensor(inputs).double())
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), expected)


def one_state(self: Any, x: Tensor, m: Any) -> Any:
    m = 0.5 * m + self.first(x) - (m > 1).to(x.dtype)
    return self.head((m > 1).to(x.dtype)), m


def state_first(self: Any, x: Tensor, m: Any) -> Any:
    return one_state(self, x, m)[::-1]


def two_states(self: Any, x: Tensor, i: Any, m: Any) -> Any:
    i = 0.25 * i + self.first(x)
    m = 0.5 * m + i
    s = (m > 1).to(x.dtype)
    return self.head(s), i, m * (1 - s)


def two_states_delayed(self: Any, x: Tensor, i: Any, m: Any) -> Any:
    i = 0.25 * i + self.first(x)
    m = 0.5 * m + i - (m > 1).to(x.dtype)
    return self.head((m > 1).to(x.dtype)), i, m


def two_states_omitted(self: Any, x: Tensor, i: Any = None, m: Any = None) -> Any:
    return two_states(self, x, *((i, m) if i is not None else (torch.zeros(6), torch.zeros(6))))


def one_tuple(self: Any, x: Tensor, states: Any = None) -> Any:
    logits, *states = two_states(self, x, *(states or (torch.zeros(6), torch.zeros(6))))
    return logits, tuple(states)


def stepped(model: Any, x: Tensor, states: Sequence[Any], first: bool) -> Any:
    total = torch.zeros(len(x), 3, dtype=x.dtype)
    with torch.no_grad():
        for _ in range(STEPS):
            returned = model(x, *states)
            logits, states = (returned[-1], returned[:-1]) if first else (returned[0], returned[1:])
            total += logits
    return total.numpy()


@pytest.mark.parametrize(
    ("forward", "states"),
    [(one_state, 1), (state_first, 1), (two_states, 2), (two_states_omitted, 0), (one_tuple, 0)],
)
def test_states_that_are_what_a_neuron_reads_at_first(forward: Forward, states: int) -> None:
    inputs = frames(64, 4)
    graph = frontend.capture(network(forward), (4,), 5, steps=STEPS)
    zeros = [torch.zeros(64, 6, dtype=torch.float64) for _ in range(states)]
    expected = stepped(network(forward), torch.tensor(inputs).double(), zeros, forward is state_first)
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), expected)
    if not states:
        return
    given = [torch.zeros(2, 6, dtype=torch.float64) for _ in range(states)]
    program = torch.export.export(network(forward), (torch.zeros(2, 4, dtype=torch.float64), *given))
    assert capture_exported(program, (4,), 5, STEPS).digest == graph.digest


def soft(self: Any, x: Tensor, i: Any, m: Any) -> Any:
    i = 0.25 * i + self.first(x)
    m = 0.5 * m + i
    s = (m > 1).to(x.dtype)
    return self.head(s), i, m - s


@pytest.mark.parametrize("steps", [2, 3, 5])
@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("step", [soft, two_states, two_states_delayed])
def test_a_synaptic_current_before_every_reset(step: Forward, framed: bool, steps: int) -> None:
    def forward(self: Any, x: Tensor) -> Any:
        i = m = torch.zeros(x.shape[-2], 6, dtype=x.dtype)
        total = torch.zeros(x.shape[-2], 3, dtype=x.dtype)
        for k in range(steps):
            logits, i, m = step(self, x[k] if framed else x, i, m)
            total = total + logits
        return total

    inputs = frames(64, steps, 4) if framed else frames(64, 4)
    graph = frontend.capture(network(forward), (4,), 5, steps=steps if framed else None)
    op: Any = graph.of_kind(LIF)[0].op
    if steps > 2:  # after one step, the leak of both is one number
        assert len(graph.of_kind(LeakyIntegrator)) == 1
        assert op.delayed == (step is two_states_delayed)
    given = torch.tensor(inputs).double()
    with torch.no_grad():
        expected = network(forward)(given.transpose(0, 1) if framed else given)
    np.testing.assert_array_equal(interpreter.logits(graph, inputs), expected)


def written(self: Any, x: Tensor) -> Any:
    v, s, total = 0.0, torch.zeros(x.shape[0], 6, dtype=x.dtype), 0.0
    for _ in range(STEPS):
        v = v + self.first(x) + self.back(s)
        s = (v >= 1).to(x.dtype)
        v, total = v - s, total + self.head(s)
    return total


def in_an_attribute(self: Any, x: Tensor) -> Any:
    total, v = 0.0, 0.0
    self.spikes = None
    for _ in range(STEPS):
        v = v + (self.first(x) if self.spikes is None else self.first(x) + self.back(self.spikes))
        self.spikes = (v >= 1).to(x.dtype)
        v, total = v - self.spikes, total + self.head(self.spikes)
    return total


def through_a_cell(self: Any, x: Tensor) -> Any:
    s, state, total = torch.zeros(x.shape[0], 6, dtype=x.dtype), None, 0.0
    for _ in range(STEPS):
        s, state = self.cell(self.first(x) + self.back(s), state)
        total = total + self.head(s)
    return total


def inhibiting(self: Any, x: Tensor) -> Any:
    s, state, total = torch.zeros(x.shape[0], 6, dtype=x.dtype), None, 0.0
    for _ in range(STEPS):
        s, state = self.cell(self.first(x) - 0.5 * s, state)
        total = total + self.head(s)
    return total


def concatenated(self: Any, x: Tensor) -> Any:
    s, state, total = torch.zeros(x.shape[0], 6, dtype=x.dtype), None, 0.0
    for _ in range(STEPS):
        s, state = self.cell(self.both(torch.cat([x, s], 1)), state)
        total = total + self.head(s)
    return total


def as_an_argument(self: Any, x: Tensor, s: Any, v: Any) -> Any:
    v = v + self.first(x) + self.back(s)
    s = (v >= 1).to(x.dtype)
    return self.head(s), s, v - s


def of_torch(self: Any, x: Tensor) -> Any:
    return self.head(self.lstm(x)[0])


@pytest.mark.parametrize(
    ("forward", "place"),
    [
        (written, "forward of Network, .*'neuron' reads 'back'"),
        (in_an_attribute, "forward of Network, .*'neuron' reads 'add'"),
        (through_a_cell, "module 'cell' .IAFCell.*'cell' reads 'add"),
        (inhibiting, "module 'cell' .IAFCell.*'cell' reads 'cell'"),
        (concatenated, "forward of Network, .*joins a constant"),
        (as_an_argument, "module 'back' .Linear.*the state 's'"),
        (of_torch, "module 'lstm' .LSTM.*lstm is not supported"),
    ],
)
def test_feedback_is_called_recurrent(forward: Forward, place: str) -> None:
    steps = STEPS if forward is as_an_argument else None
    with pytest.raises(UserError, match=f"{place}.* recurrent"):
        frontend.capture(network(forward), (4,), 5, steps=steps)


def test_a_recurrent_layer_of_norse_is_called_recurrent() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = norse.LIFRecurrentCell(4, 6)

        def forward(self, x: Tensor, state: Any = None) -> Any:
            return self.cell(x, state)

    with pytest.raises(UserError, match=r"module 'cell' .LIFRecurrentCell.* recurrent"):
        frontend.capture(Net(), (4,), 5, steps=STEPS)


@pytest.mark.parametrize("framed", [False, True])
def test_the_leaky_integrator_of_norse_with_weights(framed: bool) -> None:
    parameters = LIParameters(tau_syn_inv=torch.tensor(250.0), tau_mem_inv=torch.tensor(500.0))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.cell = norse.LILinearCell(4, 3, p=parameters)

        def forward(self, x: Tensor) -> Any:
            state, total = None, 0.0
            for step in range(STEPS):
                y, state = self.cell(x[step] if framed else x, state)
                total = total + y
            return total

    inputs = frames(16, STEPS, 4) if framed else frames(16, 4)
    given = torch.tensor(inputs).double()
    graph = frontend.capture(Net().double(), (4,), 5, steps=STEPS if framed else None)
    assert len(graph.of_kind(LeakyIntegrator)) == 2
    with torch.no_grad():
        expected = Net().double()(given.transpose(0, 1) if framed else given)
    np.testing.assert_allclose(interpreter.logits(graph, inputs), expected, rtol=1e-12, atol=1e-12)


def test_a_neuron_that_fires_by_itself_is_named() -> None:
    def forward(self: Any, x: Tensor) -> Any:
        return self.head((self.first(x) + 2 > 1).to(x.dtype))

    with pytest.raises(UserError, match="a neuron fires without any input"):
        frontend.capture(network(forward), (4,), 5, steps=1)


def set_to_a_number(self: Any, x: Tensor) -> Any:
    y = self.first(x)
    y[:, :3] = 0
    return self.head((y > 1).to(x.dtype))


def normalised_in_training(self: Any, x: Tensor) -> Any:
    zeros = torch.zeros(6, dtype=x.dtype)
    return nn.functional.batch_norm(self.first(x), zeros, zeros + 1, training=True)


def from_the_left(self: Any, x: Tensor) -> Any:
    return (self.other.to(x.dtype) @ x.unsqueeze(-1)).squeeze(-1)


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (set_to_a_number, "it sets a part of a tensor to a number"),
        (normalised_in_training, "batch normalisation is in training mode"),
        (from_the_left, "a matrix product is supported as x @ W"),
    ],
)
def test_what_is_refused_is_said_as_it_is(forward: Forward, sentence: str) -> None:
    with pytest.raises(UserError, match=f"forward of Network, .*{sentence}"):
        frontend.capture(network(forward), (4,), 5, steps=1)
