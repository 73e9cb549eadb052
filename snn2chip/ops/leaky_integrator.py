"""LeakyIntegrator: a current that fades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip import kernels
from snn2chip.errors import GraphError
from snn2chip.graph import Array, Interval, Kind, Signal, frozen
from snn2chip.ops.base import BaseOp
from snn2chip.ops.leak import check_leak, leaked


@dataclass(frozen=True, eq=False)
class LeakyIntegrator(BaseOp):
    """``y(t) = leak(y(t-1)) + s(t) * 2**fraction_bits``, y = 0 before the first step.

    ``leak(y)`` is ``y * decay / 2**12``, rounded down (or toward zero) in integers.

    Before a `LIF` it is the synaptic current of a current-based neuron (NIR's `CubaLIF`); before the readout, a
    membrane that is read (NIR's `LI`).

    Attributes:
        decay: ``[C]``, real in 0..1, or int32 in 0..4096.
        fraction_bits: in an integer graph, how much finer the output's unit is than the input's: 0..12 bits.
        toward_zero: how a leak is rounded, as Loihi's neurons round.
    """

    decay: Array
    fraction_bits: int = 0
    toward_zero: bool = False

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        (source,) = sources
        if self.decay.shape != source.shape[:1]:
            raise GraphError(f"decay {self.decay.shape} does not fit an input of {source.shape[0]} channels")
        check_leak(self.decay, self.fraction_bits, self.toward_zero)
        finer = 2**self.fraction_bits
        low_i, high_i = source.interval.low * finer, source.interval.high * finer
        lowest, highest = low, high = low_i, high_i  # from y = 0
        for _ in range(steps - 1):
            low = leaked(low, self.decay, self.toward_zero) + low_i
            high = leaked(high, self.decay, self.toward_zero) + high_i
            if (low >= lowest).all() and (high <= highest).all():
                break
            lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
        return Signal(source.shape, Kind.CURRENT, Interval(frozen(lowest), frozen(highest)))

    def initial_state(self, source: Signal, batch: int) -> Array | None:
        return np.zeros((batch, *source.shape), dtype=np.float64 if self.decay.dtype.kind == "f" else np.int32)

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        (current,) = inputs
        if state is None:
            raise ValueError("an integrator needs its state: pass initial_state() at the first step")
        value = kernels.leaky_integrator(current, state, self.decay, self.fraction_bits, self.toward_zero)
        return value, value
