"""The first and the last module of a network: images into time-merged tensors, logits out of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snn2chip.errors import UserError


class DirectEncoding(nn.Module):
    """Shows an image at each of ``steps`` time steps, or event frames one after the other, times ``scale``.

    Normalisation is by scale alone: a mean could not be folded into a bias under zero padding.

    Shape: ``[B, C, H, W]`` (uint8 or float grey levels) or ``[B, T, C, H, W]`` (event counts per step)
    -> ``[T*B, C, H, W]`` float32 with time outermost.

    Raises:
        UserError: neither four nor five dimensions, or frames whose T is not ``steps``.
    """

    def __init__(self, steps: int = 1, scale: float = 1.0) -> None:
        super().__init__()
        self.steps, self.scale = steps, scale

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.to(torch.float32) * self.scale
        if scaled.ndim == 4:
            return scaled.repeat(self.steps, 1, 1, 1)
        if scaled.ndim == 5 and scaled.shape[1] == self.steps:
            return scaled.transpose(0, 1).flatten(0, 1)
        raise UserError(
            f"DirectEncoding: expected [B,C,H,W] or [B,{self.steps},C,H,W], not shape {list(images.shape)}."
        )

    def extra_repr(self) -> str:
        return f"steps={self.steps}, scale={self.scale}"


class Readout(nn.Module):
    """Mean of the logits over time: ``[T*B, classes]`` -> ``[B, classes]``, T = ``steps``."""

    def __init__(self, steps: int = 1) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, logits: Tensor) -> Tensor:
        return logits.reshape(self.steps, -1, logits.shape[1]).mean(0)

    def extra_repr(self) -> str:
        return f"steps={self.steps}"
