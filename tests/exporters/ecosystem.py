"""Networks of leaky, hard-reset and current-based neurons, maxima and concatenation, for the tests of every form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from snn2chip.graph import Graph, frozen
from snn2chip.ops import LIF, Concat, Flatten, LeakyIntegrator, MaxPool2d, SumPool2d
from snn2chip.ops.lif import Reset
from tests.exporters.nir_networks import Net

KEEPS_ALL = 4096


def lif(
    net: Net,
    source: str,
    channels: int = 4,
    theta: int = 400,
    levels: int = 1,
    reset: Reset = "subtract",
    delayed: bool = False,
    leaks: bool = True,
    drive: int = 0,
) -> str:
    """A layer whose thresholds, steps, decays and drives differ by channel."""
    thresholds = net.rng.integers(max(1, theta // 2), theta + 1, channels)
    step_size = frozen(np.maximum(1, thresholds * net.rng.integers(1, 4, channels) // 2), np.int32)
    decay = net.rng.integers(2000, KEEPS_ALL, channels) if leaks else np.full(channels, KEEPS_ALL)
    driven = frozen(net.rng.integers(-drive, drive + 1, channels), np.int32) if drive else None
    theta_, decay_ = frozen(thresholds, np.int32), frozen(decay, np.int32)
    return net.put(LIF(theta_, step_size, decay_, driven, levels, reset, delayed), source)


def every_reset(leaks: bool, levels: int, steps: int) -> Graph:
    """One layer of each kind, one after the other."""
    net = Net(2, 6, 6, seed=levels)
    last = net.conv("x", 4, 2, 3, 3, padding=(1, 1))
    resets: tuple[Reset, ...] = ("subtract", "zero", "none")
    for reset in resets:
        for delayed in (False, True):
            last = net.same(lif(net, last, levels=levels, reset=reset, delayed=delayed, leaks=leaks, drive=50))
    return net.head(lif(net, last, levels=levels, leaks=leaks), 4, (6, 6), steps)


def leaky_binary(steps: int) -> Graph:
    return every_reset(True, 1, steps)


def leaky_levels(steps: int) -> Graph:
    return every_reset(True, 5, steps)


def binary_without_leak(steps: int) -> Graph:
    return every_reset(False, 1, steps)


def levels_without_leak(steps: int) -> Graph:
    return every_reset(False, 255, steps)


def hard_reset(steps: int) -> Graph:
    """Stock integrate-and-fire neurons with a residual sum, maxima and concatenation: what NIR can say at any T."""
    net = Net(2, 6, 6, seed=3)

    def fire(source: str, channels: int = 4, theta: int = 400, drive: int = 0) -> str:
        return lif(net, source, channels, theta, reset="zero", leaks=False, drive=drive)

    a = fire(net.conv("x", 4, 2, 3, 3, padding=(1, 1)), theta=1500, drive=30)
    b = fire(net.same(a), theta=100)
    barrier = fire(net.add(a, b), theta=2)
    peaks = net.put(MaxPool2d((3, 3), (2, 2), (1, 1)), net.put(Concat(), barrier, b))
    flat = net.put(Flatten(), fire(net.conv(peaks, 4, 8, 2, 2), theta=100))
    return net.graph(net.linear(fire(net.linear(flat, 6, 16), 6, theta=100), 5, 6), steps)


def held_up(steps: int) -> Graph:
    """A floor under the potential (sinabs), with every reset; the last one's is 0."""
    net = Net(2, 6, 6, seed=8)
    last = net.conv("x", 4, 2, 3, 3, padding=(1, 1))
    resets: tuple[Reset, ...] = ("subtract", "zero", "none")
    for index, reset in enumerate(resets):
        fired = _changed(net, lif(net, last, reset=reset, delayed=index == 1, leaks=False, levels=1 + index), floor=200)
        last = net.same(fired)
    return net.head(_changed(net, lif(net, last), floor=0), 4, (6, 6), steps)


def fine_grained(steps: int) -> Graph:
    """Lava's own neurons: 6 fraction bits, a fading current before the potential, leaks rounded toward zero."""
    net = Net(2, 6, 6, seed=9)
    last = net.conv("x", 4, 2, 3, 3, padding=(1, 1))
    for _ in range(2):
        decay = frozen(net.rng.integers(1000, 4000, 4), np.int32)
        current = net.put(LeakyIntegrator(decay, fraction_bits=6, toward_zero=True), last)
        last = net.same(_changed(net, lif(net, current, theta=400 << 6, reset="zero"), toward_zero=True))
    fired = lif(net, last, theta=400 << 3, levels=3, delayed=True, drive=77)
    return net.head(_changed(net, fired, fraction_bits=3, toward_zero=True), 4, (6, 6), steps)


