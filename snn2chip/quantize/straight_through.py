"""Integer functions in PyTorch whose gradients pass straight through (Bengio et al., arXiv 1308.3432)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def round_through(values: Tensor) -> Tensor:
    """The nearest whole numbers, ties to even; the gradient is that of `values`."""
    return values + (values.round() - values).detach()


def floor_through(values: Tensor) -> Tensor:
    """The next whole numbers below; the gradient is that of `values`."""
    return values + (values.floor() - values).detach()


def trunc_through(values: Tensor) -> Tensor:
    """The next whole numbers toward zero; the gradient is that of `values`."""
    return values + (values.trunc() - values).detach()


class _Count(torch.autograd.Function):
    """Spikes of a potential that is expressed in levels; see `spike_count`."""

    @staticmethod
    def forward(ctx: Any, levels_reached: Tensor, spikes: Tensor, most: int) -> Tensor:
        ctx.save_for_backward((levels_reached > 0.5) & (levels_reached < most + 0.5))
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None


def spike_count(potential: Tensor, theta: Tensor, step_size: Tensor, levels: int) -> Tensor:
    """``clip(floor((v - theta) / step) + 1, 0, levels)`` of whole numbers, exactly.

    Backward: ``(v - theta) / step + 1`` counts real levels; its gradient passes within half a level of each of the
    thresholds, which is that of the smoothed count ``clip(that - 1/2, 0, levels)``.
    """
    with torch.no_grad():  # in float64 the quotient of two 24-bit numbers is never rounded up to a whole number
        exact = ((potential.double() - theta.double()) / step_size.double()).floor_().add_(1).clamp_(0, levels)
    reached = (potential - theta) / step_size + 1
    return _Count.apply(reached, exact.to(potential.dtype), levels)  # type: ignore[no-any-return,no-untyped-call]
