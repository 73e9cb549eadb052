"""Builds a random legal network node by node, with its own bookkeeping of how large every value may become.

Structure is drawn by hypothesis, so that failures shrink to small networks; the numbers inside tensors come from a
drawn seed, which is much faster. Legality follows from budgets: a current never exceeds what a membrane may pile up of
it in T steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.ops import (
    LIF,
    Add,
    Concat,
    Conv2d,
    Flatten,
    Input,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    SumPool2d,
    Upsample2d,
)

Pair = tuple[int, int]
Shape = tuple[int, ...]

MEMBRANE_LIMIT = 2**23 - 1
INT32_LIMIT = 2**31 - 1
#: Axes longer than this are not padded, and maps with more positions not repeated: the oracle is slow.
GROWING = 6
LARGEST_MAP = 36
MOST_CHANNELS = 4


@dataclass(frozen=True)
class Limits:
    """What may be drawn.

    Attributes:
        max_steps, max_levels, max_input: the largest T, N and input value.
        allow_sew: sums of spikes that no barrier follows, so that values above N enter the next layer.
        allow_currents: currents that are added or pooled before they reach a neuron or the readout.
        allow_leaky: LIF neurons and leaky integrators.
        allow_max_pool, allow_concat: the operations of these names.
        allow_fine: LIF neurons and integrators with fraction bits, rounding toward zero, or a floor.
        allow_max_of_currents: maxima of currents before a neuron.
        only_hard_reset: every neuron is a binary LIF without a leak that is reset to zero at once.
    """

    max_steps: int = 8
    max_levels: int = 255
    max_input: int = 255
    allow_sew: bool = True
    allow_currents: bool = True
    allow_leaky: bool = True
    allow_max_pool: bool = True
    allow_concat: bool = True
    allow_fine: bool = False
    allow_max_of_currents: bool = False
    only_hard_reset: bool = False


@dataclass(frozen=True)
class Value:
    """A node's output: its magnitude is at most `largest`."""

    name: str
    shape: Shape
    largest: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution or pool."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def over(self, shape: Shape) -> Pair:
        """Height and width of what it makes of a map."""
        spans = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        sizes = [(shape[1 + a] + 2 * self.padding[a] - spans[a] - 1) // self.stride[a] + 1 for a in (0, 1)]
        return sizes[0], sizes[1]


class Builder:
    """Appends nodes to a network; each method returns the value that it made."""

    def __init__(self, draw: st.DrawFn, limits: Limits) -> None:
        self.draw = draw
        self.limits = limits
        self.steps = self.number(1, limits.max_steps)
        self.rng = np.random.default_rng(self.number(0, 2**32 - 1))
        self.nodes: list[Node] = []
        self.budget = MEMBRANE_LIMIT // self.steps

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def flip(self) -> bool:
        return self.draw(st.booleans())

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def graph(self) -> Graph:
        return Graph(tuple(self.nodes), self.steps)

    def put(self, op: Op, shape: Shape, largest: int, *sources: Value) -> Value:
        name = f"{type(op).__name__.lower()}.{len(self.nodes)}"
        self.nodes.append(Node(name, op, tuple(source.name for source in sources)))
        return Value(name, shape, largest)

    def input(self) -> Value:
        largest = min(self.pick(1, 16, 255, self.number(1, 255)), self.limits.max_input)
        flat = self.number(0, 5) == 5
        shape: Shape = (self.number(1, 12),) if flat else (self.number(1, 3), self.number(1, 6), self.number(1, 6))
        return self.put(Input(shape, largest), shape, largest)

    def window(self, shape: Shape) -> Window:
        """A window that fits into the map at least once."""
        down, across = self._axis(shape[1]), self._axis(shape[2])
        kernel, stride, padding, dilation = zip(down, across, strict=True)
        return Window(kernel, stride, padding, dilation)

    def _axis(self, size: int) -> tuple[int, int, int, int]:
        padding = self.number(0, 2) if size <= GROWING else 0
        dilation = self.pick(1, 1, 2)
        kernel = self.number(1, min(4, (size + 2 * padding - 1) // dilation + 1))
        return kernel, self.number(1, 3), padding, dilation

    def centred(self) -> Window:
        """A window that keeps a map's size."""
        kernel = self.pick((3, 3), (1, 1), (1, 3), (3, 1))
        return Window(kernel, padding=(kernel[0] // 2, kernel[1] // 2))

    def conv(self, source: Value, window: Window, outputs: int, groups: int, budget: int) -> Value:
        """A convolution; `outputs` and the source's channels are multiples of `groups`."""
        shape = (outputs, source.shape[0] // groups, *window.kernel)
        source = self.calm(source, math.prod(shape[1:]), budget)
        weight, bias, largest = self._synapses(shape, source.largest, budget)
        op = Conv2d(weight, bias, window.stride, window.padding, window.dilation, groups)
        return self.put(op, (outputs, *window.over(source.shape)), largest, source)

    def any_conv(self, source: Value, budget: int) -> Value:
        """A convolution of any geometry, grouped or not."""
        groups = self.pick(*(g for g in range(1, MOST_CHANNELS + 1) if source.shape[0] % g == 0))
        outputs = groups * self.number(1, MOST_CHANNELS // groups)
        return self.conv(source, self.window(source.shape), outputs, groups, budget)

    def linear(self, source: Value, outputs: int, budget: int) -> Value:
        source = self.calm(source, source.size, budget)
        weight, bias, largest = self._synapses((outputs, source.size), source.largest, budget)
        return self.put(Linear(weight, bias), (outputs,), largest, source)

    def calm(self, source: Value, taps: int, budget: int) -> Value:
        """The source, or a barrier after it where even the smallest weights could pass the budget."""
        return source if taps * source.largest <= budget else self.neuron(source)

    def _synapses(self, shape: Shape, largest: int, budget: int) -> tuple[Array, Array | None, int]:
        taps = math.prod(shape[1:])
        bits = self.pick(8, 8, *range(2, 9))
        while taps * _top(bits) * largest > budget:
            bits -= 1
        reach = taps * _top(bits) * largest
        style = self.pick("none", "small", "small", "equal", "wide")
        widest = budget - reach
        bound = {"none": 0, "small": min(reach // 16, widest), "equal": min(reach, widest), "wide": widest}[style]
        bias = None if style == "none" else frozen(self.rng.integers(-bound, bound + 1, shape[0]), np.int32)
        return self._weight(shape, _top(bits)), bias, reach + bound

    def _weight(self, shape: Shape, top: int) -> Array:
        style = self.pick("dense", "dense", "dense", "sparse", "extreme", "positive", "zero")
        dense = self.rng.integers(-top, top + 1, shape)
        values = {
            "dense": dense,
            "sparse": dense * (self.rng.random(shape) < 0.3),
            "extreme": top * self.rng.choice((-1, 1), shape),
            "positive": np.abs(dense),
            "zero": np.zeros(shape),
        }[style]
        return frozen(values, np.int8)

    def neuron(self, source: Value, levels: int | None = None) -> Value:
        """A neuron on a current, or as a barrier on spikes."""
        if self.limits.only_hard_reset:
            return self._hard_reset(source)
        if levels is None:
            levels = min(self.pick(1, 2, 3, 4, 7, 15, 255, self.number(1, 255)), self.limits.max_levels)
        # A quarter of the membrane for the current, one for the drive, and room for what a reset may take too much.
        if self.limits.allow_leaky and 4 * source.largest <= self.budget and self.flip():
            return self._lif(self._integrated(source), levels)
        theta = self._theta(source, levels, MEMBRANE_LIMIT // levels)
        op = MultiLevelIF(theta, levels)
        return self.put(op, source.shape, levels, source)

    def _hard_reset(self, source: Value) -> Value:
        theta = self._theta(source, 1, MEMBRANE_LIMIT)
        bound = self.pick(0, 0, 1, source.largest) if 2 * source.largest <= self.budget else 0
        channels = source.shape[0]
        drive = frozen(self.rng.integers(-bound, bound + 1, channels), np.int32) if bound else None
        op = LIF(theta, theta, frozen(np.full(channels, 4096), np.int32), drive, reset="zero")
        return self.put(op, source.shape, 1, source)

    def _integrated(self, source: Value) -> Value:
        """Sometimes the source's fading sum: what T steps can pile up fits, or it is left as it is."""
        largest = source.largest * self.steps
        if 4 * largest > self.budget or not self.flip():
            return source
        return self.integrator(source)

    def integrator(self, source: Value) -> Value:
        """The fading sum of a current that stays within the budget."""
        decay, bits, toward_zero = self._decay(source.shape[0]), 0, False
        if self.limits.allow_fine:
            most = (self.budget // max(1, 4 * source.largest * self.steps)).bit_length() - 1
            bits, toward_zero = self.pick(0, max(0, min(6, most))), self.flip()
        largest = source.largest * self.steps << bits
        return self.put(LeakyIntegrator(decay, bits, toward_zero), source.shape, largest, source)

    def _decay(self, channels: int) -> Array:
        low, high = self.pick((4096, 4096), (0, 4096), (3500, 4096), (0, 0))
        return frozen(self.rng.integers(low, high + 1, channels), np.int32)

    def _lif(self, source: Value, levels: int) -> Value:
        channels, ceiling = source.shape[0], MEMBRANE_LIMIT // 4 // levels
        theta = self._theta(source, levels, ceiling)
        step_size = theta if self.flip() else self._theta(source, levels, ceiling)
        bound = self.pick(0, 0, 1, source.largest)
        drive = frozen(self.rng.integers(-bound, bound + 1, channels), np.int32) if bound else None
        reset, delayed = self.pick("subtract", "zero", "none"), self.flip()
        op = LIF(theta, step_size, self._decay(channels), drive, levels, reset, delayed)
        if self.limits.allow_fine:
            most = (self.budget // max(1, 4 * source.largest)).bit_length() - 1
            floor = frozen(-self.rng.integers(0, source.largest + 1, channels), np.int32) if self.flip() else None
            bits = self.pick(0, max(0, min(6, most)))
            op = replace(op, floor=floor, fraction_bits=bits, toward_zero=self.flip())
        return self.put(op, source.shape, levels, source)

    def _theta(self, source: Value, levels: int, ceiling: int) -> Array:
        """Thresholds per channel, log-uniform: of every order of magnitude, or where levels are told apart."""
        full = source.largest // levels
        low, high = self.pick((1, 1), (1, ceiling), *[(full // 32, full)] * 4)
        drawn = np.exp(self.rng.uniform(math.log(max(1, low)), math.log(max(1, high)), source.shape[0]))
        return frozen(np.clip(drawn, 1, ceiling), np.int32)

    def add(self, *sources: Value) -> Value:
        return self.put(Add(), sources[0].shape, sum(source.largest for source in sources), *sources)

    def sum_pool(self, source: Value, window: Window) -> Value:
        """A pool over the window, its dilation left out: what fits with dilation fits all the more without."""
        window = replace(window, dilation=(1, 1))
        op = SumPool2d(window.kernel, window.stride, window.padding)
        area = math.prod(window.kernel)
        return self.put(op, (source.shape[0], *window.over(source.shape)), source.largest * area, source)

    def max_pool(self, source: Value) -> Value:
        """A pool of spikes whose windows all meet the map."""
        window = replace(self.window(source.shape), dilation=(1, 1))
        low, high = (min(pad, size // 2) for pad, size in zip(window.padding, window.kernel, strict=True))
        window = replace(window, padding=(low, high))
        shape = (source.shape[0], *window.over(source.shape))
        if min(shape) < 1:  # with less padding, the window does not fit any more
            return source
        return self.put(MaxPool2d(window.kernel, window.stride, window.padding), shape, source.largest, source)

    def concat(self, *sources: Value) -> Value:
        shape = (sum(source.shape[0] for source in sources), *sources[0].shape[1:])
        return self.put(Concat(), shape, max(source.largest for source in sources), *sources)

    def upsample(self, source: Value) -> Value:
        factor = (self.number(1, 2), self.number(1, 3))
        channels, height, width = source.shape
        return self.put(Upsample2d(factor), (channels, height * factor[0], width * factor[1]), source.largest, source)

    def flatten(self, source: Value) -> Value:
        return self.put(Flatten(), (source.size,), source.largest, source)

    def readout(self, source: Value) -> Value:
        return self.put(Readout(), source.shape, source.largest, source)


def _top(bits: int) -> int:
    """Largest weight of so many bits, signed and symmetric."""
    return (1 << (bits - 1)) - 1
