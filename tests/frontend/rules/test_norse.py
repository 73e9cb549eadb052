"""norse's own neurons, step by step: the graph spikes exactly where they do. All constants are exact in binary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from norse.torch import IAF, LIF, IAFCell, LIBoxCell, LICell, LIFBoxCell, LIFCell, LIFRefracCell
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator import LIParameters
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from torch import Tensor, nn

from snn2chip import frontend, interpreter
from snn2chip.errors import UserError
from snn2chip.ops import LeakyIntegrator

DT = 2.0**-10
HALF, QUARTER, ALL = (torch.tensor(rate / DT) for rate in (0.5, 0.25, 1.0))


def tensor(*values: float) -> Tensor:
    return torch.tensor(values) if len(values) > 1 else torch.tensor(values[0])


class Stepped(nn.Module):
    """A linear layer and a cell, over the frames ``[T, B, F]``."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.fc, self.cell = weights(), cell

    def forward(self, frames: Tensor) -> Tensor:
        state, found = None, []
        for frame in frames:
            spikes, state = self.cell(self.fc(frame), state)
            found.append(spikes)
        return torch.stack(found)


class AtOnce(nn.Module):
    """A linear layer and a layer that runs all steps."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.fc, self.layer = weights(), layer

    def forward(self, frames: Tensor) -> Any:
        return self.layer(self.fc(frames))[0]


def weights() -> nn.Linear:
    linear, generator = nn.Linear(5, 8), torch.Generator().manual_seed(3)
    for parameter in linear.parameters():
        parameter.data = torch.randint(-64, 97, parameter.shape, generator=generator) / 64
    return linear


CELLS: dict[str, nn.Module] = {
    "IAF": IAFCell(),
    "IAF, reset above": IAFCell(IAFParameters(v_th=tensor(2.0), v_reset=tensor(0.5))),
    "IAF, reset below": IAFCell(IAFParameters(v_th=tensor(1.0), v_reset=tensor(-0.25))),
    "IAF by channel": IAFCell(IAFParameters(v_th=torch.linspace(0.25, 2.0, 8))),
    "LIF": LIFCell(LIFParameters(tau_syn_inv=HALF, tau_mem_inv=QUARTER, v_th=tensor(0.5)), dt=DT),
    "LIF without memory of current": LIFCell(LIFParameters(tau_syn_inv=ALL, tau_mem_inv=HALF), dt=DT),
    "LIF at rest elsewhere": LIFCell(
        LIFParameters(HALF, HALF, v_leak=tensor(-0.5), v_th=tensor(0.25), v_reset=tensor(-0.5)), dt=DT
    ),
    "LIFBox": LIFBoxCell(LIFBoxParameters(tau_mem_inv=QUARTER, v_th=tensor(0.5)), dt=DT),
    "LIFBox, all of it leaks": LIFBoxCell(LIFBoxParameters(tau_mem_inv=ALL, v_th=tensor(0.5)), dt=DT),
    "LIFBox, subtracting": LIFBoxCell(
        LIFBoxParameters(tau_mem_inv=HALF, v_th=tensor(0.5), reset_method=reset_subtract), dt=DT
    ),
    "LI": LICell(LIParameters(tau_syn_inv=HALF, tau_mem_inv=QUARTER), dt=DT),
    "LIBox": LIBoxCell(LIBoxParameters(tau_mem_inv=QUARTER), dt=DT),
}


@pytest.mark.parametrize("steps", [1, 2, 8])
@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str, steps: int) -> None:
    check(Stepped(CELLS[name]), steps)


LAYERS: dict[str, nn.Module] = {
    "IAF": IAF(),
    "LIF": LIF(LIFParameters(tau_syn_inv=HALF, tau_mem_inv=QUARTER, v_th=tensor(0.5)), dt=DT),
}


@pytest.mark.parametrize("steps", [1, 2, 8])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_over_time(name: str, steps: int) -> None:
    check(AtOnce(LAYERS[name]), steps)


def check(model: nn.Module, steps: int) -> None:
    """What the graph emits at every step is what the module emits, also where a potential meets its threshold."""
    frames = np.random.default_rng(steps).integers(0, 3, (64, steps, 5)).astype(np.uint8)
    graph = frontend.capture(model, (5,), 2, steps=steps)
    with torch.no_grad():
        expected = model.double()(torch.from_numpy(frames).double().transpose(0, 1)).transpose(0, 1)
    assert expected.count_nonzero() > (steps > 1) * 10
    np.testing.assert_array_equal(interpreter.run(graph, frames), expected.numpy())


def test_a_current_without_memory_needs_no_node() -> None:
    graph = frontend.capture(Stepped(CELLS["LIF without memory of current"]), (5,), 2, steps=3)
    assert not graph.of_kind(LeakyIntegrator)


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (LIFCell(LIFParameters(v_leak=tensor(0.5))), r"rests at v_leak and is reset to v_reset: they must be equal"),
        (LIFCell(dt=0.02), r"dt \* tau_(syn|mem)_inv is .*: it must lie in 0\.\.1"),
        (IAFCell(IAFParameters(v_th=tensor(-1.0))), r"theta must be positive"),
        (LIFCell(LIFParameters(method="logistic")), r"its method 'logistic' is no step function"),
        (LIFRefracCell(), r"a norse layer that is not supported: .*IAF, LIF and LI"),
        (LICell(LIParameters(v_leak=tensor(0.5))), r"its v_leak is not 0"),
    ],
)
def test_what_is_not_expressible_is_named(cell: nn.Module, sentence: str) -> None:
    with pytest.raises(
        UserError, match=rf"module 'cell' \({type(cell).__name__}\), test_norse\.py line \d+: .*{sentence}"
    ):
        frontend.capture(Stepped(cell), (5,), 2, steps=3)


def test_neurons_that_differ_inside_a_channel_are_refused() -> None:
    cell = IAFCell(IAFParameters(v_th=torch.linspace(1, 2, 4)))  # along the last axis, which is no channel
    model = nn.Sequential(nn.Conv2d(1, 2, 1), cell)
    with pytest.raises(UserError, match=r"module '1' \(IAFCell\): its v_th differs between the neurons of a channel"):
        frontend.capture(model, (1, 4, 4), 2, steps=3)
