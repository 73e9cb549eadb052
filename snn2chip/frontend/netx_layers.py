"""How each layer of a netx file becomes operations on the integers that Loihi computes with.

A weight of 1 is 64 parts of a current or potential; decays round toward zero::

    u = toward_zero(u * (4096 - iDecay) / 4096) + 64 * sum of weights
    v = toward_zero(v * (4096 - vDecay) / 4096) + u + 64 * bias;     spike where v > 64 * vThMant;     then v = 0

Sources: lava-dl 0.6.0 (`netx.hdf5`, `slayer.block`, `slayer.neuron.cuba`) and lava-nc 0.10.0 (`PyLifModelBitAcc`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import h5py
import numpy as np

from snn2chip.frontend.builder import Builder
from snn2chip.frontend.hdf5_record import Record, as_text, check_features, shown
from snn2chip.graph import Array, check_size, frozen
from snn2chip.ops import LIF, Conv2d, Flatten, LeakyIntegrator, Linear

#: Fraction bits of Loihi's currents and potentials beside its weights (`act_shift` and `vth_shift` of lava-nc).
FRACTION_BITS = 6
DECAY_ONE = 4096
#: From this mantissa on a threshold is out of reach of 24 bits: the neuron's potential is read.
NO_THRESHOLD = 131071
_MOST_WEIGHT = 127


@dataclass(frozen=True)
class NetxLayer(Record):
    """One entry of ``/layer``."""

    index: int
    kind: str

    @property
    def name(self) -> str:
        """The node that yields what the layer yields."""
        return f"layer{self.index}"

    @property
    def label(self) -> str:
        return f"layer {self.index} ({shown(self.kind)[1:-1]})"

    @property
    def neuron(self) -> NetxNeuron | None:
        """How its neurons work; None where it has none."""
        found = self.group.get("neuron")
        if found is None:
            return None
        if not isinstance(found, h5py.Group):
            raise self.refusal("holds a dataset 'neuron' where a group belongs")
        kind = found.get("type")
        name = as_text(kind[()]) if isinstance(kind, h5py.Dataset) and kind.shape is not None else None
        return NetxNeuron(found, self.index, name or "of unknown type")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """GraphError where the layer does not yield as much as the file says."""
        stated = self.whole("shape").reshape(-1)
        if np.prod(stated) != np.prod(shape):
            raise self.refusal(f"says that it yields {stated[:4].astype(int).tolist()}, but it yields {list(shape)}")

    def bias(self, channels: int) -> Array | None:
        """``[C]`` int32 in parts; None where nothing is added. An input's bias is for who makes its currents."""
        if self.kind == "input" or self.value("bias") is None:
            return None
        bias = self.whole("bias").reshape(-1)
        if bias.size not in (1, channels) or (np.abs(bias) >= 2**16).any():
            raise self.refusal(f"needs 1 or {channels} numbers of 17 bits in its field 'bias'")
        return frozen(np.broadcast_to(bias, channels) * 2**FRACTION_BITS, np.int32) if bias.any() else None


@dataclass(frozen=True)
class NetxNeuron(Record):
    """The group ``neuron`` of a layer."""

    index: int
    kind: str

    @property
    def label(self) -> str:
        return f"layer {self.index} (neuron {shown(self.kind)[1:-1]})"

    def check(self) -> None:
        """GraphError for all but the current-based leaky integrate-and-fire neuron of Loihi."""
        if self.kind not in ("CUBA", "LOIHI"):
            raise self.refusal(f"is not supported: only CUBA and LOIHI are{_OTHER_NEURONS.get(self.kind, '')}")
        self.check_fields(_NEURON_FIELDS)
        for name, plain in _PLAIN.items():
            if self.value(name) is not None and (self.array(name) != plain).any():
                raise self.refusal(f"has {name} = {self.array(name).reshape(-1)[0]:g}, but only {plain} is supported")

    def decay(self, name: str, channels: int) -> Array:
        """``[C]`` int32: what a step leaves of a current (iDecay) or a potential (vDecay), in 4096 parts."""
        decay = self.whole(name).reshape(-1)
        if decay.size not in (1, channels) or (decay < 0).any() or (decay > DECAY_ONE).any():
            raise self.refusal(f"needs 1 or {channels} numbers in 0..{DECAY_ONE} in its field {name!r}")
        return frozen(np.broadcast_to(DECAY_ONE - decay, channels), np.int32)

    @property
    def threshold(self) -> int:
        """vThMant."""
        (threshold,) = self.integers("vThMant", 1)
        if threshold < 0:
            raise self.refusal(f"has vThMant = {threshold}: a threshold must not be negative")
        return threshold


