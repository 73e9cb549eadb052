"""The multi-level integrate-and-fire neuron, and the quantised ReLU that it becomes at one time step."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from snn2chip.errors import UserError

Backward = Literal["surrogate", "straight_through"]

# A level that is not a power of two has no exact float32 value, so that a sum of levels can land just below the
# level it means.  2**-16 of a level is far above that rounding (a few 2**-22) and far below any weight step.
INEXACT_LEVEL_GUARD = 2.0**-16


def _is_power_of_two(value: float) -> bool:
    return math.frexp(value)[0] == 0.5


def _integrate_and_fire(drive: Tensor, levels: int, guard: float) -> tuple[Tensor, Tensor]:
    """Membranes before reset and emitted levels, both ``[T, ...]`` in units of one level, from ``drive``."""
    membranes, spikes = [], []
    residue = torch.zeros_like(drive[0])
    for step in drive:
        membrane = residue + step
        spike = torch.floor(membrane + guard).clamp_(0, levels)
        residue = membrane - spike
        membranes.append(membrane)
        spikes.append(spike)
    return torch.stack(membranes), torch.stack(spikes)


def surrogate_slope(excess: Tensor, alpha: float) -> Tensor:
    """``alpha * s(alpha*x) * (1 - s(alpha*x))`` with s the logistic function, x = V - Vth: peak ``alpha / 4``."""
    sigmoid = torch.sigmoid(alpha * excess)
    return alpha * sigmoid * (1 - sigmoid)


class _Surrogate(torch.autograd.Function):
    """dz/dV is one bump at Vth; the reset is detached, so that dU/dV = 1."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: MultiLevelIF) -> Tensor:
        membranes, spikes = neuron.dynamics(current)
        ctx.save_for_backward(membranes)
        ctx.neuron = neuron
        return neuron.merge(spikes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (membranes,) = ctx.saved_tensors
        neuron: MultiLevelIF = ctx.neuron
        excess = membranes * neuron.level - neuron.threshold
        slope = surrogate_slope(excess, neuron.alpha) * neuron.surrogate_gain
        upstream = neuron.split(gradients[0]) * slope
        through_time = upstream.flip(0).cumsum(0).flip(0) if neuron.steps > 1 else upstream
        return through_time.flatten(0, 1), None


class _StraightThrough(torch.autograd.Function):
    """dz/dV is 1 on 0 <= V <= Vth; elsewhere 0, and the charge, with its gradient, stays for the next step."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: MultiLevelIF) -> Tensor:
        membranes, spikes = neuron.dynamics(current)
        ctx.save_for_backward((membranes >= 0) & (membranes <= neuron.levels))
        ctx.neuron = neuron
        return neuron.merge(spikes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        upstream = ctx.neuron.split(gradients[0])
        carried, through_time = torch.zeros_like(upstream[0]), []
        for mask, gradient in zip(inside.flip(0), upstream.flip(0), strict=True):
            carried = torch.where(mask, gradient, carried)
            through_time.append(carried)
        return torch.stack(through_time[::-1]).flatten(0, 1), None


_BACKWARDS: dict[str, type[torch.autograd.Function]] = {
    "surrogate": _Surrogate,
    "straight_through": _StraightThrough,
}


class MultiLevelIF(nn.Module):
    """Integrate-and-fire neuron without leak that emits one of ``levels + 1`` values per time step.

    Per neuron and step, with N = ``levels`` and Vth = ``threshold``::

        V(t) = U(t-1) + I(t)                    U(0) = 0 at every call
        z(t) = clip(floor(N * V(t) / Vth), 0, N)
        U(t) = V(t) - z(t) * Vth / N            soft reset

    The output is the real value ``z * Vth / N``.  ``levels=1`` is the binary soft-reset IF neuron.  A
    constant input x >= 0 gives ``sum of z = clip(floor(N * T * x / Vth), 0, N * T)``.

    Exactness at level boundaries: with ``levels`` and ``threshold`` powers of two, sums of levels are exact
    in float32.  Otherwise a level has no exact float32 value, and the floor is taken with
    ``INEXACT_LEVEL_GUARD`` of a level added, so that a sum of levels counts as the integer it means.

    Backward, of z*Vth/N with respect to I:

    - ``surrogate``: ``surrogate_gain * alpha * s(x) * (1 - s(x))`` with x = alpha * (V - Vth): a single bump
      centred at Vth (alpha 5, Vth 1: arXiv 2510.24637, Fig. 5).  The reset is detached.
    - ``straight_through``: 1 where 0 <= V <= Vth, else 0 (clipped).  The reset is not detached: a clipped
      membrane keeps its charge, and the gradient of the next step reaches back through it.

    Shape: ``[T*B, ...]`` float32 with time outermost -> the same shape and dtype, T = ``steps``.

    Raises:
        UserError: ``levels`` or ``steps`` below 1, a threshold or alpha that is not positive, an unknown
            ``backward``, or an input whose first dimension is no multiple of ``steps``.
    """

    def __init__(
        self,
        levels: int = 4,
        threshold: float = 1.0,
        steps: int = 1,
        backward: Backward = "surrogate",
        alpha: float = 5.0,
        surrogate_gain: float = 1.0,
    ) -> None:
        super().__init__()
        if levels < 1 or steps < 1:
            raise UserError(f"MultiLevelIF: levels {levels} and steps {steps} must both be at least 1.")
        if threshold <= 0 or alpha <= 0:
            raise UserError(f"MultiLevelIF: threshold {threshold} and alpha {alpha} must both be positive.")
        if backward not in _BACKWARDS:
            raise UserError(f"MultiLevelIF: backward must be one of {get_args(Backward)}, not {backward!r}.")
        self.levels, self.threshold, self.steps = levels, threshold, steps
        self.backward, self.alpha, self.surrogate_gain = backward, alpha, surrogate_gain
        self.guard = 0.0 if _is_power_of_two(threshold) and _is_power_of_two(levels) else INEXACT_LEVEL_GUARD

    @property
    def level(self) -> float:
        """The real value of one level, Vth / N."""
        return self.threshold / self.levels

    def forward(self, current: Tensor) -> Tensor:
        return _BACKWARDS[self.backward].apply(current, self)  # type: ignore[no-any-return,no-untyped-call]

    def split(self, merged: Tensor) -> Tensor:
        """``[T*B, ...]`` -> ``[T, B, ...]``."""
        if merged.shape[0] % self.steps:
            raise UserError(f"MultiLevelIF: {merged.shape[0]} rows are no multiple of {self.steps} steps.")
        return merged.reshape(self.steps, -1, *merged.shape[1:])

    def dynamics(self, current: Tensor) -> tuple[Tensor, Tensor]:
        """Membranes before reset and emitted levels z, both ``[T, B, ...]`` in units of one level."""
        drive = self.split(current) * (self.levels / self.threshold)
        return _integrate_and_fire(drive, self.levels, self.guard)

    def merge(self, spikes: Tensor) -> Tensor:
        """Levels ``[T, B, ...]`` -> real values ``[T*B, ...]``."""
        return (spikes * self.level).flatten(0, 1)

    def extra_repr(self) -> str:
        return (
            f"levels={self.levels}, threshold={self.threshold}, steps={self.steps}, backward={self.backward!r}, "
            f"alpha={self.alpha}, surrogate_gain={self.surrogate_gain}"
        )


class QuantizedReLU(MultiLevelIF):
    """Clipped ReLU on [0, threshold] with ``2**bits - 1`` uniform levels above zero: MultiLevelIF at T = 1.

    It floors as the neuron does; the half level by which a rounding quantiser differs is absorbed by the
    bias of the batch normalisation before it.  Backward: straight-through, clipped to [0, threshold].
    """

    def __init__(self, bits: int = 3, threshold: float = 1.0) -> None:
        if not 1 <= bits <= 8:
            raise UserError(f"QuantizedReLU: bits must be within 1..8, not {bits}.")
        super().__init__(levels=2**bits - 1, threshold=threshold, steps=1, backward="straight_through")
        self.bits = bits
