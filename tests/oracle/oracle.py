"""What a network means, in plain Python loops over Python integers: slow, and independent of the package.

It reads the graph document and its tensors (as nested lists) and knows nothing else. Tensors are flat lists, channel
first: position ``(c, i, j)`` of a ``(C, H, W)`` map stands at ``(c * H + i) * W + j``. Every operation but the neuron
is linear, and its synapses are written out one by one: the same list gives the sums and, for tests, the connectivity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

Flat = list[int]
Shape = tuple[int, ...]
Entry = Mapping[str, Any]
#: Nested lists of integers by ``node/field``.
Tensors = Mapping[str, Any]


class Synapse(NamedTuple):
    """One connection between two positions, over the given input port."""

    port: int
    source: int
    target: int
    weight: int


@dataclass(frozen=True)
class Wiring:
    """A linear operation: ``y[target] = bias[target] + sum of weight * s[source]``."""

    shape: Shape
    synapses: list[Synapse]
    bias: Flat


@dataclass(frozen=True)
class Neurons:
    """``v = u + i;  z = clip(floor(v / theta), 0, N);  u = v - z * theta``, with theta per position."""

    shape: Shape
    theta: Flat
    levels: int


@dataclass(frozen=True)
class LeakyNeurons:
    """The LIF neuron, with everything per position; see docs/semantics.md."""

    shape: Shape
    theta: Flat
    step_size: Flat
    decay: Flat
    drive: Flat
    levels: int
    reset: str
    delayed: bool
    floor: Sequence[int | None]
    fraction_bits: int
    toward_zero: bool

    def spikes(self, n: int, v: int) -> int:
        """Counted one threshold after the other."""
        return sum(1 for k in range(self.levels) if v >= self.theta[n] + k * self.step_size[n])

    def fire(self, n: int, before: int, current: int) -> tuple[int, int, int]:
        """(spikes, potential before the reset, potential that is kept)."""
        v = faded(before, self.decay[n], self.toward_zero) + current * 2**self.fraction_bits + self.drive[n]
        if self.delayed:
            v = self.after(n, v, self.spikes(n, before))
            return self.spikes(n, v), v, self.held(n, v)
        fired = self.spikes(n, v)
        return fired, v, self.held(n, self.after(n, v, fired))

    def held(self, n: int, u: int) -> int:
        lowest = self.floor[n]
        return u if lowest is None or u > lowest else lowest

    def after(self, n: int, v: int, fired: int) -> int:
        if not fired or self.reset == "none":
            return v
        return 0 if self.reset == "zero" else v - fired * self.step_size[n]


@dataclass(frozen=True)
class Integrators:
    """``y = leak(y) + s * 2**fraction_bits``."""

    shape: Shape
    decay: Flat
    fraction_bits: int
    toward_zero: bool


@dataclass(frozen=True)
class Maxima:
    """``y[target] = max of s over the sources of each target``; every target has one."""

    shape: Shape
    sources: list[Flat]


Machine = Wiring | Neurons | LeakyNeurons | Integrators | Maxima


@dataclass
class Trace:
    """What one sample did: by node and step, every output and every neuron's v (before the reset)."""

    shapes: dict[str, Shape] = field(default_factory=dict)
    outputs: dict[str, list[Flat]] = field(default_factory=dict)
    potentials: dict[str, list[Flat]] = field(default_factory=dict)
    logits: Flat = field(default_factory=list)


def evaluate(document: Entry, tensors: Tensors, sample: Sequence[Any]) -> Trace:
    """Run one sample: an image shown at every step, or a list of T frames (nested lists, channel first)."""
    machines = build(document, tensors)
    first, steps = document["nodes"][0], int(document["steps"])
    frames = _frames(sample, len(first["attributes"]["shape"]), steps)
    trace = Trace(shapes={name: machine.shape for name, machine in machines.items()})
    potentials = {name: [0] * math.prod(m.shape) for name, m in machines.items() if not isinstance(m, Wiring)}
    for frame in frames:
        values = {first["name"]: frame}
        for entry in document["nodes"][1:]:
            inputs = [values[name] for name in entry["inputs"]]
            values[entry["name"]] = _advance(machines[entry["name"]], inputs, entry["name"], potentials, trace)
        for name, value in values.items():
            trace.outputs.setdefault(name, []).append(value)
    trace.logits = [sum(column) for column in zip(*trace.outputs[document["nodes"][-1]["name"]], strict=True)]
    return trace


