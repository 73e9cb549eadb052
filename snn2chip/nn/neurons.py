"""The multi-level integrate-and-fire neuron, and the quantised ReLU that it becomes at one time step."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from snn2chip.errors import UserError
from snn2chip.nn.limits import positive
from snn2chip.nn.surrogates import BUMPS, Value
from snn2chip.nn.thresholds import Threshold

Backward = Literal["surrogate", "sum_of_bumps", "straight_through"]

# A level that is not a power of two has no exact float32 value, so that a sum of levels can land just below the
# level it means.  For up to 16 levels, 2**-16 of a level is far above that rounding (a few 2**-22) and far below any
# weight step; the rounding grows with the number of levels, and so does the guard.
INEXACT_LEVEL_GUARD = 2.0**-16
_LEVELS_AT_GUARD = 16


def _is_power_of_two(value: float) -> bool:
    return math.frexp(value)[0] == 0.5


def _guard(levels: int, threshold: float | Threshold) -> float:
    """What is added before the floor, in levels; a learned threshold is never taken for a power of two."""
    if not isinstance(threshold, Threshold) and _is_power_of_two(threshold) and _is_power_of_two(levels):
        return 0.0
    return INEXACT_LEVEL_GUARD * max(1.0, levels / _LEVELS_AT_GUARD)


class _Bumps(torch.autograd.Function):
    """dz/dV is a sum of bumps; the reset is detached, so that dU/dV = 1 and dU/dVth = 0."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, threshold: Value, neuron: MultiLevelIF) -> Tensor:
        membranes, spikes = neuron.dynamics(current, threshold)
        _keep(ctx, neuron, threshold, membranes)
        return neuron.merge(spikes, threshold)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        neuron, threshold, membranes = _kept(ctx)
        upstream = neuron.split(gradients[0])
        level = threshold / neuron.levels
        slope, shift = BUMPS[neuron.backward](membranes * level, threshold, neuron.levels, neuron.alpha)
        direct = upstream * (slope * neuron.surrogate_gain)
        through_time = direct.flip(0).cumsum(0).flip(0) if neuron.steps > 1 else direct
        if not isinstance(threshold, Tensor):
            return through_time.flatten(0, 1), None, None
        emitted = neuron.count(membranes) / neuron.levels
        to_threshold = (upstream * (emitted - shift * neuron.surrogate_gain)).sum_to_size(threshold.shape)
        return through_time.flatten(0, 1), to_threshold, None