#: What lava-dl writes as well, and reads in one way only.
_PLAIN = {"refDelay": 1, "gradedSpike": 0, "wgtExp": 0, "weight_exp": 0}
#: The last three serve training alone.
_NEURON_FIELDS = frozenset({"type", "vThMant", "iDecay", "vDecay", *_PLAIN, "theta", "tauRho", "scaleRho"})
_OTHER_NEURONS = {
    "SDNN": " (sigma-delta neurons send changes, not spikes)",
    "ALIF": " (its threshold adapts)",
}


#: A membrane has 24 bits with its sign, of which 6 are fractions.
LARGEST_MANTISSA = 2 ** (23 - FRACTION_BITS) - 1


@dataclass(frozen=True)
class Current:
    """A current: its node, and the fraction bits that bring its numbers to parts."""

    node: str
    bits: int


def fire(builder: Builder, layer: NetxLayer, current: Current) -> str:
    """The neurons of a layer; its bias adds to their potential."""
    neuron = layer.neuron
    if neuron is None:
        raise layer.refusal("has no neuron, which only the last layer may lack")
    neuron.check()
    channels = builder.shape(current.node)[0]
    current = _synaptic_current(builder, layer, neuron, current)
    if neuron.threshold >= LARGEST_MANTISSA:
        raise layer.refusal(f"has vThMant = {neuron.threshold}, but thresholds of 24 bits end below {LARGEST_MANTISSA}")
    theta = frozen(np.full(channels, neuron.threshold * 2**FRACTION_BITS + 1), np.int32)  # fires above it
    decay, drive = neuron.decay("vDecay", channels), layer.bias(channels)
    op = LIF(theta, theta, decay, drive, reset="zero", fraction_bits=current.bits, toward_zero=True)
    return builder.add(layer.name, op, (current.node,))


def potential(builder: Builder, layer: NetxLayer, current: Current) -> Current:
    """The last layer where it has no neuron, or none that can fire: its potential is the network's output.

    What does not leak is left to the readout, which adds up over the steps.
    """
    neuron = layer.neuron
    if neuron is None:
        if layer.bias(builder.shape(current.node)[0]) is not None:
            raise layer.refusal("has a bias but no neuron: give it one that accumulates (vDecay 0, vThMant 131071)")
        return current
    neuron.check()
    channels = builder.shape(current.node)[0]
    if (bias := layer.bias(channels)) is not None:
        _add_to_current(builder, layer, current, bias)
    current = _synaptic_current(builder, layer, neuron, current)
    decay = neuron.decay("vDecay", channels)
    return current if (decay == DECAY_ONE).all() else _integrate(builder, layer.name, decay, current)


