"""Rounding neurons and leaks to integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snn2chip.graph import Array, Interval, frozen
from snn2chip.kernels import DECAY_BITS, DECAY_ONE
from snn2chip.ops import LIF, LeakyIntegrator, MultiLevelIF, SpikingNeuron
from snn2chip.spec import MEMBRANE_LIMIT

#: How closely a threshold must agree with a whole number of units to be meant as that number.
_SAME_LEVEL = 1e-9


def real_extent(op: SpikingNeuron) -> Array:
    """``[C]``: the largest magnitude that the integers of a neuron have to hold, as a real number."""
    extent: Array = np.maximum(op.saturation, op.theta)
    if isinstance(op, LIF):
        extent = np.maximum(extent, op.theta + op.levels * op.step_size)
        if op.drive is not None:
            extent = np.maximum(extent, np.abs(op.drive))
    return extent


def divisor(op: SpikingNeuron) -> Array | None:
    """``[C]``: the real number by which a neuron divides to count its spikes; None for a `LIF` that only compares."""
    if not isinstance(op, LIF):
        return op.theta
    return op.step_size if op.levels > 1 else None


def rounded_theta(op: SpikingNeuron, unit: Array) -> Array:
    """Integer thresholds, float64 ``[C]``.

    One level of a `MultiLevelIF` is rounded to nearest. A `LIF` fires at the first whole number of units that reaches
    its threshold, or that passes it where it is strict.
    """
    ratio = op.theta / unit
    if not isinstance(op, LIF):
        return np.maximum(1, np.rint(ratio))
    nearest = np.rint(ratio)
    ratio = np.where(np.abs(ratio - nearest) <= _SAME_LEVEL * np.maximum(1, nearest), nearest, ratio)
    first: Array = np.floor(ratio) + 1 if op.strict else np.ceil(ratio)
    return np.maximum(1, first)


def rounded_decay(decay: Array) -> Array:
    """Decays with 12 fraction bits, int32."""
    return frozen(np.rint(decay * DECAY_ONE).clip(0, DECAY_ONE), np.int32)


def decay_error(op: LIF | LeakyIntegrator) -> float:
    """The largest error of a rounded decay, relative to its distance from 1: the leak itself, or 0 where none leaks."""
    error = np.abs(rounded_decay(op.decay) / DECAY_ONE - op.decay)
    leak = 1 - op.decay
    return float(np.divide(error, leak, out=np.zeros_like(error), where=leak > 0).max(initial=0))


def rounded_neuron(op: SpikingNeuron, unit: Array, theta: Array | None = None, fraction_bits: int = 0) -> SpikingNeuron:
    """The integer neuron.

    Args: unit, of the current that it reads; theta, replaces its thresholds; fraction_bits, how much finer than the
    current the potential of a `LIF` is: `theta`, too, is in the finer unit.
    """
    unit = unit / 2**fraction_bits
    levels = rounded_theta(op, unit) if theta is None else theta
    if not isinstance(op, LIF):
        return MultiLevelIF(frozen(levels, np.int64), op.levels)
    return replace(
        op,
        theta=frozen(levels, np.int64),
        step_size=frozen(np.maximum(1, np.rint(op.step_size / unit)), np.int64),
        decay=rounded_decay(op.decay),
        drive=None if op.drive is None else frozen(np.rint(op.drive / unit), np.int64),
        # No potential of a legal neuron falls below 24 bits: a floor beyond them is never reached.
        floor=None if op.floor is None else frozen(np.rint(op.floor / unit).clip(-MEMBRANE_LIMIT), np.int64),
        fraction_bits=fraction_bits,
        strict=False,
    )


def wanted_fraction_bits(decay: Array, theta: Array, bound: Array) -> int:
    """Fraction bits of a potential that leaks: so many that its rounding at every step shifts it by less than 1/256 of
    the threshold in the long run, as far as 24 bits hold it.

    Args: decay, real ``[C]``; theta, the smallest threshold, and bound, the largest potential, in units of the current.
    """
    leaking = decay < 1
    if not leaking.any():
        return 0
    # A rounding of 1/2 a step on average adds up to 1 / (2 * (1 - decay)).
    wanted = np.log2(128 / ((1 - decay[leaking]) * theta[leaking])).max()
    room = np.log2(MEMBRANE_LIMIT / (2 * np.maximum(bound, 1))).min()  # rounded weights may add to the bound
    return int(np.clip(np.ceil(wanted), 0, max(0, min(np.floor(room), DECAY_BITS))))


def within_reach(op: SpikingNeuron, current: Interval, steps: int, power_of_two: bool = False) -> SpikingNeuron:
    """The same neuron in int32, with no threshold further above what its potential can reach than by one, or, with
    `power_of_two`, than the next power of two.

    A larger threshold would mean the same and waste bits.
    """
    above = np.maximum(1, op.membrane(current, steps).high + 1)
    if power_of_two:
        above = 2 ** np.ceil(np.log2(above)).astype(np.int64)
    theta = frozen(np.minimum(op.theta, above), np.int32)
    if not isinstance(op, LIF):
        return MultiLevelIF(theta, op.levels)
    silent = op.theta >= above  # what never fires never subtracts either
    step_size = frozen(np.where(silent, np.minimum(op.step_size, above), op.step_size), np.int32)
    drive, floor = (None if values is None else frozen(values, np.int32) for values in (op.drive, op.floor))
    return replace(op, theta=theta, step_size=step_size, drive=drive, floor=floor)
