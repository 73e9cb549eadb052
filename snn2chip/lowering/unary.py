"""Unary lowering: every multi-level neuron as N binary ones, for chips whose spikes carry no value.

At T = 1 the neuron has no past, and ``clip(floor(v / theta), 0, N)`` is the number of k in 1..N with
``v >= k * theta``: N binary neurons with thresholds theta, 2 theta, .. N theta. Each is sent through a copy of the
same weight, so that the sum over the copies is the graded product. Sums and pools of spikes, which would make values
above 1, are taken into the synapses behind them. The input becomes one binary channel per grey level, a thermometer.

A `LIF` of one level stays what it is. The largest of N-level counts in a window is, level by level, whether any of them
has reached the level. Concatenations are taken apart first.

With several steps the reset couples the levels, so that N > 1 is refused; N = 1 needs only the input expanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Kind, Node, Shape, frozen, parameters
from snn2chip.kernels import DECAY_ONE
from snn2chip.lowering.concat import split_concats
from snn2chip.lowering.max_pool import neurons_before_maxima
from snn2chip.ops import (
    LIF,
    Add,
    Conv2d,
    Flatten,
    Input,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    SpikingNeuron,
    SumPool2d,
    Upsample2d,
)
from snn2chip.ops.base import BaseOp
from snn2chip.spec import WEIGHT_LIMIT


@dataclass(frozen=True)
class UnaryLowering:
    """A binary network with the same logits at every step.

    Attributes:
        graph: every spike in it is 0 or 1. Neurons keep their names; channel c becomes channels c*N .. c*N + N - 1.
        planes: for the input and every neuron, how many binary channels stand for one.
        input_shape: shape of the original input.
    """

    graph: Graph
    planes: Mapping[str, int]
    input_shape: Shape

    def encode(self, inputs: Array) -> Array:
        """uint8 ``[B, *shape]`` or ``[B, T, *shape]`` to its thermometer code, largest times as many channels."""
        axis = inputs.ndim - len(self.input_shape)
        levels = np.arange(1, self.planes[self.graph.input.name] + 1)
        code = np.expand_dims(inputs, axis + 1) >= levels.reshape(-1, *[1] * (len(self.input_shape) - 1))
        return code.astype(np.uint8).reshape(inputs.shape[:axis] + self.graph.signals[self.graph.input.name].shape)


def to_unary(graph: Graph) -> UnaryLowering:
    """The unary lowering of an integer graph. Raises GraphError, naming the node, where there is none."""
    graph = split_concats(neurons_before_maxima(graph))
    lowering = _Lowering(graph)
    for node in graph.nodes:
        lowering.lower(node)
    planes = {node.name: lowering.spikes[node.name][0].planes for node in graph.of_kind(Input, SpikingNeuron)}
    return UnaryLowering(Graph(tuple(lowering.nodes), graph.steps), planes, graph.signals[graph.input.name].shape)


@dataclass(frozen=True)
class _Term:
    """One binary node, and what stands between it and the spike tensor it is a part of.

    Attributes:
        node: name in the lowered graph.
        shape: shape of the original node (channels not yet multiplied).
        planes: binary channels per original channel.
        pools: pools still to be taken into the synapses behind, each with the (H, W) that it reads.
    """

    node: str
    shape: Shape
    planes: int
    pools: tuple[tuple[SumPool2d, tuple[int, int]], ...] = ()


@dataclass(frozen=True)
class _Kernel:
    """A convolution's weights ``[O, C/groups, Kh, Kw]`` and geometry while pools are folded into them."""

    weight: Array
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass
class _Lowering:
    graph: Graph
    nodes: list[Node] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    #: The binary nodes whose sum (through their pools) is each spike tensor of the original graph.
    spikes: dict[str, list[_Term]] = field(default_factory=dict)

    def add(self, name: str, op: BaseOp, *inputs: str) -> str:
        unique, copy = name, 1
        while unique in self.names or (unique != name and unique in self.graph):
            unique, copy = f"{name}.{copy}", copy + 1
        self.names.add(unique)
        self.nodes.append(Node(unique, op, inputs))
        return unique

    def lower(self, node: Node) -> None:
        op, signal = node.op, self.graph.signals[node.name]
        if isinstance(op, Readout):
            self.add(node.name, op, self.join(node.name, self.currents(node.inputs[0], 1)))
        elif isinstance(op, Input):
            channels = (op.shape[0] * op.largest, *op.shape[1:])
            self.spikes[node.name] = [_Term(self.add(node.name, Input(channels, 1)), op.shape, op.largest)]
        elif isinstance(op, SpikingNeuron):
            self.spikes[node.name] = [self.neuron(node, op)]
        elif isinstance(op, MaxPool2d) and signal.kind is Kind.SPIKE:
            self.spikes[node.name] = [self.maximum(node, op)]
        elif signal.kind is Kind.SPIKE:
            self.spikes[node.name] = self.spike_terms(node)

    def neuron(self, node: Node, op: SpikingNeuron) -> _Term:
        signal = self.graph.signals[node.name]
        planes = max(1, min(op.levels, signal.interval.max))
        if planes > 1 and self.graph.steps > 1:
            raise GraphError(
                f"node {node.name!r} has N={op.levels} levels over T={self.graph.steps} steps, but binary neurons can "
                "stand for it at T=1 only, because the reset couples the levels"
            )
        current = self.join(node.name, self.currents(node.inputs[0], planes))
        return _Term(self.add(node.name, _binary(op, planes), current), signal.shape, planes)

    def maximum(self, node: Node, op: MaxPool2d) -> _Term:
        """Per level, a neuron that fires where any event of the window arrives, and keeps nothing."""
        terms = self.spikes[node.inputs[0]]
        if len(terms) != 1 or terms[0].pools:
            raise GraphError(
                f"node {node.name!r} (MaxPool2d) reads a sum of spikes, whose levels binary spikes do not say"
            )
        term, shape = terms[0], self.graph.signals[node.name].shape
        channels = shape[0] * term.planes
        ones = frozen(np.ones((channels, 1, *op.kernel)), np.int8)
        window = Conv2d(ones, stride=op.stride, padding=op.padding, groups=channels)
        theta, decay = frozen(np.ones(channels), np.int32), frozen(np.full(channels, DECAY_ONE), np.int32)
        arrived = self.add(f"{node.name}.window", window, term.node)
        return _Term(self.add(node.name, LIF(theta, theta, decay, reset="zero"), arrived), shape, term.planes)

    def join(self, name: str, currents: list[str]) -> str:
        return currents[0] if len(currents) == 1 else self.add(f"{name}.sum", Add(), *currents)

    def spike_terms(self, node: Node) -> list[_Term]:
        terms = [term for name in node.inputs for term in self.spikes[name]]
        op = node.op
        if isinstance(op, (Add, Flatten)):
            return terms
        height, width = self.graph.signals[node.inputs[0]].shape[1:]
        if isinstance(op, SumPool2d):
            return [replace(term, pools=(*term.pools, (op, (height, width)))) for term in terms]
        if isinstance(op, Upsample2d) and not any(term.pools for term in terms):
            shape = self.graph.signals[node.name].shape
            return [replace(term, node=self.add(node.name, op, term.node), shape=shape) for term in terms]
        raise GraphError(f"node {node.name!r} ({node.kind}) cannot be made of binary spikes behind a pool")

    def currents(self, name: str, copies: int) -> list[str]:
        """Lowered nodes whose sum is the current `name`, each channel repeated `copies` times."""
        node = self.graph[name]
        if self.graph.signals[name].kind is Kind.SPIKE:
            return [self.passed_on(name, term, copies) for term in self.spikes[name]]
        if isinstance(node.op, Add):
            return [current for source in node.inputs for current in self.currents(source, copies)]
        if isinstance(node.op, (Conv2d, Linear)):
            return self.weighted(node, node.op, copies)
        if isinstance(node.op, LeakyIntegrator):
            fading = replace(node.op, decay=frozen(np.repeat(node.op.decay, copies)))
            return [self.add(name, fading, self.join(name, self.currents(node.inputs[0], copies)))]
        raise GraphError(f"node {name!r} ({node.kind}) reads currents, which binary spikes cannot carry: put it behind")

    def weighted(self, node: Node, op: Conv2d | Linear, copies: int) -> list[str]:
        found = []
        for index, term in enumerate(self.spikes[node.inputs[0]]):
            bias = None if op.bias is None or index else frozen(np.repeat(op.bias, copies))
            lowered: Conv2d | Linear
            if isinstance(op, Conv2d):
                lowered, source = self.conv(node.name, op, term, copies)
            else:
                lowered, source = self.linear(node.name, op.weight, term, copies)
            found.append(self.add(node.name, replace(lowered, bias=bias), source))
        return found

    def passed_on(self, name: str, term: _Term, copies: int) -> str:
        """Spikes that a neuron reads directly: synapses of weight 1."""
        shape = self.graph.signals[name].shape
        lowered: Conv2d | Linear
        if len(shape) == 1:
            lowered, source = self.linear(name, np.eye(shape[0], dtype=np.int8), term, copies)
        else:
            ones = frozen(np.ones((shape[0], 1, 1, 1)), np.int8)
            lowered, source = self.conv(name, Conv2d(ones, groups=shape[0]), term, copies)
        return self.add(f"{name}.synapses", lowered, source)

    def conv(self, name: str, op: Conv2d, term: _Term, copies: int) -> tuple[Conv2d, str]:
        kernel = _through_pools(name, _Kernel(op.weight, op.stride, op.padding, op.dilation), term)
        weight = _repeated(name, kernel.weight, term.planes, copies)
        return Conv2d(weight, None, kernel.stride, kernel.padding, kernel.dilation, op.groups), term.node

    def linear(self, name: str, weight: Array, term: _Term, copies: int) -> tuple[Linear, str]:
        source = term.node
        if len(term.shape) > 1:
            weight = _over_map(name, weight, term)
            source = self.add(f"{name}.flat", Flatten(), term.node)
        weight = _repeated(name, weight.reshape(len(weight), term.shape[0], -1), term.planes, copies)
        return Linear(frozen(weight.reshape(len(weight), -1))), source