def _add_to_current(builder: Builder, layer: NetxLayer, current: Current, bias: Array) -> None:
    """A bias ``[C]`` (in parts) of potentials that are read, as the synapses' own: it enters at every step alike."""
    unit = 2**current.bits
    lasting = layer.neuron is not None and layer.neuron.decay("iDecay", len(bias)).any()
    if lasting or (bias % unit).any():
        raise layer.refusal("has a bias that its currents cannot carry, and its neuron never fires: remove the bias")
    op = builder.op(current.node)
    assert isinstance(op, (Conv2d, Linear))
    with_bias = replace(op, bias=frozen(bias // unit, np.int32))
    builder.replace(current.node, with_bias, builder.sources(current.node))


def _synaptic_current(builder: Builder, layer: NetxLayer, neuron: NetxNeuron, current: Current) -> Current:
    decay = neuron.decay("iDecay", builder.shape(current.node)[0])
    return _integrate(builder, f"{layer.name}.current", decay, current) if decay.any() else current


def _integrate(builder: Builder, name: str, decay: Array, current: Current) -> Current:
    op = LeakyIntegrator(decay, fraction_bits=current.bits, toward_zero=True)
    return Current(builder.add(name, op, (current.node,)), 0)


def dense(builder: Builder, layer: NetxLayer, source: str) -> Current:
    """``dense``: a matrix."""
    shape = builder.shape(source)
    if len(shape) != 1:
        raise layer.refusal(f"reads a map of shape {shape}: put a flatten layer before it")
    (outputs,) = layer.integers("outFeatures", 1)
    weight, bits = _weights(layer)
    if outputs < 1 or weight.size != outputs * shape[0]:
        raise layer.refusal(f"has {weight.size} weights for {shape[0]} inputs and {outputs} outputs")
    op = Linear(frozen(weight.reshape(outputs, -1)))
    return Current(builder.add(f"{layer.name}.synapses", op, (source,)), bits)


def conv(builder: Builder, layer: NetxLayer, source: str) -> Current:
    """``conv``: correlation, as in PyTorch; a trailing axis of 1 is time."""
    (groups,) = layer.integers("groups", 1)
    kernel, bits = _kernel(layer)
    op = Conv2d(kernel, None, *_window(layer), groups)
    return Current(builder.add(f"{layer.name}.synapses", op, (source,)), bits)


def pool(builder: Builder, layer: NetxLayer, source: str) -> Current:
    """``pool``: the same weights for every channel, each by itself."""
    kernel, bits = _kernel(layer)
    if kernel.shape[:2] != (1, 1):
        raise layer.refusal(f"has weights of shape {kernel.shape}: one kernel for all channels is needed")
    channels = builder.shape(source)[0]
    check_size((channels, *kernel.shape[2:]))
    op = Conv2d(frozen(np.repeat(kernel, channels, axis=0)), None, *_window(layer), channels)
    return Current(builder.add(f"{layer.name}.synapses", op, (source,)), bits)


def flatten(builder: Builder, layer: NetxLayer, source: str) -> str:
    """``flatten``: channels first, as in PyTorch."""
    shape = builder.shape(source)
    check_features(math.prod(shape))
    layer.check_shape(shape)
    return source if len(shape) == 1 else builder.add(layer.name, Flatten(), (source,))


def average(builder: Builder, layer: NetxLayer, source: str) -> str:
    """``average``, over equal groups of neurons, one a class: their sum, which only differs by a factor."""
    shape = builder.shape(source)
    outputs, inputs = int(layer.whole("shape").reshape(-1)[0]), math.prod(shape)
    if outputs < 1 or inputs % outputs or len(shape) != 1:
        raise layer.refusal(f"averages {shape} neurons into {outputs}: equal flat groups are needed")
    check_features(outputs * inputs)
    groups = np.repeat(np.eye(outputs), inputs // outputs, axis=1)
    return builder.add(layer.name, Linear(frozen(groups, np.int8)), (source,))


def _kernel(layer: NetxLayer) -> tuple[Array, int]:
    weight, bits = _weights(layer)
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4:
        raise layer.refusal(f"has weights of shape {weight.shape}: [outputs, inputs, height, width] is needed")
    return frozen(weight), bits


def _weights(layer: NetxLayer) -> tuple[Array, int]:
    """(int8 weights, their fraction bits). Loihi's signed weights are even beyond 127: 8 bits hold their halves."""
    if isinstance(layer.group.get("weight"), h5py.Group):
        raise layer.refusal("has complex weights, which are not supported")
    weight = layer.whole("weight")
    largest = np.abs(weight).max(initial=0)
    if largest <= _MOST_WEIGHT:
        return frozen(weight, np.int8), FRACTION_BITS
    if largest > 2 * _MOST_WEIGHT or (weight % 2).any():
        raise layer.refusal(
            f"has weights in {weight.min():g}..{weight.max():g}: 8 bits hold -127..127, or even ones in -254..254"
        )
    return frozen(weight / 2, np.int8), FRACTION_BITS + 1


def _window(layer: NetxLayer) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    return layer.pair("stride"), layer.pair("padding"), layer.pair("dilation")


_PLAIN_LAYER = frozenset({"type", "shape"})
_SYNAPSES = _PLAIN_LAYER | {"weight", "bias", "delay", "neuron"}
_WINDOW = frozenset({"kernelSize", "stride", "padding", "dilation"})

#: For every layer with synapses: its fields, and what makes them.
SYNAPSES: dict[str, tuple[frozenset[str], Callable[[Builder, NetxLayer, str], Current]]] = {
    "dense": (_SYNAPSES | {"inFeatures", "outFeatures"}, dense),
    "conv": (_SYNAPSES | _WINDOW | {"inChannels", "outChannels", "groups"}, conv),
    "pool": (_SYNAPSES | _WINDOW, pool),
}
#: Layers that only rearrange.
PLAIN: dict[str, tuple[frozenset[str], Callable[[Builder, NetxLayer, str], str]]] = {
    "flatten": (_PLAIN_LAYER, flatten),
    "average": (_PLAIN_LAYER, average),
}
