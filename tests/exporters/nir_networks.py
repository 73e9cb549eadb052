"""Handwritten networks for the tests of the NIR form: a small language for chains, and the networks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from snn2chip import interpreter, spec
from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d, Upsample2d


class Net:
    """Appends nodes; every method returns the new node's name. Numbers are drawn with a fixed seed."""

    def __init__(self, *shape: int, largest: int = 16, levels: int = 4, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.levels = levels
        self.nodes = [Node("x", Input(shape, largest))]

    def put(self, op: Op, *sources: str, name: str = "") -> str:
        name = name or f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, op, sources))
        return name

    def weights(self, *shape: int) -> tuple[Array, Array]:
        weight = frozen(self.rng.integers(-127, 128, shape), np.int8)
        return weight, frozen(self.rng.integers(-300, 301, shape[0]), np.int32)

    def conv(self, source: str, *shape: int, **geometry: Any) -> str:
        return self.put(Conv2d(*self.weights(*shape), **geometry), source)

    def same(self, source: str, channels: int = 4) -> str:
        """A 3x3 convolution that keeps the map's size."""
        return self.conv(source, channels, channels, 3, 3, padding=(1, 1))

    def linear(self, source: str, outputs: int, inputs: int) -> str:
        return self.put(Linear(*self.weights(outputs, inputs)), source)

    def neuron(self, source: str, channels: int = 4, theta: int | None = None, levels: int | None = None) -> str:
        """A layer with one threshold for all channels, or one of its own for each (around 400)."""
        thetas = self.rng.integers(1, 800, channels) if theta is None else np.full(channels, theta)
        return self.put(MultiLevelIF(frozen(thetas, np.int32), levels or self.levels), source)

    def add(self, *sources: str) -> str:
        return self.put(Add(), *sources)

    def graph(self, logits: str, steps: int = 1) -> Graph:
        graph = Graph((*self.nodes, Node("logits", Readout(), (logits,))), steps)
        spec.check_integer(graph)
        return graph

    def head(self, source: str, channels: int, size: tuple[int, int], steps: int = 1) -> Graph:
        """Global sum pool, fully connected layer, readout."""
        pooled = self.put(SumPool2d(size, size), source)
        return self.graph(self.linear(self.put(Flatten(), pooled), 5, channels), steps)

    def flat_head(self, source: str, features: int, steps: int = 1) -> Graph:
        return self.graph(self.linear(self.put(Flatten(), source), 5, features), steps)


def stem(levels: int = 4, steps_seed: int = 0) -> tuple[Net, str]:
    """One 3x3 layer of 4 channels on a 2x6x6 input."""
    net = Net(2, 6, 6, levels=levels, seed=steps_seed)
    return net, net.neuron(net.conv("x", 4, 2, 3, 3, padding=(1, 1)))


def sequential(levels: int = 4, steps: int = 1) -> Graph:
    net, a = stem(levels)
    b = net.neuron(net.conv(a, 6, 4, 3, 3, stride=(2, 2), padding=(1, 1)), 6)
    return net.head(b, 6, (3, 3), steps)


def identity_skip(levels: int = 4) -> Graph:
    net, a = stem(levels)
    b = net.neuron(net.same(net.neuron(net.same(a))))
    return net.head(net.neuron(net.add(a, b), theta=1), 4, (6, 6))


def conv_skip(levels: int = 4) -> Graph:
    """The skip holds nodes of its own, and is written down before the main path."""
    net, a = stem(levels)
    skip = net.neuron(net.conv(a, 6, 4, 1, 1, stride=(2, 2)), 6)
    main = net.neuron(net.conv(a, 6, 4, 3, 3, stride=(2, 2), padding=(1, 1)), 6)
    main = net.neuron(net.same(main, 6), 6)
    return net.head(net.neuron(net.add(main, skip), 6, theta=1), 6, (3, 3))


def sew() -> Graph:
    """No barriers: sums above N enter convolutions and further sums."""
    net, a = stem()
    for _ in range(3):
        a = net.add(a, net.neuron(net.same(net.neuron(net.same(a)))))
    return net.head(a, 4, (6, 6))


def deep_sew() -> Graph:
    """A sum of more terms than are kept as separate edges."""
    net, a = stem()
    for _ in range(12):
        a = net.add(a, net.neuron(net.conv(a, 4, 4, 1, 1)))
    return net.head(a, 4, (6, 6))


def two_currents() -> Graph:
    net, a = stem()
    b = net.neuron(net.add(net.same(a), net.conv(a, 4, 4, 1, 1)))
    flat = net.put(Flatten(), b)
    return net.graph(net.add(net.linear(flat, 5, 144), net.linear(flat, 5, 144)))


def repeated() -> Graph:
    """x + x, and a sum that holds one term twice through another sum."""
    net, a = stem()
    doubled = net.add(a, a)
    b = net.neuron(net.same(doubled))
    nested = net.add(net.add(a, b), a, doubled)
    return net.head(net.neuron(nested, theta=3), 4, (6, 6))


