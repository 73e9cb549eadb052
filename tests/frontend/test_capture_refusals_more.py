"""What looks like arithmetic on spikes, and is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from snn2chip.errors import GraphError, UserError
from snn2chip.frontend import capture


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(4, 6), nn.Linear(6, 2)


class _Not(_Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.logical_not(self.fc(x)))  # type: ignore[no-any-return]


class _Draw(_Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.fc(x) * torch.rand(1))  # type: ignore[no-any-return]


class _Cut(_Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.fc(x).mean(0, dtype=torch.float32))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "reason"), [(_Not, "logical_not"), (_Draw, "rand draws random numbers"), (_Cut, "mean with dtype")]
)
def test_it_is_refused_by_name(module: type[nn.Module], reason: str) -> None:
    with pytest.raises((UserError, GraphError), match=reason):
        capture(module(), (4,))