def _binary(op: SpikingNeuron, planes: int) -> SpikingNeuron:
    """One binary neuron for each level: channel c becomes channels ``c * planes .. c * planes + planes - 1``."""
    level = np.tile(np.arange(planes), op.channels)
    if not isinstance(op, LIF):
        return MultiLevelIF(frozen(np.repeat(op.theta, planes) * (level + 1), np.int32), 1)
    repeated: dict[str, Any] = {name: frozen(np.repeat(array, planes)) for name, array in parameters(op).items()}
    repeated["theta"] = frozen(repeated["theta"] + level * repeated["step_size"], np.int32)
    return replace(op, **repeated, levels=1)


def _repeated(name: str, weight: Array, planes: int, copies: int) -> Array:
    """``[O, C, ...]`` to int8 ``[O * copies, C * planes, ...]``."""
    if int(np.abs(weight.astype(np.int64)).max(initial=0)) > WEIGHT_LIMIT:
        raise GraphError(f"node {name!r} reads overlapping pools, whose summed weights exceed 8 bits as binary spikes")
    return frozen(weight.repeat(copies, axis=0).repeat(planes, axis=1), np.int8)


def _over_map(name: str, weight: Array, term: _Term) -> Array:
    """Weights ``[O, F]`` over the flattened, pooled map as ``[O, C, H, W]`` over the map itself."""
    channels, height, width = term.shape
    pooled = (height, width)
    for pool, size in term.pools:
        pooled = _pooled(pool, size)
    kernel = _through_pools(name, _Kernel(weight.reshape(len(weight), channels, *pooled)), term)
    (top, left), (tall, wide) = kernel.padding, kernel.weight.shape[2:]
    whole = np.zeros((len(weight), channels, max(tall, top + height), max(left + width, wide)), dtype=np.int64)
    whole[:, :, :tall, :wide] = kernel.weight
    return whole[:, :, top : top + height, left : left + width]