def grouped() -> Graph:
    net, a = stem()
    b = net.neuron(net.conv(a, 6, 2, 3, 3, padding=(1, 1), groups=2), 6)
    c = net.neuron(net.conv(b, 6, 1, 3, 3, groups=6), 6, theta=60)
    return net.head(c, 6, (4, 4))


def dilated() -> Graph:
    net, a = stem()
    b = net.conv(a, 4, 4, 3, 3, padding=(2, 1), dilation=(2, 1), stride=(1, 2))
    return net.head(net.neuron(b), 4, (6, 3))


def non_square() -> Graph:
    """Sides of equal parity; and of unequal parity where a stride or a single row swallows the odd tap."""
    net = Net(2, 5, 7)
    a = net.neuron(net.conv("x", 4, 2, 1, 3, padding=(0, 1)))
    b = net.neuron(net.conv(a, 4, 4, 5, 1, padding=(2, 0), dilation=(1, 2)))
    c = net.neuron(net.conv(b, 4, 4, 2, 3, stride=(2, 2)))
    return net.flat_head(c, 4 * 2 * 3)


def non_square_map() -> Graph:
    """A head whose kernel is the 4x3 map."""
    net = Net(1, 4, 3)
    return net.flat_head(net.neuron(net.conv("x", 4, 1, 3, 3, padding=(1, 1))), 48)


def pools() -> Graph:
    """A pool of spikes that a convolution reads, one of currents, and an overlapping, padded one before the head."""
    net, a = stem()
    pooled = net.put(SumPool2d((3, 3), (1, 1), (1, 1)), a)
    current = net.put(SumPool2d((2, 2), (2, 2)), net.same(pooled))
    last = net.put(SumPool2d((2, 3), (1, 1), (1, 1)), net.neuron(current))
    return net.flat_head(last, 4 * 4 * 3)


def shared_pool() -> Graph:
    """A pool that both the head and a neuron read: it is not folded away."""
    net, a = stem()
    pooled = net.put(SumPool2d((6, 6), (6, 6)), a)
    left = net.linear(net.put(Flatten(), pooled), 5, 4)
    right = net.linear(net.put(Flatten(), net.neuron(pooled, theta=20)), 5, 4)
    return net.graph(net.add(left, right))


def perceptron() -> Graph:
    """Flat from the start, with a residual sum."""
    net = Net(12)
    a = net.neuron(net.linear("x", 8, 12), 8)
    b = net.neuron(net.linear(a, 8, 8), 8)
    return net.graph(net.linear(net.add(a, b), 5, 8))


def flattened_neuron() -> Graph:
    """A neuron with a threshold for every position of a flattened current, and a sum with a flat layer."""
    net, a = stem()
    flat = net.put(Flatten(), net.conv(a, 2, 4, 3, 3, stride=(2, 2), padding=(1, 1)))
    b = net.neuron(flat, 18)
    c = net.neuron(net.linear(b, 18, 18), 18)
    d = net.put(Flatten(), net.neuron(net.conv(a, 2, 4, 3, 3, stride=(2, 2), padding=(1, 1)), 2))
    return net.graph(net.linear(net.add(b, c, d), 5, 18))


def flattened_logits() -> Graph:
    net, a = stem()
    return net.graph(net.put(Flatten(), net.conv(a, 2, 4, 3, 3, stride=(3, 3))))


def upsampled() -> Graph:
    net = Net(2, 3, 3)
    a = net.neuron(net.conv(net.put(Upsample2d((2, 2)), "x"), 4, 2, 3, 3, padding=(1, 1)))
    return net.head(a, 4, (6, 6))


def awkward_names() -> Graph:
    """Names that mean something to Python, torch or NIRTorch, that hold dots, or that are equal without them."""
    graph = conv_skip()
    names = ["input", "if", "a.b", "a_b", "keys", "state", "output", "0", "größe", "x y", "training", "forward", "self"]
    renamed = {node.name: names[index] if index < len(names) else node.name for index, node in enumerate(graph.nodes)}
    nodes = (Node(renamed[n.name], n.op, tuple(renamed[name] for name in n.inputs)) for n in graph.nodes)
    return Graph(tuple(nodes), 1)


NETWORKS: dict[str, Callable[[], Graph]] = {
    make.__name__: make
    for make in (
        sequential,
        identity_skip,
        conv_skip,
        sew,
        deep_sew,
        two_currents,
        repeated,
        grouped,
        dilated,
        non_square,
        non_square_map,
        pools,
        shared_pool,
        perceptron,
        flattened_neuron,
        flattened_logits,
        upsampled,
        awkward_names,
    )
}


def images(graph: Graph, count: int = 20) -> Array:
    """Random uint8 inputs, the first all zero and the second all at the maximum."""
    op = graph.input.op
    assert isinstance(op, Input)
    drawn = np.random.default_rng(7).integers(0, op.largest + 1, (count, *op.shape))
    drawn[0], drawn[1] = 0, op.largest
    return drawn.astype(np.uint8)


def reference(graph: Graph, inputs: Array) -> dict[str, Array]:
    """The interpreter's tensors, by node."""
    recorder = interpreter.Recorder()
    interpreter.run(graph, inputs, [recorder])
    return recorder.tensors
