"""LIF: the (leaky) integrate-and-fire neuron of other frameworks, with every reset that they know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Shape, frozen
from snn2chip.ops.leak import check_decay, leaked
from snn2chip.ops.neuron import SpikingNeuron

Reset = Literal["subtract", "zero", "none"]


@dataclass(frozen=True, eq=False)
class LIF(SpikingNeuron):
    """``v = leak(u) + i + drive;  z = clip(floor((v - theta) / step) + 1, 0, N);  u = reset(v);  u(0) = 0``.

    ``leak(u) = floor(u * decay / 2**12)`` in integers, ``u * decay`` in real numbers. The reset is ``v - z * step``
    (subtract), 0 where z > 0 and else v (zero), or v (none). A *delayed* reset takes place in the step after the spike:
    then ``u = v``, and the next ``v`` is ``leak(u) + i + drive - z(u) * step`` (subtract), or 0 where z(u) > 0 (zero).

    Sources: snnTorch 1.0 `Leaky` (delayed by default, ``v > threshold``), SpikingJelly 2.0 `IFNode` and `LIFNode`
    (``v >= v_threshold``), norse 1.1 `IAFCell` and NIR 1.0 `IF` (``v > threshold``, reset to a value).

    Attributes:
        theta: ``[C]``, positive: the potential of the first spike; int32 in an integer graph.
        step: ``[C]``, positive: what each further spike takes, and what one spike subtracts; int32.
        decay: ``[C]``: 1 and 4096 mean no leak; real in 0..1, or int32 in 0..4096.
        drive: ``[C]``, added at every step, or None; int32.
        levels: N, 1..255.
        reset, delayed: see above.
        strict: in a float graph only: spikes at ``v > theta`` instead of ``v >= theta``.
    """

    theta: Array
    step_size: Array
    decay: Array
    drive: Array | None = None
    levels: int = 1
    reset: Reset = "subtract"
    delayed: bool = False
    strict: bool = False

    @property
    def saturation(self) -> Array:
        most: Array = self.theta + (self.levels - 1) * self.step_size.astype(np.result_type(self.step_size, np.int64))
        return most

    @property
    def keeps_state(self) -> bool:
        return True

    @property
    def leaks(self) -> bool:
        """Whether any potential fades without input."""
        return bool((self.decay != (1 if self.decay.dtype.kind == "f" else kernels.DECAY_ONE)).any())

    def count(self, potential: Array) -> Array:
        return kernels.spike_count(potential, self.theta, self.step_size, self.levels, self.strict)

    def membrane(self, source: Interval, steps: int) -> Interval:
        drive = 0 if self.drive is None else self.drive
        low_i, high_i = source.low + drive, source.high + drive
        low, high = low_i, high_i  # from u = 0
        low_v, high_v = low, high
        for _ in range(steps - 1):
            low, high = self._carried(low, high, low_i, high_i)
            if (low >= low_v).all() and (high <= high_v).all():
                break
            low, high = np.minimum(low_v, low), np.maximum(high_v, high)
            low_v, high_v = low, high
        return Interval(frozen(low_v), frozen(high_v))

    def _carried(self, low: Array, high: Array, low_i: Array, high_i: Array) -> tuple[Array, Array]:
        """Bounds of the next v where the present one lies in ``low .. high``."""
        fires = self.count(high) > 0
        # The largest potential that does not fire: theta - 1 in integers; real numbers come as close as they like.
        silent = np.minimum(high, self.theta - (0 if self.theta.dtype.kind == "f" else 1))
        if self.reset == "none":
            return self._leak(low) + low_i, self._leak(high) + high_i
        if self.reset == "zero":
            return self._from_zero(low, silent, fires, low_i, high_i)
        taken = self.count(high)
        least = self.theta + (taken - 1) * self.step_size  # the lowest potential that emits as many spikes
        largest_one = np.minimum(high, self.theta + self.step_size - (0 if self.theta.dtype.kind == "f" else 1))
        if self.delayed:
            below = self._leak(least) - taken * self.step_size
            above = np.maximum(self._leak(largest_one) - self.step_size, self._leak(high) - taken * self.step_size)
            lowest = np.where(fires, np.minimum(self._leak(low), below), self._leak(low))
            highest = np.where(fires, np.maximum(self._leak(silent), above), self._leak(high))
            return lowest + low_i, highest + high_i
        above = np.maximum(largest_one - self.step_size, high - taken * self.step_size)
        lowest = np.where(fires, np.minimum(low, self.theta - self.step_size), low)
        highest = np.where(fires, np.maximum(silent, above), high)
        return self._leak(lowest) + low_i, self._leak(highest) + high_i

    def _from_zero(self, low: Array, silent: Array, fires: Array, low_i: Array, high_i: Array) -> tuple[Array, Array]:
        if self.delayed:
            lowest, highest = self._leak(low) + low_i, self._leak(silent) + high_i
            return np.where(fires, np.minimum(lowest, 0), lowest), np.where(fires, np.maximum(highest, 0), highest)
        lowest = np.where(fires, np.minimum(low, 0), low)
        highest = np.where(fires, np.maximum(silent, 0), silent)
        return self._leak(lowest) + low_i, self._leak(highest) + high_i

    def _leak(self, potential: Array) -> Array:
        return leaked(potential, self.decay)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (current,) = inputs
        if state is None:
            raise ValueError("a neuron needs its potential: pass initial_state() at the first step")
        parameters = kernels.LIFParameters(
            self.theta, self.step_size, self.decay, self.drive, self.levels, self.reset, self.delayed, self.strict
        )
        return kernels.lif(current, state, parameters)

    def _check(self, shape: Shape) -> None:
        super()._check(shape)
        for name in ("step_size", "decay", "drive"):
            values = getattr(self, name)
            if values is not None and values.shape != self.theta.shape:
                raise GraphError(f"{name} {values.shape} does not fit theta {self.theta.shape}")
        if not (self.step_size > 0).all():
            raise GraphError("step_size must be positive in every channel")
        if self.reset not in get_args(Reset):
            raise GraphError(f"reset is {self.reset!r}: choose one of {', '.join(get_args(Reset))}")
        if type(self.delayed) is not bool or type(self.strict) is not bool:
            raise GraphError("delayed and strict must be true or false")
        check_decay(self.decay)
