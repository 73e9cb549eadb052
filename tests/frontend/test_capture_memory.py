"""What one step of a sequence, a sum beside a static branch, or a memory outside of neurons would silently become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from norse.torch import IAF, IAFCell
from torch import Tensor, nn

from snn2chip import frontend
from snn2chip.errors import UserError
from snn2chip.frontend.exported import capture_exported

STEPS = 4


class Layers(nn.Module):
    """Layers that each forward below wires in its own way, with two attributes that it may use as a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head, self.skip = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(4, 3)
        self.back, self.both = nn.Linear(6, 6), nn.Linear(10, 3, bias=False)
        self.cell, self.whole = IAFCell(), IAF()
        self.before, self.membrane, self.count = torch.zeros(1, 6), torch.zeros(1, 3), 0

    def spikes(self, x: Tensor) -> Any:
        return self.whole(self.first(x.unsqueeze(0).repeat(STEPS, 1, 1)))[0]


def network(forward: Callable[..., Any]) -> nn.Module:
    return type("Network", (Layers,), {"forward": forward})()  # type: ignore[no-any-return]


def last_step(self: Any, x: Tensor) -> Any:
    return self.head(self.spikes(x))[-1]


def static_added(self: Any, x: Tensor) -> Any:
    return self.head(self.spikes(x)).sum(0) + self.skip(x)


def static_joined(self: Any, x: Tensor) -> Any:
    return self.both(torch.cat([self.spikes(x).sum(0), x], 1))


def static_added_to_stack(self: Any, x: Tensor) -> Any:
    state, found = None, []
    for _ in range(STEPS):
        spikes, state = self.cell(self.first(x), state)
        found.append(self.head(spikes))
    return torch.stack(found).sum(0) + self.skip(x)


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (last_step, r"it returns step 3 of 'head' alone"),
        (static_added, r"combines the sum over all steps with what is the same at every step"),
        (static_joined, r"combines the sum over all steps with what is the same at every step"),
        (static_added_to_stack, r"combines the sum over all steps with what is the same at every step"),
    ],
)
def test_a_part_of_the_steps_is_refused(forward: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(network(forward), (4,), 5)


def test_a_mean_beside_a_static_branch_is_captured() -> None:
    def forward(self: Any, x: Tensor) -> Any:
        return self.head(self.spikes(x)).mean(0) + self.skip(x)

    assert frontend.capture(network(forward), (4,), 5).steps == STEPS


def recurrent(self: Any, x: Tensor, state: Any) -> Any:
    spikes, state = self.cell(self.first(x) + self.back(self.before), state)
    self.before = spikes
    return self.head(spikes), state


def leaky_attribute(self: Any, x: Tensor, state: Any) -> Any:
    spikes, state = self.cell(self.first(x), state)
    self.membrane = 0.5 * self.membrane + self.head(spikes)
    return self.membrane, state


def leaky_argument(self: Any, x: Tensor, state: Any, membrane: Any) -> Any:
    spikes, state = self.cell(self.first(x), state)
    membrane = 0.5 * membrane + self.head(spikes)
    return membrane, state


def recurrent_argument(self: Any, x: Tensor, state: Any, before: Any) -> Any:
    spikes, state = self.cell(self.first(x) + 0.5 * before, state)
    return self.head(spikes), state, spikes


def counting(self: Any, x: Tensor, state: Any) -> Any:
    self.count += 1
    spikes, state = self.cell(self.first(x) * (1 if self.count == 1 else 3), state)
    return self.head(spikes), state


@pytest.mark.parametrize(
    ("forward", "sentence"),
    [
        (recurrent, r"module 'cell' \(IAFCell\)|combines step"),
        (leaky_attribute, r"call number 2 returns something else than the first"),
        (leaky_argument, r"no neuron takes over the states 'membrane'"),
        (recurrent_argument, r"no neuron takes over the states 'before'"),
        (counting, r"module 'cell' \(IAFCell\).*it read 'first' at step 0"),
    ],
)
def test_a_memory_outside_of_neurons_is_refused(forward: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        frontend.capture(network(forward), (4,), 5, steps=STEPS, output=0)


def test_a_scaled_sum_over_a_loop_is_captured() -> None:
    def forward(self: Any, x: Tensor) -> Any:
        state, total = None, 0
        for _ in range(STEPS):
            spikes, state = self.cell(self.first(x), state)
            total = total + self.head(spikes)
        return total / STEPS

    assert frontend.capture(network(forward), (4,), 5).steps == STEPS


class BufferIntegrator(nn.Module):
    """A leaky integrator in a buffer."""

    membrane: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.register_buffer("membrane", torch.zeros(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        self.membrane.copy_(0.5 * self.membrane + self.first(x))
        return self.membrane.clone()


def test_a_memory_in_a_buffer_of_a_program_is_refused() -> None:
    program = torch.export.export(BufferIntegrator(), (torch.zeros(2, 4),), strict=False)
    with pytest.raises(UserError, match=r"call number 2 returns something else than the first"):
        capture_exported(program, largest=5, steps=STEPS)