def build(document: Entry, tensors: Tensors) -> dict[str, Machine]:
    """Every node's wiring or neurons, by name."""
    machines: dict[str, Machine] = {}
    for entry in document["nodes"]:
        sources = [machines[name].shape for name in entry["inputs"]]
        prefix = entry["name"] + "/"
        own = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        machines[entry["name"]] = BUILDERS[entry["op"]]({**entry["attributes"], **own}, sources)
    return machines


def _frames(sample: Sequence[Any], rank: int, steps: int) -> list[Flat]:
    if _depth(sample) == rank:
        return [_flat(sample)] * steps
    if len(sample) != steps:
        raise ValueError(f"{len(sample)} frames for {steps} steps")
    return [_flat(frame) for frame in sample]


def _advance(machine: Machine, inputs: list[Flat], name: str, potentials: dict[str, Flat], trace: Trace) -> Flat:
    if isinstance(machine, Wiring):
        return weighted_sums(machine, inputs)
    if isinstance(machine, Maxima):
        return [max(inputs[0][n] for n in sources) for sources in machine.sources]
    before = potentials[name]
    if isinstance(machine, Integrators):
        kept = [faded(y, d, machine.toward_zero) for y, d in zip(before, machine.decay, strict=True)]
        potentials[name] = [k + s * 2**machine.fraction_bits for k, s in zip(kept, inputs[0], strict=True)]
        return potentials[name]
    if isinstance(machine, LeakyNeurons):
        fired = [machine.fire(n, u, i) for n, (u, i) in enumerate(zip(before, inputs[0], strict=True))]
        trace.potentials.setdefault(name, []).append([v for _, v, _ in fired])
        potentials[name] = [u for _, _, u in fired]
        return [z for z, _, _ in fired]
    risen = [u + i for u, i in zip(before, inputs[0], strict=True)]
    trace.potentials.setdefault(name, []).append(risen)
    spikes = [min(max(v // level, 0), machine.levels) for v, level in zip(risen, machine.theta, strict=True)]
    potentials[name] = [v - z * level for v, z, level in zip(risen, spikes, machine.theta, strict=True)]
    return spikes


def faded(value: int, decay: int, toward_zero: bool) -> int:
    left = Fraction(value * decay, 4096)
    return math.trunc(left) if toward_zero else math.floor(left)


def weighted_sums(wiring: Wiring, inputs: list[Flat]) -> Flat:
    sums = list(wiring.bias)
    for port, source, target, weight in wiring.synapses:
        sums[target] += weight * inputs[port][source]
    return sums


def _input(values: Entry, sources: list[Shape]) -> Wiring:
    shape = tuple(values["shape"])
    return Wiring(shape, [], [0] * math.prod(shape))


def _conv(values: Entry, sources: list[Shape]) -> Wiring:
    (source,) = sources
    weight, bias, groups = values["weight"], values.get("bias"), values["groups"]
    outputs, inputs, kernel = len(weight), len(weight[0]), (len(weight[0][0]), len(weight[0][0][0]))
    shape = (outputs, *_sizes(source, kernel, values["stride"], values["padding"], values["dilation"]))
    synapses = []
    for o, c in _pairs(outputs, inputs):
        # Output channel o belongs to group o // (O / groups), whose input channels stand side by side.
        channel = o // (outputs // groups) * inputs + c
        for (y, x), (ky, kx), (i, j) in _taps(source, shape, kernel, values):
            at, to = _position((channel, i, j), source), _position((o, y, x), shape)
            synapses.append(Synapse(0, at, to, weight[o][c][ky][kx]))
    return Wiring(shape, synapses, _spread(bias or [0] * outputs, shape))


def _linear(values: Entry, sources: list[Shape]) -> Wiring:
    weight = values["weight"]
    shape = (len(weight),)
    synapses = [Synapse(0, f, o, weight[o][f]) for o, f in _pairs(len(weight), len(weight[0]))]
    return Wiring(shape, synapses, list(values.get("bias") or [0] * len(weight)))


def _sum_pool(values: Entry, sources: list[Shape]) -> Wiring:
    (source,) = sources
    shape = (source[0], *_sizes(source, values["kernel"], values["stride"], values["padding"], (1, 1)))
    synapses = [
        Synapse(0, _position((c, i, j), source), _position((c, y, x), shape), 1)
        for c in range(source[0])
        for (y, x), _, (i, j) in _taps(source, shape, values["kernel"], {**values, "dilation": (1, 1)})
    ]
    return Wiring(shape, synapses, [0] * math.prod(shape))


def _upsample(values: Entry, sources: list[Shape]) -> Wiring:
    (source,) = sources
    rows, columns = values["factor"]
    shape = (source[0], source[1] * rows, source[2] * columns)
    synapses = [
        Synapse(0, _position((c, y // rows, x // columns), source), _position((c, y, x), shape), 1)
        for c in range(shape[0])
        for y, x in _pairs(shape[1], shape[2])
    ]
    return Wiring(shape, synapses, [0] * math.prod(shape))


def _one_to_one(values: Entry, sources: list[Shape]) -> Wiring:
    size = math.prod(sources[0])
    return Wiring(sources[0], [Synapse(port, n, n, 1) for port, n in _pairs(len(sources), size)], [0] * size)


def _flatten(values: Entry, sources: list[Shape]) -> Wiring:
    same = _one_to_one(values, sources)
    return Wiring((len(same.bias),), same.synapses, same.bias)


def _neurons(values: Entry, sources: list[Shape]) -> Neurons:
    return Neurons(sources[0], _spread(values["theta"], sources[0]), values["levels"])


def _leaky_neurons(values: Entry, sources: list[Shape]) -> LeakyNeurons:
    (shape,) = sources
    assert not values["strict"]
    theta, step_size, decay = (_spread(values[name], shape) for name in ("theta", "step_size", "decay"))
    drive = _spread(values.get("drive") or [0] * shape[0], shape)
    floor = _spread(values.get("floor") or [None] * shape[0], shape)
    return LeakyNeurons(
        shape,
        theta,
        step_size,
        decay,
        drive,
        values["levels"],
        values["reset"],
        values["delayed"],
        floor,
        values["fraction_bits"],
        values["toward_zero"],
    )


def _integrators(values: Entry, sources: list[Shape]) -> Integrators:
    decay = _spread(values["decay"], sources[0])
    return Integrators(sources[0], decay, values["fraction_bits"], values["toward_zero"])


def _max_pool(values: Entry, sources: list[Shape]) -> Maxima:
    wiring = _sum_pool(values, sources)
    members: list[Flat] = [[] for _ in wiring.bias]
    for synapse in wiring.synapses:
        members[synapse.target].append(synapse.source)
    return Maxima(wiring.shape, members)


def _concat(values: Entry, sources: list[Shape]) -> Wiring:
    shape = (sum(source[0] for source in sources), *sources[0][1:])
    synapses, offset = [], 0
    for port, source in enumerate(sources):
        synapses += [Synapse(port, n, offset + n, 1) for n in range(math.prod(source))]
        offset += math.prod(source)
    return Wiring(shape, synapses, [0] * offset)


BUILDERS: dict[str, Callable[[Entry, list[Shape]], Machine]] = {
    "Input": _input,
    "Conv2d": _conv,
    "Linear": _linear,
    "Add": _one_to_one,
    "Concat": _concat,
    "LIF": _leaky_neurons,
    "LeakyIntegrator": _integrators,
    "MaxPool2d": _max_pool,
    "MultiLevelIF": _neurons,
    "SumPool2d": _sum_pool,
    "Upsample2d": _upsample,
    "Flatten": _flatten,
    "Readout": _one_to_one,
}


def _taps(source: Shape, target: Shape, kernel: Sequence[int], values: Entry) -> list[tuple[Any, Any, Any]]:
    """(output place, tap, input place) for every tap that falls inside the map; the border is zero."""
    (down, across), (top, left), (apart, aside) = values["stride"], values["padding"], values["dilation"]
    found = []
    for y, x in _pairs(target[1], target[2]):
        for ky, kx in _pairs(kernel[0], kernel[1]):
            i, j = y * down + ky * apart - top, x * across + kx * aside - left
            if 0 <= i < source[1] and 0 <= j < source[2]:
                found.append(((y, x), (ky, kx), (i, j)))
    return found


def _sizes(
    source: Shape, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[int, int]:
    """How often the window fits, by sliding it along each axis."""
    lengths = []
    for axis in (0, 1):
        reach = dilation[axis] * (kernel[axis] - 1)
        last = source[1 + axis] + 2 * padding[axis] - 1
        lengths.append(len([start for start in range(0, last + 1, stride[axis]) if start + reach <= last]))
    return lengths[0], lengths[1]


def _position(place: tuple[int, int, int], shape: Shape) -> int:
    channel, row, column = place
    return (channel * shape[1] + row) * shape[2] + column


def _pairs(first: int, second: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(first) for b in range(second)]


def _spread(per_channel: Sequence[Any], shape: Shape) -> list[Any]:
    return [value for value in per_channel for _ in range(math.prod(shape[1:]))]


def _depth(nested: Any) -> int:
    return 1 + _depth(nested[0]) if isinstance(nested, (list, tuple)) else 0


def _flat(nested: Any) -> Flat:
    return [value for item in nested for value in _flat(item)] if isinstance(nested, (list, tuple)) else [nested]