class _StraightThrough(torch.autograd.Function):
    """dz/dV is 1 on 0 <= V <= Vth; elsewhere 0, and the charge, with its gradient, stays for the next step."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, threshold: Value, neuron: MultiLevelIF) -> Tensor:
        membranes, spikes = neuron.dynamics(current, threshold)
        inside = (membranes >= 0) & (membranes <= neuron.levels)
        if isinstance(threshold, Tensor):
            rounding = (spikes - torch.where(inside, membranes, 0)) / neuron.levels
            _keep(ctx, neuron, threshold, inside, rounding)
        else:
            _keep(ctx, neuron, threshold, inside)
        return neuron.merge(spikes, threshold)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        neuron, threshold, inside, *rounding = _kept(ctx)
        upstream = neuron.split(gradients[0])
        carried, through_time, to_output = torch.zeros_like(upstream[0]), [], []
        for mask, gradient in zip(inside.flip(0), upstream.flip(0), strict=True):
            to_output.append(gradient - carried)  # what is emitted is also taken off the membrane
            carried = torch.where(mask, gradient, carried)
            through_time.append(carried)
        to_current = torch.stack(through_time[::-1]).flatten(0, 1)
        if not isinstance(threshold, Tensor):
            return to_current, None, None
        to_threshold = (torch.stack(to_output[::-1]) * rounding[0]).sum_to_size(threshold.shape)
        return to_current, to_threshold, None


def _keep(ctx: Any, neuron: MultiLevelIF, threshold: Value, *tensors: Tensor) -> None:
    """For the backward; a threshold that is a plain number is kept by the neuron itself."""
    ctx.neuron = neuron
    ctx.save_for_backward(threshold if isinstance(threshold, Tensor) else None, *tensors)


def _kept(ctx: Any) -> tuple[Any, ...]:
    threshold, *tensors = ctx.saved_tensors
    return ctx.neuron, ctx.neuron.threshold if threshold is None else threshold, *tensors


class MultiLevelIF(nn.Module):
    """Integrate-and-fire neuron without leak that emits one of ``levels + 1`` values per time step.

    Per neuron and step, with N = ``levels`` and Vth = ``threshold``::

        V(t) = U(t-1) + I(t)                    U(0) = 0 at every call
        z(t) = clip(floor(N * V(t) / Vth), 0, N)
        U(t) = V(t) - z(t) * Vth / N            soft reset

    The output is the real value ``z * Vth / N``.  ``levels=1`` is the binary soft-reset IF neuron.  A
    constant input x >= 0 gives ``sum of z = clip(floor(N * T * x / Vth), 0, N * T)``.

    Exactness at level boundaries: with ``levels`` and ``threshold`` powers of two, sums of levels are exact
    in float32.  Otherwise, and with a learned threshold whatever its value, a level has no exact float32 value,
    and the floor is taken with ``INEXACT_LEVEL_GUARD`` of a level added (more in proportion beyond 16 levels),
    so that a sum of levels counts as the integer it means.  That holds for spikes counted in the same unit:
    neurons whose spikes are summed are given one `Threshold`.

    Backward.  The output is ``Vth * (z / N)``, and a smooth S(V, Vth) stands for how it moves with V, and z with Vth::

        d out / d V   = dS/dV
        d out / d Vth = z / N + dS/dVth         (Vth fixed: not needed)

    - ``surrogate``: ``S = surrogate_gain * s(alpha * (V - Vth))`` with s the logistic function: a single bump
      centred at Vth (alpha 5, Vth 1: arXiv 2510.24637, Fig. 5).  The reset is detached.
    - ``sum_of_bumps``: ``S = surrogate_gain / N * sum over k = 1..N of s(alpha * (V - k * Vth / N))``: a bump at
      each level.  The reset is detached.
    - ``straight_through``: ``S = Vth' * clip(V / Vth, 0, 1)`` with Vth' the present value: dS/dV is 1 where
      0 <= V <= Vth, else 0 (clipped), and ``d out / d Vth`` is ``z / N - V / Vth`` there, 0 below and 1 above, as in
      Esser et al., "Learned step size quantization", 2020 (arXiv 1902.08153).  The reset is not detached: a clipped
      membrane keeps its charge, and the gradient of the next step reaches back through it.

    Shape: ``[T*B, ...]`` float32 with time outermost -> the same shape and dtype, T = ``steps``.  Under autocast it
    computes in float32 and returns that: a level of a learned threshold has too few digits in half precision.

    Raises:
        UserError: ``levels`` or ``steps`` below 1, a threshold or alpha that is not positive, an unknown
            ``backward``, or an input whose first dimension is no multiple of ``steps``.
    """

    def __init__(
        self,
        levels: int = 4,
        threshold: float | Threshold = 1.0,
        steps: int = 1,
        backward: Backward = "surrogate",
        alpha: float = 5.0,
        surrogate_gain: float = 1.0,
    ) -> None:
        super().__init__()
        if levels < 1 or steps < 1:
            raise UserError(f"MultiLevelIF: levels {levels} and steps {steps} must both be at least 1.")
        if not isinstance(threshold, Threshold):
            positive("MultiLevelIF: threshold", threshold)
        positive("MultiLevelIF: alpha", alpha)
        if backward not in get_args(Backward):
            raise UserError(f"MultiLevelIF: backward must be one of {get_args(Backward)}, not {backward!r}.")
        self.levels, self.threshold, self.steps = levels, threshold, steps
        self.backward, self.alpha, self.surrogate_gain = backward, alpha, surrogate_gain
        self.guard = _guard(levels, threshold)

    @property
    def level(self) -> Value:
        """The real value of one level, Vth / N: a number, or ``[]`` or ``[C]`` where the threshold is learned."""
        return (self.threshold() if isinstance(self.threshold, Threshold) else self.threshold) / self.levels

    def forward(self, current: Tensor) -> Tensor:
        device = current.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            current = current.float()
        function = _StraightThrough if self.backward == "straight_through" else _Bumps
        return function.apply(current, self._threshold(current.ndim), self)  # type: ignore[no-any-return,no-untyped-call]

    def _threshold(self, rank: int) -> Value:
        """Vth in a shape that broadcasts over ``[..., C, ...]`` of ``rank`` axes, of which C is the second."""
        if not isinstance(self.threshold, Threshold):
            return self.threshold
        value: Tensor = self.threshold()
        return value.reshape(-1, *[1] * (rank - 2)) if value.ndim else value

    def split(self, merged: Tensor) -> Tensor:
        """``[T*B, ...]`` -> ``[T, B, ...]``."""
        if merged.shape[0] % self.steps:
            raise UserError(f"MultiLevelIF: {merged.shape[0]} rows are no multiple of {self.steps} steps.")
        return merged.reshape(self.steps, -1, *merged.shape[1:])

    def count(self, membrane: Tensor) -> Tensor:
        """The levels z that a membrane, in units of one level, emits."""
        return torch.floor(membrane + self.guard).clamp_(0, self.levels)

    def dynamics(self, current: Tensor, threshold: Value) -> tuple[Tensor, Tensor]:
        """Membranes before reset and emitted levels z, both ``[T, B, ...]`` in units of one level."""
        membranes, spikes = [], []
        drive = self.split(current) * (self.levels / threshold)
        residue = torch.zeros_like(drive[0])
        for step in drive:
            membrane = residue + step
            spike = self.count(membrane)
            residue = membrane - spike
            membranes.append(membrane)
            spikes.append(spike)
        return torch.stack(membranes), torch.stack(spikes)

    def merge(self, spikes: Tensor, threshold: Value) -> Tensor:
        """Levels ``[T, B, ...]`` -> real values ``[T*B, ...]``, no view: users add to them in place."""
        values = spikes * (threshold / self.levels)
        return values.flatten(0, 1).clone()

    def extra_repr(self) -> str:
        threshold = "learned" if isinstance(self.threshold, Threshold) else self.threshold
        return (
            f"levels={self.levels}, threshold={threshold}, steps={self.steps}, backward={self.backward!r}, "
            f"alpha={self.alpha}, surrogate_gain={self.surrogate_gain}"
        )


class QuantizedReLU(MultiLevelIF):
    """Clipped ReLU on [0, threshold] with ``2**bits - 1`` uniform levels above zero: MultiLevelIF at T = 1.

    It floors as the neuron does; the half level by which a rounding quantiser differs is absorbed by the
    bias of the batch normalisation before it.  Backward: straight-through, clipped to [0, threshold].
    """

    def __init__(self, bits: int = 3, threshold: float | Threshold = 1.0) -> None:
        if not 1 <= bits <= 8:
            raise UserError(f"QuantizedReLU: bits must be within 1..8, not {bits}.")
        super().__init__(levels=2**bits - 1, threshold=threshold, steps=1, backward="straight_through")
        self.bits = bits
