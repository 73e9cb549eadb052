"""What a layer can do, and how often it did: levels, saturation, resets, borders, measured while a network runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np

from snn2chip import kernels
from snn2chip.certify.certificate import Coverage, ProbeCoverage
from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import LIF, Conv2d, MaxPool2d, SpikingNeuron, SumPool2d

#: So many silent channels of a layer are listed by number.
LISTED_CHANNELS = 32
SIDES = ("padding above", "padding below", "padding on the left", "padding on the right")


class Probe(Protocol):
    """Watches one node. Situations have fixed columns, `names`; `reachable` is False where a proof excludes one."""

    node: Node
    names: tuple[str, ...]
    reachable: Array

    def measure(self, source: Array, step: int) -> tuple[Array, Array]:
        """`source` ``[B, ...]`` is what the node reads. Returns ``[B, situations]``: how often each occurred (int64),
        and how near the step came to it (float64, larger is nearer)."""

    def summary(self, counts: Array) -> ProbeCoverage:
        """`counts` ``[situations]`` in words."""


class NeuronProbe:
    """A neuron layer: levels, saturation, negative potential, what is carried from step to step, channels."""

    def __init__(self, graph: Graph, node: Node) -> None:
        op = node.op
        assert isinstance(op, SpikingNeuron)
        self.node, self.op, self.steps = node, op, graph.steps
        self.signal = graph.signals[node.inputs[0]]
        self.step_size = op.step_size if isinstance(op, LIF) else op.theta
        self.floor = op.floor if isinstance(op, LIF) else None
        self.state: Array | None = None
        self.potential = self.held = None
        if isinstance(op, LIF):  # the same neuron without its reset leaves the potential itself as its state
            self.potential = replace(op, reset=op.reset if op.delayed else "none", floor=None)
            self.held = None if op.floor is None else replace(op, floor=None)
        conditions = self._reachable_conditions()
        self.names: tuple[str, ...] = (
            *(f"level {level}" for level in range(op.levels + 1)),
            *conditions,
            *(f"channel {channel}" for channel in range(op.channels)),
        )
        self.reachable = np.concatenate([self._reachable_levels(), list(conditions.values()), self._highest() > 0])

    def _highest(self) -> Array:
        return self.op.count(self.op.membrane(self.signal.interval, self.steps).high)

    def _reachable_levels(self) -> Array:
        membrane = self.op.membrane(self.signal.interval, self.steps)
        lowest, highest = self.op.count(membrane.low), self.op.count(membrane.high)
        levels = np.arange(self.op.levels + 1)[:, None]
        within: Array = np.any((levels >= lowest) & (levels <= highest), axis=1)
        return within

    def _reachable_conditions(self) -> dict[str, bool]:
        membrane = self.op.membrane(self.signal.interval, self.steps)
        spikes = bool((self._highest() > 0).any())
        found = {
            "more than N levels": bool((membrane.high >= self._beyond()).any()),
            "potential below zero": bool((membrane.low < 0).any()),
        }
        if self.steps > 1:
            first = self.op.count(self.op.membrane(self.signal.interval, 1).high)
            moves = bool((membrane.high != 0).any() or (membrane.low != 0).any())
            found |= {"spike in the first step": bool((first > 0).any()), "spike in the last step": spikes}
            found |= {"reset carried over": spikes, "potential carried over": moves}
        if self.floor is not None:
            lowest = np.minimum(membrane.low, np.minimum(self.op.theta - self.step_size, 0))
            found["held at the floor"] = bool((lowest < self.floor).any())
        return found

    def _beyond(self) -> Array:
        """``[C]`` int64: the potential at which one more level would have been emitted than there is."""
        return self.op.theta.astype(np.int64) + self.op.levels * self.step_size.astype(np.int64)

    def measure(self, source: Array, step: int) -> tuple[Array, Array]:
        """See `Probe.measure`."""
        current = source.astype(np.int32, copy=False)
        before = self.op.initial_state(self.signal, len(current)) if step == 0 else self.state
        assert before is not None
        spikes, left = (self.held or self.op).step((current,), before)
        assert left is not None
        self.state = after = self._held(left)
        v = self._potential(current, before)
        conditions = self._conditions(v, spikes, after, step)
        if self.floor is not None:
            conditions["held at the floor"] = _per_sample(after != left)
        fired = _per_channel(spikes > 0)
        counts = [
            _histogram(spikes, self.op.levels),
            np.stack([conditions[n] for n in self._condition_names], 1),
            fired,
        ]
        return np.concatenate(counts, axis=1), self._nearness(v)

    @property
    def _condition_names(self) -> tuple[str, ...]:
        return self.names[self.op.levels + 1 : len(self.names) - self.op.channels]

    def _potential(self, current: Array, before: Array) -> Array:
        if self.potential is None:
            return before + current
        _, v = self.potential.step((current,), before)
        assert v is not None
        return v

    def _held(self, left: Array) -> Array:
        return left if self.floor is None else np.maximum(left, kernels.per_channel(self.floor, left.ndim))

    def _conditions(self, v: Array, spikes: Array, after: Array, step: int) -> dict[str, Array]:
        beyond = kernels.per_channel(self._beyond(), v.ndim)
        found = {"more than N levels": _per_sample(v >= beyond), "potential below zero": _per_sample(v < 0)}
        carried = step < self.steps - 1
        found["spike in the first step"] = _per_sample(spikes > 0) * (step == 0)
        found["spike in the last step"] = _per_sample(spikes > 0) * (not carried)
        found["reset carried over"] = _per_sample(spikes > 0) * carried
        found["potential carried over"] = _per_sample(after != 0) * carried
        return found

    def _nearness(self, v: Array) -> Array:
        """``[B, situations]``: minus the distance in steps; 0 where a situation was reached or nothing is known."""
        flat = v.reshape(*v.shape[:2], -1)
        theta, step = self.op.theta.astype(np.float64), self.step_size.astype(np.float64)
        peak = (flat.max(axis=2) - theta) / step + 1  # the levels that each channel came to, before any limit
        dip = ((flat.min(axis=2) - theta) / step + 1).min(axis=1)[:, None]
        level = np.arange(self.op.levels + 1)
        levels = -np.maximum(0, np.maximum(level - peak.max(axis=1)[:, None], dip - (level + 1)))
        near = {
            "more than N levels": -np.maximum(0, self.op.levels + 1 - peak.max(axis=1)),
            "potential below zero": -np.maximum(0, (flat / step[:, None]).min(axis=(1, 2))),
        }
        conditions = np.stack([near.get(name, np.zeros(len(v))) for name in self._condition_names], axis=1)
        return np.concatenate([levels, conditions, np.minimum(0, peak - 1)], axis=1)

    def summary(self, counts: Array) -> ProbeCoverage:
        """See `Probe.summary`."""
        named = len(self.names) - self.op.channels
        spiked, can_spike = counts[named:] > 0, self.reachable[named:]
        silent = np.flatnonzero(~spiked & can_spike)
        return replace(
            _summary(self.node.name, self.names[:named], counts[:named], self.reachable[:named]),
            channels=self.op.channels,
            silent=len(silent),
            silent_channels=tuple(int(channel) for channel in silent[:LISTED_CHANNELS]),
            unreachable_channels=int(np.count_nonzero(~can_spike)),
        )


class BorderProbe:
    """An operation that pads its map: values that are not zero in windows that reach over each side."""

    def __init__(self, graph: Graph, node: Node) -> None:
        op = node.op
        assert isinstance(op, (Conv2d, SumPool2d, MaxPool2d))
        self.node = node
        source = graph.signals[node.inputs[0]]
        dilation = op.dilation if isinstance(op, Conv2d) else (1, 1)
        sizes = zip(source.shape[1:], graph.signals[node.name].shape[1:], strict=True)
        windows = zip(op.kernel, op.stride, op.padding, dilation, strict=True)
        rows, columns = (_border(*size, *window) for size, window in zip(sizes, windows, strict=True))
        self.parts = [np.ix_(side, columns.read) for side in (rows.before, rows.after)]
        self.parts += [np.ix_(rows.read, side) for side in (columns.before, columns.after)]
        self.names: tuple[str, ...] = SIDES
        flows = source.interval.max > 0 or source.interval.min < 0
        self.reachable = np.array([flows and down.size > 0 and across.size > 0 for down, across in self.parts])

    def measure(self, source: Array, step: int) -> tuple[Array, Array]:
        """See `Probe.measure`."""
        counts = np.stack([_per_sample(source[:, :, down, across] != 0) for down, across in self.parts], axis=1)
        return counts, np.zeros(counts.shape)

    def summary(self, counts: Array) -> ProbeCoverage:
        """See `Probe.summary`."""
        return _summary(self.node.name, self.names, counts, self.reachable)


class _Axis(NamedTuple):
    """Positions of one axis, ascending: those that windows read at all, and with padding before the map or after it."""

    read: Array
    before: Array
    after: Array


def _border(size: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> _Axis:
    """Which positions the taps of each window hit; with a stride or dilation they may leave some out."""
    taps = np.arange(outputs)[:, None] * stride - padding + dilation * np.arange(kernel)
    windows = taps, taps[taps[:, 0] < 0], taps[taps[:, -1] >= size]
    return _Axis(*(np.unique(hit[(hit >= 0) & (hit < size)]) for hit in windows))


def _summary(layer: str, names: tuple[str, ...], counts: Array, reachable: Array) -> ProbeCoverage:
    entries = list(zip(names, counts, reachable, strict=True))
    return ProbeCoverage(
        layer,
        {name: int(count) for name, count, _ in entries if count},
        tuple(name for name, count, possible in entries if possible and not count),
        tuple(name for name, count, possible in entries if not possible and not count),
    )


def _per_sample(occurs: Array) -> Array:
    count: Array = np.count_nonzero(occurs.reshape(len(occurs), -1), axis=1)
    return count


def _per_channel(occurs: Array) -> Array:
    count: Array = np.count_nonzero(occurs.reshape(*occurs.shape[:2], -1), axis=2)
    return count


def _histogram(spikes: Array, levels: int) -> Array:
    """``[B, levels + 1]``: how often each level occurred in each sample."""
    batch = len(spikes)
    places = spikes.reshape(batch, -1) + np.arange(batch)[:, None] * (levels + 1)
    return np.bincount(places.ravel(), minlength=batch * (levels + 1)).reshape(batch, levels + 1)


def probes(graph: Graph) -> list[Probe]:
    """A probe for each neuron layer and for each operation that pads."""
    found: list[Probe] = []
    for node in graph.nodes:
        if isinstance(node.op, SpikingNeuron):
            found.append(NeuronProbe(graph, node))
        elif isinstance(node.op, (Conv2d, SumPool2d, MaxPool2d)) and max(node.op.padding) > 0:
            found.append(BorderProbe(graph, node))
    return found


@dataclass
class CoverageObserver:
    """An observer of the interpreter that measures every probe, input by input."""

    graph: Graph
    probes: list[Probe] = field(init=False)
    _counts: dict[int, list[Array]] = field(default_factory=dict)
    _nearness: dict[int, list[Array]] = field(default_factory=dict)
    _kept: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.probes = probes(self.graph)
        self._by_node = {probe.node.name: place for place, probe in enumerate(self.probes)}
        self._last_reader = {probe.node.inputs[0]: probe.node.name for probe in self.probes}

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        """See `snn2chip.interpreter.Observer.observe`."""
        if node.name in self._last_reader:
            self._kept[node.name] = tensor.copy()
        if (place := self._by_node.get(node.name)) is None:
            return
        (source,) = node.inputs
        counts, nearness = self.probes[place].measure(self._kept[source], step)
        if self._last_reader[source] == node.name:
            del self._kept[source]
        if step == 0:
            self._counts.setdefault(first_sample, []).append(counts)
            self._nearness.setdefault(first_sample, []).append(nearness)
        else:
            self._counts[first_sample][place] += counts
            np.maximum(self._nearness[first_sample][place], nearness, out=self._nearness[first_sample][place])

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """(layer, situation) of every column."""
        return tuple((probe.node.name, name) for probe in self.probes for name in probe.names)

    @property
    def reachable(self) -> Array:
        """bool ``[situations]``."""
        return np.concatenate([probe.reachable for probe in self.probes]) if self.probes else np.zeros(0, bool)

    @property
    def counts(self) -> Array:
        """int64 ``[B, situations]``: how often each situation occurred in each input."""
        return self._assembled(self._counts)

    @property
    def nearness(self) -> Array:
        """float64 ``[B, situations]``: how near each input came."""
        return self._assembled(self._nearness)

    @staticmethod
    def _assembled(pieces: Mapping[int, list[Array]]) -> Array:
        rows = [np.concatenate(pieces[first], axis=1) for first in sorted(pieces)]
        return np.concatenate(rows) if rows else np.zeros((0, 0), np.int64)


def coverage(measured: list[Probe], counts: Array) -> Coverage:
    """`counts` ``[situations]``, summed over all inputs, layer by layer."""
    reachable = np.concatenate([probe.reachable for probe in measured]) if measured else np.zeros(0, bool)
    layers, first = [], 0
    for probe in measured:
        layers.append(probe.summary(counts[first : first + len(probe.names)]))
        first += len(probe.names)
    seen = int(np.count_nonzero(counts.astype(bool) & reachable))
    return Coverage(int(np.count_nonzero(reachable)), seen, tuple(layers))