def _changed(net: Net, name: str, floor: int | None = None, **fields: Any) -> str:
    """The layer that was just put, with other fields; `floor` is how deep they may lie, each channel its own."""
    node = net.nodes.pop()
    if floor is not None:
        fields["floor"] = frozen(-net.rng.integers(floor // 2, floor + 1, 4), np.int32)
    assert isinstance(node.op, LIF)
    net.nodes.append(replace(node, op=replace(node.op, **fields)))
    return name


def largest_currents(steps: int) -> Graph:
    """Maxima of currents before a neuron (snnTorch's tutorials), padded where all currents may be negative."""
    net = Net(2, 6, 6, seed=10, levels=3)
    pooled = net.put(MaxPool2d((3, 3), (2, 2), (1, 1)), net.conv("x", 4, 2, 3, 3, padding=(1, 1)))
    a = net.neuron(pooled, theta=300)
    driven = net.put(MaxPool2d((2, 2), (1, 1), (1, 1)), net.conv(a, 4, 4, 1, 1))
    return net.head(lif(net, driven, theta=100, reset="zero", drive=50), 4, (4, 4), steps)


def current_based(steps: int) -> Graph:
    """NIR's CubaLIF: a fading current before the neuron; one current that nothing leaks from, and one read twice."""
    net = Net(2, 6, 6, seed=1)
    decay = frozen([4000, 1024, 0, KEEPS_ALL], np.int32)
    a = net.put(LeakyIntegrator(decay), net.conv("x", 4, 2, 3, 3, padding=(1, 1)))
    left, right = lif(net, a, theta=3000, levels=3), lif(net, a, theta=900, reset="zero")
    kept = net.put(LeakyIntegrator(frozen([KEEPS_ALL] * 4, np.int32)), net.same(net.add(left, right)))
    return net.head(lif(net, kept, theta=700, reset="zero", delayed=True), 4, (6, 6), steps)


def maxima(steps: int) -> Graph:
    """Of the image, of a sum of spikes wider than a byte, of maxima; overlapping, padded, not square."""
    net = Net(2, 9, 8, levels=200)
    image = net.put(MaxPool2d((3, 2), (1, 1), (1, 1)), "x")
    a = net.neuron(net.conv(image, 4, 2, 3, 3, padding=(1, 1)), theta=20)
    wide = net.put(MaxPool2d((2, 3), (1, 2), (1, 0)), net.add(a, a))
    peaks = net.put(MaxPool2d((2, 2), (1, 1)), net.put(MaxPool2d((2, 2), (1, 1)), wide))
    column = net.put(MaxPool2d((3, 1), (2, 1)), peaks)
    return net.flat_head(net.neuron(net.conv(column, 3, 4, 2, 2), 3), 6, steps)


def small_maxima(steps: int) -> Graph:
    """Of neurons with few levels, of the maxima themselves and of a sum: what NIR can say in one step."""
    net = Net(2, 8, 8, levels=3)
    a = net.neuron(net.conv("x", 4, 2, 3, 3, padding=(1, 1)), theta=900)
    pooled = net.put(MaxPool2d((3, 3), (2, 2), (1, 1)), net.put(MaxPool2d((2, 2), (1, 1)), a))
    b = net.neuron(net.conv(pooled, 4, 4, 3, 3, padding=(1, 1)))
    peaks = net.put(MaxPool2d((2, 2), (1, 1)), net.add(pooled, b))
    return net.flat_head(net.neuron(net.conv(peaks, 3, 4, 2, 2), 3, theta=200), 12, steps)


def concatenations(steps: int) -> Graph:
    """Of spikes of unlike widths, of currents, of one value twice, and of flat features."""
    net = Net(2, 6, 6, levels=200)
    a = net.neuron(net.conv("x", 4, 2, 3, 3, padding=(1, 1)), theta=20)
    doubled = net.put(Concat(), net.add(a, a), a, "x")
    current = net.put(Concat(), net.conv(doubled, 2, 10, 1, 1), net.conv(a, 3, 4, 1, 1))
    b = net.neuron(current, 5, levels=3, theta=3000)
    twice = net.put(Concat(), b, b)
    pooled = net.put(Flatten(), net.put(SumPool2d((6, 6), (6, 6)), twice))
    hidden = net.neuron(net.linear(pooled, 4, 10), levels=3, theta=900)
    return net.graph(net.linear(net.put(Concat(), hidden, pooled), 5, 14), steps)


def spike_readout(steps: int) -> Graph:
    """Logits that are spike counts."""
    net = Net(2, 6, 6, seed=5)
    a = lif(net, net.conv("x", 4, 2, 3, 3, padding=(1, 1)), theta=1500)
    return net.graph(lif(net, net.linear(net.put(Flatten(), a), 5, 144), 5, theta=100, levels=7), steps)


def membrane_readout(steps: int) -> Graph:
    """Logits that are the sum over time of a fading membrane that never fires."""
    net = Net(2, 6, 6, seed=6)
    a = lif(net, net.conv("x", 4, 2, 3, 3, padding=(1, 1)), theta=4000)
    current = net.linear(net.put(Flatten(), a), 5, 144)
    return net.graph(net.put(LeakyIntegrator(frozen([4096, 4000, 2048, 1, 0], np.int32)), current), steps)


NETWORKS: dict[str, Callable[[int], Graph]] = {
    make.__name__: make
    for make in (
        leaky_binary,
        leaky_levels,
        binary_without_leak,
        levels_without_leak,
        hard_reset,
        held_up,
        fine_grained,
        largest_currents,
        current_based,
        maxima,
        small_maxima,
        concatenations,
        spike_readout,
        membrane_readout,
    )
}
