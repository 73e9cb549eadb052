"""LIF: the (leaky) integrate-and-fire neuron of other frameworks, with every reset that they know."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Shape, frozen
from snn2chip.ops.leak import check_leak, leaked
from snn2chip.ops.neuron import SpikingNeuron

Reset = Literal["subtract", "zero", "none"]


@dataclass(frozen=True, eq=False)
class LIF(SpikingNeuron):
    """``v = leak(u) + i + drive;  z = clip(floor((v - theta) / step) + 1, 0, N);  u = reset(v);  u(0) = 0``.

    ``leak(u)`` is ``u * decay`` in real numbers, and ``u * decay / 2**12``, rounded down or toward zero, in integers.
    The reset is ``v - z * step`` (subtract), 0 where z > 0 and else v (zero), or v (none). A *delayed* reset comes in
    the step after the spike: then ``u = v``, and the next ``v`` is ``leak(u) + i + drive - z(u) * step`` (subtract), or
    0 where z(u) > 0 (zero). What is kept is never below `floor`.

    With `fraction_bits` the potential is that much finer than the current: i enters as ``i * 2**fraction_bits``, and
    theta, step, drive and floor are in the finer unit.

    Sources: snnTorch 1.0 `Leaky` (delayed by default, ``v > threshold``), SpikingJelly 2.0 `IFNode` and `LIFNode`
    (``v >= v_threshold``), norse 1.1 `IAFCell` and NIR 1.0 `IF` (``v > threshold``, reset to a value),
    sinabs 3.1 `IAF` (a floor under the potential), lava-nc 0.10 `LIF` (6 fraction bits, rounded toward zero).

    Attributes:
        theta: ``[C]``, positive: the potential of the first spike; int32 in an integer graph.
        step: ``[C]``, positive: what each further spike takes, and what one spike subtracts; int32.
        decay: ``[C]``: 1 and 4096 mean no leak; real in 0..1, or int32 in 0..4096.
        drive: ``[C]``, added at every step, or None; int32.
        levels: N, 1..255.
        reset, delayed: see above.
        strict: in a float graph only: spikes at ``v > theta`` instead of ``v >= theta``.
        floor: ``[C]``, 0 or below, or None where the potential is not held up; int32.
        fraction_bits: 0..12, in an integer graph only.
        toward_zero: how a leak is rounded.
    """

    theta: Array
    step_size: Array
    decay: Array
    drive: Array | None = None
    levels: int = 1
    reset: Reset = "subtract"
    delayed: bool = False
    strict: bool = False
    floor: Array | None = None
    fraction_bits: int = 0
    toward_zero: bool = False

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
        finer = 2**self.fraction_bits
        low_i, high_i = source.low * finer + drive, source.high * finer + drive
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
        if self.reset == "none":
            lowest, highest = self._held(low, high)
            return self._leak(lowest) + low_i, self._leak(highest) + high_i
        if self.delayed:
            lowest, highest = self._held(low, high)
            return self._delayed_reset(lowest, highest, low_i, high_i)
        lowest, highest = self._held(*self._after_reset(low, high))
        return self._leak(lowest) + low_i, self._leak(highest) + high_i

    def _after_reset(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Bounds of u where v lies in ``low .. high``."""
        fires = self.count(high) > 0
        if self.reset == "zero":
            return np.where(fires, np.minimum(low, 0), low), np.where(fires, np.maximum(self._silent(high), 0), high)
        above = np.maximum(self._once(high) - self.step_size, high - self.count(high) * self.step_size)
        lowest = np.where(fires, np.minimum(low, self.theta - self.step_size), low)
        return lowest, np.where(fires, np.maximum(self._silent(high), above), high)

    def _delayed_reset(self, low: Array, high: Array, low_i: Array, high_i: Array) -> tuple[Array, Array]:
        """Bounds of the next v where u, which has not been reset yet, lies in ``low .. high``."""
        taken = self.count(high)
        fires, lowest, highest = taken > 0, self._leak(low), self._leak(self._silent(high))
        if self.reset == "zero":
            silent = lowest + low_i, highest + high_i
            return np.where(fires, np.minimum(silent[0], 0), silent[0]), np.where(
                fires, np.maximum(silent[1], 0), silent[1]
            )
        least = self.theta + (taken - 1) * self.step_size  # the lowest potential that emits as many spikes
        below = self._leak(least) - taken * self.step_size
        above = np.maximum(self._leak(self._once(high)) - self.step_size, self._leak(high) - taken * self.step_size)
        lowest = np.where(fires, np.minimum(lowest, below), lowest)
        return lowest + low_i, np.where(fires, np.maximum(highest, above), highest) + high_i

    def _silent(self, high: Array) -> Array:
        """The largest potential up to `high` that does not fire; real numbers come as close to theta as they like."""
        largest: Array = np.minimum(high, self.theta - (0 if self.theta.dtype.kind == "f" else 1))
        return largest

    def _once(self, high: Array) -> Array:
        """The largest potential up to `high` that emits at most one spike."""
        largest: Array = np.minimum(high, self.theta + self.step_size - (0 if self.theta.dtype.kind == "f" else 1))
        return largest

    def _held(self, low: Array, high: Array) -> tuple[Array, Array]:
        return (low, high) if self.floor is None else (np.maximum(low, self.floor), np.maximum(high, self.floor))

    def _leak(self, potential: Array) -> Array:
        return leaked(potential, self.decay, self.toward_zero)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (current,) = inputs
        if state is None:
            raise ValueError("a neuron needs its potential: pass initial_state() at the first step")
        parameters = kernels.LIFParameters(
            **{field.name: getattr(self, field.name) for field in fields(kernels.LIFParameters)}
        )
        return kernels.lif(current, state, parameters)

    def _check(self, shape: Shape) -> None:
        super()._check(shape)
        for name in ("step_size", "decay", "drive", "floor"):
            values = getattr(self, name)
            if values is not None and values.shape != self.theta.shape:
                raise GraphError(f"{name} {values.shape} does not fit theta {self.theta.shape}")
        if not (self.step_size > 0).all():
            raise GraphError("step_size must be positive in every channel")
        if self.reset not in get_args(Reset):
            raise GraphError(f"reset is {self.reset!r}: choose one of {', '.join(get_args(Reset))}")
        if type(self.delayed) is not bool or type(self.strict) is not bool:
            raise GraphError("delayed and strict must be true or false")
        if self.floor is not None and not (self.floor <= 0).all():
            raise GraphError("floor must be 0 or below in every channel")
        check_leak(self.decay, self.fraction_bits, self.toward_zero)
