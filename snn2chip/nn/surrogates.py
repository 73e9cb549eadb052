"""Bumps that stand for the derivative of a spike count where the reset is detached."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Vth as a number, or learned, in a shape that broadcasts over the membranes.
Value = float | Tensor

#: (membranes in real units, Vth, N, alpha) to (dS/dV, -dS/dVth), of the smooth S that stands for the output.
Bumps = Callable[[Tensor, Value, int, float], tuple[Tensor, Tensor]]


def surrogate_slope(excess: Tensor, alpha: float) -> Tensor:
    """``alpha * s(alpha*x) * (1 - s(alpha*x))`` with s the logistic function, x = V - Vth: peak ``alpha / 4``."""
    sigmoid = torch.sigmoid(alpha * excess)
    return alpha * sigmoid * (1 - sigmoid)


def bump_at_threshold(membranes: Tensor, threshold: Value, levels: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Of ``S = s(alpha * (V - Vth))``, one bump whatever N is (alpha 5, Vth 1: arXiv 2510.24637, Fig. 5)."""
    slope = surrogate_slope(membranes - threshold, alpha)
    return slope, slope


def bump_at_each_level(membranes: Tensor, threshold: Value, levels: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Of ``S = mean over k = 1..N of s(alpha * (V - k * Vth / N))``; at N = 1 it is the single bump."""
    slope, shift = torch.zeros_like(membranes), torch.zeros_like(membranes)
    for count in range(1, levels + 1):
        fraction = count / levels
        bump = surrogate_slope(membranes - threshold * fraction, alpha).div_(levels)
        slope += bump
        shift += bump * fraction
    return slope, shift


BUMPS: dict[str, Bumps] = {"surrogate": bump_at_threshold, "sum_of_bumps": bump_at_each_level}
