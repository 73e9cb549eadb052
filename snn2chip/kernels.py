"""Integer arithmetic of the normative semantics, in plain NumPy and nothing else.

The interpreter and Lava's processes both call these functions, so that the arithmetic stands in one place. Tensors are
batch first: ``[B, C, H, W]`` or ``[B, F]``. NumPy has no fast integer matrix product, so products run on float BLAS, in
the narrowest float type in which *every partial sum* is proven exact (``docs/semantics.md``, section "Exactness").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]

#: Integers of magnitude up to 2**24 (2**53) are exact in float32 (float64): width of the significand, IEEE 754-2019.
FLOAT32_EXACT = 2**24
FLOAT64_EXACT = 2**53

#: Fraction bits of a decay, as Loihi's neurons have them (Davies et al. 2018), and the decay that keeps everything.
DECAY_BITS = 12
DECAY_ONE = 2**DECAY_BITS

#: In a *float* graph a level such as 1/7 is inexact, so that a sum of levels can land just below the level it means.
FLOAT_GUARD = 2.0**-32


def exact_float(bound: int) -> type[np.float32] | type[np.float64]:
    """The narrowest float type that holds every integer of magnitude up to `bound`; OverflowError where none does."""
    if bound <= FLOAT32_EXACT:
        return np.float32
    if bound <= FLOAT64_EXACT:
        return np.float64
    raise OverflowError(f"partial sums may reach {bound}, beyond the {FLOAT64_EXACT} that float64 holds exactly")


def product_type(x: Array, row_sum: float, weight: Array) -> type[Any]:
    """The float type in which ``weight @ x`` is exact; float weights (the float graph) keep their own type.

    `row_sum` is the largest sum of absolute weights over one output: no partial sum exceeds it times ``max |x|``.
    """
    if weight.dtype.kind == "f":
        return np.float64
    largest = int(np.abs(x).max(initial=0))
    return exact_float(int(row_sum) * largest)


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Length of a convolution's output axis, at least 0."""
    return max(0, (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1)


def windows(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1), border: float = 0) -> Array:
    """Sliding windows ``[B, C, Ho, Wo, Kh, Kw]`` of padded ``[B, C, H, W]`` (a view of the padded copy)."""
    if padding != (0, 0):
        x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=border)
    height = output_size(x.shape[2], kernel[0], stride[0], 0, dilation[0])
    width = output_size(x.shape[3], kernel[1], stride[1], 0, dilation[1])
    b, c, h, w = x.strides
    shape = (x.shape[0], x.shape[1], height, width, kernel[0], kernel[1])
    strides = (b, c, h * stride[0], w * stride[1], h * dilation[0], w * dilation[1])
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def convolve(x: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """Cross-correlation of ``x [B, C, H, W]`` with ``weight [O, C/groups, Kh, Kw]``, both of one float type.

    Returns ``[B, O, Ho, Wo]`` in that float type. The caller has chosen the type so that the result is exact.
    """
    outputs, per_group, kernel_height, kernel_width = weight.shape
    cols = windows(x, (kernel_height, kernel_width), stride, padding, dilation)
    batch, _, height, width = cols.shape[:4]
    cols = cols.reshape(batch, groups, per_group, height, width, kernel_height, kernel_width)
    cols = cols.transpose(1, 2, 5, 6, 0, 3, 4).reshape(groups, per_group * kernel_height * kernel_width, -1)
    product = np.matmul(weight.reshape(groups, outputs // groups, -1), cols)
    product = product.reshape(outputs, batch, height, width)
    return np.ascontiguousarray(product.transpose(1, 0, 2, 3))


def sum_pool(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Sums over windows: ``[B, C, H, W]`` to ``[B, C, Ho, Wo]``, in the type of `x` (int32 for integers)."""
    dtype = x.dtype if x.dtype.kind == "f" else np.int32
    total: Array = windows(x, kernel, stride, padding).sum(axis=(4, 5), dtype=dtype)
    return total


def max_pool(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """Largest values of windows: ``[B, C, H, W]`` to ``[B, C, Ho, Wo]``, in the type of `x`; the border has none."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    largest: Array = windows(x, kernel, stride, padding, border=lowest).max(axis=(4, 5))
    return largest


def per_channel(values: Array, rank: int) -> Array:
    """``[C]`` shaped to broadcast over ``[B, C, ...]`` of `rank` axes."""
    return values.reshape((1, -1) + (1,) * (rank - 2))


def multi_level_if(current: Array, potential: Array, theta: Array, levels: int) -> tuple[Array, Array]:
    """One step of the multi-level integrate-and-fire neuron with soft reset.

    ``v = u + i; z = clip(floor(v / theta), 0, levels); u = v - z * theta``

    Args: current ``[B, C, ...]``, potential of the same shape, theta ``[C]`` (positive), levels N.
    Returns: (spikes z, next potential u), in the type of `potential`.
    """
    level = per_channel(theta, current.ndim)
    v = potential + current
    reached = np.floor(v / level + FLOAT_GUARD) if v.dtype.kind == "f" else np.floor_divide(v, level)
    spikes = np.clip(reached, 0, levels).astype(potential.dtype, copy=False)
    return spikes, v - spikes * level


def leak(values: Array, decay: Array, toward_zero: bool = False) -> Array:
    """``values * decay / 2**12``, formed in int64 and rounded down, or toward zero."""
    product = values.astype(np.int64) * decay
    if toward_zero:  # a shift rounds down: rounding up is shifting the negative
        return np.where(product < 0, -(-product >> DECAY_BITS), product >> DECAY_BITS)
    left: Array = product >> DECAY_BITS
    return left


def leaky_integrator(
    current: Array, state: Array, decay: Array, fraction_bits: int = 0, toward_zero: bool = False
) -> Array:
    """``leak(state) + current * 2**fraction_bits``, in the type of `state`.

    Args: current and state ``[B, C, ...]``, decay ``[C]``.
    """
    share = per_channel(decay, current.ndim)
    if state.dtype.kind == "f":
        real: Array = state * share + current
        return real
    value: Array = leak(state, share, toward_zero) + (current.astype(np.int64) << fraction_bits)
    return value.astype(state.dtype, copy=False)


@dataclass(frozen=True)
class LIFParameters:
    """Of one layer of leaky integrate-and-fire neurons; see `snn2chip.ops.lif.LIF`. Arrays are ``[C]``."""

    theta: Array
    step_size: Array
    decay: Array
    drive: Array | None
    levels: int
    reset: str
    delayed: bool
    strict: bool = False
    floor: Array | None = None
    fraction_bits: int = 0
    toward_zero: bool = False


def spike_count(potential: Array, theta: Array, step_size: Array, levels: int, strict: bool = False) -> Array:
    """``clip(floor((v - theta) / step) + 1, 0, levels)``; `strict` counts a step only once it is passed."""
    excess = potential - theta
    reached = np.ceil(excess / step_size) if strict else np.floor_divide(excess, step_size) + 1
    spikes: Array = np.clip(reached, 0, levels)
    return spikes


def lif(current: Array, potential: Array, neuron: LIFParameters) -> tuple[Array, Array]:
    """One step of a layer of LIF neurons.

    Args: current ``[B, C, ...]``, potential of the same shape (what `lif` returned for the step before; 0 at first).
    Returns: (spikes z, next potential u), in the type of `potential`.
    """
    rank = current.ndim
    theta, step = per_channel(neuron.theta, rank), per_channel(neuron.step_size, rank)
    v = leaky_integrator(current, potential, neuron.decay, neuron.fraction_bits, neuron.toward_zero)
    if neuron.drive is not None:
        v = v + per_channel(neuron.drive, rank)
    if neuron.delayed and neuron.reset != "none":
        earlier = spike_count(potential, theta, step, neuron.levels, neuron.strict)
        v = v - earlier * step if neuron.reset == "subtract" else np.where(earlier > 0, 0, v)
    v = v.astype(potential.dtype, copy=False)
    spikes = spike_count(v, theta, step, neuron.levels, neuron.strict).astype(potential.dtype, copy=False)
    left = v
    if not neuron.delayed and neuron.reset != "none":
        left = v - spikes * step if neuron.reset == "subtract" else np.where(spikes > 0, 0, v)
    if neuron.floor is not None:
        left = np.maximum(left, per_channel(neuron.floor, rank))
    return spikes, left.astype(potential.dtype, copy=False)
