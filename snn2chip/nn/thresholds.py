"""Thresholds that are learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snn2chip.nn.limits import LARGEST_WIDTH, positive, whole


class Threshold(nn.Module):
    """A learned Vth, one for a layer or one for each channel: the exponential of its parameter, so positive always.

    Neurons whose spikes are summed must count in the same unit, Vth / N: they are given the *same* module, and so can
    never drift apart.  Weight decay would pull Vth towards 1.

    Args:
        initial: Vth before training.
        channels: how many thresholds; None for a single one.

    Shape: nothing -> ``[]`` or ``[channels]``, in the parameter's dtype.

    Raises:
        UserError: an initial value that is not positive and finite, or channels out of range.
    """

    def __init__(self, initial: float = 1.0, channels: int | None = None) -> None:
        super().__init__()
        positive("Threshold: initial", initial)
        if channels is not None:
            whole("Threshold: channels", channels, 1, LARGEST_WIDTH)
        self.log = nn.Parameter(torch.full(() if channels is None else (channels,), math.log(initial)))

    def forward(self) -> Tensor:
        return self.log.exp()

    def extra_repr(self) -> str:
        return f"channels={len(self.log)}" if self.log.ndim else "one for the layer"