def _pooled(pool: SumPool2d, size: tuple[int, int]) -> tuple[int, int]:
    height, width = (
        (size[axis] + 2 * pool.padding[axis] - pool.kernel[axis]) // pool.stride[axis] + 1 for axis in (0, 1)
    )
    return height, width


def _through_pools(name: str, kernel: _Kernel, term: _Term) -> _Kernel:
    """The kernel that does on the binary node what `kernel` does behind the pools, the last pool first."""
    for pool, size in reversed(term.pools):
        if not all(_is_exact(kernel.padding[axis], pool, size[axis], axis) for axis in (0, 1)):
            raise GraphError(
                f"node {name!r} pads a pooled map, which synapses on the spikes before the pool cannot reproduce: "
                "use a pool whose windows tile the map"
            )
        kernel = _through_pool(kernel, pool)
    return kernel


def _is_exact(padding: int, pool: SumPool2d, size: int, axis: int) -> bool:
    """Whether windows beyond the pooled map's border see nothing but zeros, so that padding can be moved before it."""
    window, stride = pool.kernel[axis], pool.stride[axis]
    outputs = (size + 2 * pool.padding[axis] - window) // stride + 1
    return padding == 0 or (pool.padding[axis] == 0 and window <= stride and size <= stride * outputs)


def _through_pool(kernel: _Kernel, pool: SumPool2d) -> _Kernel:
    outputs, inputs, tall, wide = kernel.weight.shape
    step = (kernel.dilation[0] * pool.stride[0], kernel.dilation[1] * pool.stride[1])
    size = ((tall - 1) * step[0] + pool.kernel[0], (wide - 1) * step[1] + pool.kernel[1])
    weight = np.zeros((outputs, inputs, *size), dtype=np.int64)
    for y, x in np.ndindex(*pool.kernel):
        weight[:, :, y : y + tall * step[0] : step[0], x : x + wide * step[1] : step[1]] += kernel.weight
    return _Kernel(
        weight,
        (kernel.stride[0] * pool.stride[0], kernel.stride[1] * pool.stride[1]),
        (
            kernel.padding[0] * pool.stride[0] + pool.padding[0],
            kernel.padding[1] * pool.stride[1] + pool.padding[1],
        ),
    )
