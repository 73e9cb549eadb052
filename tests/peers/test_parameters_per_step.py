"""Library neurons whose parameters change from step to step: refused, and never read as the first step."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from snn2chip import frontend
from snn2chip.errors import GraphError


class _Net(nn.Module):
    def __init__(self, spiking: nn.Module, attribute: str, values: tuple[Any, ...]) -> None:
        super().__init__()
        self.fc, self.spiking, self.head = nn.Linear(4, 5), spiking, nn.Linear(5, 3)
        self.attribute, self.values = attribute, values

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(len(x), 3)
        for value in self.values:
            setattr(self.spiking, self.attribute, value)
            total = total + self.head(self.spiking(self.fc(x)))
        return total


@pytest.mark.parametrize(
    ("spiking", "attribute", "values"),
    [
        (lambda: neuron.IFNode(), "v_threshold", (1.0, 0.5)),
        (lambda: neuron.LIFNode(), "tau", (2.0, 4.0)),
        (lambda: snntorch.Leaky(0.9, init_hidden=True), "threshold", (torch.tensor(1.0), torch.tensor(0.5))),
        (lambda: snntorch.Leaky(0.9, init_hidden=True), "beta", (torch.tensor(0.9), torch.tensor(0.5))),
    ],
)
def test_are_refused(spiking: Any, attribute: str, values: tuple[Any, ...]) -> None:
    with pytest.raises(GraphError, match=r"spiking.*step 1"):
        frontend.capture(_Net(spiking(), attribute, values), (4,))
    frontend.capture(_Net(spiking(), attribute, values[:1] * 2), (4,))
