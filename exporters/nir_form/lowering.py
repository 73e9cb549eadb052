"""Our integer graph as NIR primitives: one rule for each operation, in the profile that is asked for.

A neuron layer of N levels becomes N comparisons and a sum, in profile *portable* one layer of N*C binary ``IF`` neurons
between two 1x1 convolutions::

    fan-out   v[k*C + c] = i[c] + 1.5 - threshold[k, c]       for k = 0 .. N-1
    spikes    z[j] = 1 where v[j] > 1, that is where i[c] >= threshold[k, c]
    collect   s[c] = sum over k of z[k*C + c]

In one step from v = 0 neither leak nor reset plays a part. Over several steps NIR has no soft reset, and leaves to its
readers how a leak is computed: an ``IF`` says a reset to zero, and an integrator inside a loop a soft one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from snn2chip import __version__
from snn2chip.errors import GraphError
from snn2chip.exporters.nir_form.builder import Builder, Facts, Value, metadata
from snn2chip.exporters.nir_form.document import graph_document
from snn2chip.exporters.nir_form.geometry import Map, Window, check_size, dense, diagonal
from snn2chip.exporters.nir_form.neurons import Neurons
from snn2chip.exporters.nir_form.profiles import MOST_UNROLLED_STEPS, Profile
from snn2chip.graph import Array, Graph, Kind, Node
from snn2chip.lowering.max_pool import neurons_before_maxima
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
    SpikingNeuron,
    SumPool2d,
    Upsample2d,
)

#: Largest kernel that stands in for an upsampling, in elements: each is met once for every position of the result.
MOST_UPSAMPLED = 2**20


def lower(graph: Graph, profile: Profile) -> Any:
    """The `nir.NIRGraph` of an integer graph.

    Raises: GraphError, naming the node, where the profile's primitives cannot express it exactly over its T steps.
    """
    lowering = _Lowering(neurons_before_maxima(graph), profile)
    if profile.over_time == "edges":
        lowering.unroll()
    else:
        lowering.write()
    builder = lowering.builder
    return nir.NIRGraph(builder.nodes, builder.edges, metadata=metadata(_graph_facts(graph, profile)))


def _graph_facts(graph: Graph, profile: Profile) -> dict[str, Any]:
    facts = {
        "tool": f"snn2chip {__version__}",
        "profile": profile.name,
        "steps": graph.steps,
        "graph_digest": graph.digest,
        "input": graph.input.name,
        "input_shape": graph.signals[graph.input.name].shape,
        "output": graph.output.name,
        "output_shape": graph.signals[graph.output.name].shape,
        "graph": graph_document(graph),
    }
    if profile.over_time == "edges":
        facts["layout"] = "input channel t*C + c is channel c at step t; output channel t*F + f is logit f at step t"
    return facts


class _Lowering:
    """Walks the graph in order; `values` says what each of our nodes has become."""

    def __init__(self, graph: Graph, profile: Profile) -> None:
        self.graph = graph
        self.builder = Builder(profile.most_terms)
        self.neurons = Neurons(self.builder, profile, graph.steps)
        self.values: dict[str, Value] = {}

    def write(self) -> None:
        """One copy of the network, which stands for all steps."""
        for node in self.graph.nodes:
            self.lower(node)
        self.builder.output(self.values[self.graph.output.name])

    def unroll(self) -> None:
        """A copy of the network for each step; inputs and logits of all steps lie side by side, as channels."""
        node, steps = self.graph.input, self.graph.steps
        assert isinstance(node.op, Input)
        if steps > MOST_UNROLLED_STEPS:
            raise GraphError(
                f"it has T = {steps} steps, and at most {MOST_UNROLLED_STEPS} are unrolled: use profile composed"
            )
        shape = _as_map(node.op.shape)
        channels = steps * shape[0]
        frames = self.builder.input((channels, *shape[1:]), node.op.largest)
        logits = []
        for step in range(steps):
            self.builder.step = step
            mine = np.eye(channels, dtype=np.float32)[step * shape[0] : (step + 1) * shape[0]]
            self.values = {node.name: self.builder.conv(node.name, frames, mine[:, :, None, None])}
            for later in self.graph.nodes[1:]:
                self.lower(later)
            logits.append(self.values[self.graph.output.name])
        self.builder.step = None
        self.builder.output(self.builder.sum(self.graph.output.name, self._laid(self.graph.output.name, logits, {})))

    def lower(self, node: Node) -> None:
        rule = _RULES.get(type(node.op))
        if rule is None:
            raise GraphError(f"node {node.name!r} ({node.kind}) has no counterpart among NIR's primitives")
        try:
            value = rule(self, node, node.op)
        except GraphError as error:
            raise GraphError(f"node {node.name!r} ({node.kind}): {error}") from None
        if value is not None:
            self.values[node.name] = value

    def input(self, node: Node, op: Input) -> Value:
        return self.builder.input(_as_map(op.shape), op.largest)

    def conv2d(self, node: Node, op: Conv2d) -> Value:
        window = Window(op.stride, op.padding, op.dilation)
        weight = dense(op.weight, op.groups)
        return self.builder.conv(node.name, self._source(node), weight, op.bias, window, {"source": node.name})

    def linear(self, node: Node, op: Linear) -> Value:
        """A Conv2d whose kernel is the whole map; a pool before it is folded in."""
        facts = {"source": node.name}
        folded = self._folded_pool(node)
        if folded is None:
            source = self._source(node)
            return self.builder.conv(node.name, source, op.weight.reshape(-1, *source.shape), op.bias, facts=facts)
        pool, pooling = folded
        source = self._source(pool)
        pooled = op.weight.reshape(-1, *self.graph.signals[pool.name].shape)
        weight = _unpooled(pooled, pooling, source.shape)
        return self.builder.conv(node.name, source, weight, op.bias, facts={**facts, "pool": pool.name})

    def add(self, node: Node, op: Add) -> Value:
        sources = [self.values[name] for name in node.inputs]
        if any(source.shape != sources[0].shape for source in sources):  # flat views of different maps
            sources = [self.builder.columns(source, node.name) for source in sources]
        return self.builder.sum(node.name, sources)

    def concat(self, node: Node, op: Concat) -> Value:
        """The sum of 1x1 convolutions, each of which lays its part onto channels of its own."""
        parts = [self.values[name] for name in node.inputs]
        if any(part.shape[1:] != parts[0].shape[1:] for part in parts):  # flat views of different maps
            parts = [self.builder.columns(part, node.name) for part in parts]
        return self.builder.sum(node.name, self._laid(node.name, parts, {"source": node.name}))

    def _laid(self, name: str, parts: list[Value], facts: Facts) -> list[Value]:
        """Each part on channels of its own, beside those of the others."""
        channels = sum(part.shape[0] for part in parts)
        check_size(channels, channels)
        places = np.split(np.eye(channels, dtype=np.float32), np.cumsum([part.shape[0] for part in parts])[:-1], axis=1)
        return [
            self.builder.conv(f"{name}_part{index}", part, place[:, :, None, None], facts=facts)
            for index, (part, place) in enumerate(zip(parts, places, strict=True))
        ]

    def neuron(self, node: Node, op: SpikingNeuron) -> Value:
        return self.neurons.layer(node.name, self._source(node), op, self.graph.signals[node.inputs[0]].interval)

    def leaky_integrator(self, node: Node, op: LeakyIntegrator) -> Value:
        return self.neurons.integrator(node.name, self._source(node), op, self.graph.signals[node.name].interval)

    def max_pool(self, node: Node, op: MaxPool2d) -> Value:
        source, signal = self._source(node), self.graph.signals[node.inputs[0]]
        if signal.kind is not Kind.SPIKE:
            raise GraphError(
                "it takes maxima of currents, and NIR has none but of spikes: put a neuron before it (with T = 1 that "
                "is done where a neuron is all that reads it)"
            )
        window, kernel = Window(op.stride, op.padding), np.ones(op.kernel)
        return self.neurons.maximum(node.name, source, signal.interval, window, kernel)

    def sum_pool(self, node: Node, op: SumPool2d) -> Value | None:
        """A diagonal Conv2d of ones; nothing where every reader folds it in."""
        if self._is_folded(node):
            return None
        source = self._source(node)
        weight = diagonal(source.shape[0], np.ones(op.kernel))
        window = Window(op.stride, op.padding)
        return self.builder.conv(node.name, source, weight, window=window, facts={"source": node.name})

    def upsample(self, node: Node, op: Upsample2d) -> Value:
        """NIR has no such primitive, but a Conv2d over a padded map of one position is any linear map from channels.

        Every position becomes a channel of its own, and a kernel as large as the result (mirrored, for a convolution
        looks back) lays it down wherever it belongs. The weights are many: for small maps only.
        """
        source = self.builder.columns(self._source(node), node.name)
        channels, height, width = self.graph.signals[node.name].shape
        check_size(channels, source.shape[0], height, width, most=MOST_UPSAMPLED)
        weight = np.zeros((channels, source.shape[0], height, width), np.float32)
        position = np.arange(source.shape[0]).reshape(self.graph.signals[node.inputs[0]].shape)
        for c, y, x in np.ndindex(channels, height, width):
            weight[c, position[c, y // op.factor[0], x // op.factor[1]], -1 - y, -1 - x] = 1
        window = Window(padding=(height - 1, width - 1))
        return self.builder.conv(node.name, source, weight, window=window, facts={"source": node.name})

    def flatten(self, node: Node, op: Flatten) -> Value | None:
        """A view: what follows reads the map that it came from."""
        return self.values.get(node.inputs[0])  # absent where the pool before it is folded into the Linear after it

    def readout(self, node: Node, op: Readout) -> Value:
        return self.builder.columns(self._source(node), node.name)

    def _source(self, node: Node) -> Value:
        return self.values[node.inputs[0]]

    def _is_folded(self, pool: Node) -> bool:
        """Whether every reader of a pool is a Flatten that only Linear layers read."""
        readers = [self.graph[name] for name in self.graph.consumers[pool.name]]
        return all(isinstance(reader.op, Flatten) for reader in readers) and all(
            isinstance(self.graph[name].op, Linear) for reader in readers for name in self.graph.consumers[reader.name]
        )

    def _folded_pool(self, linear: Node) -> tuple[Node, SumPool2d] | None:
        flat = self.graph[linear.inputs[0]]
        if not isinstance(flat.op, Flatten):
            return None
        pool = self.graph[flat.inputs[0]]
        return (pool, pool.op) if isinstance(pool.op, SumPool2d) and pool.name not in self.values else None


def _as_map(shape: tuple[int, ...]) -> Map:
    """(C, H, W); a flat tensor is a map of one position."""
    channels, height, width = shape if len(shape) == 3 else (shape[0], 1, 1)
    return channels, height, width


def _unpooled(pooled: Array, pool: SumPool2d, shape: Map) -> Array:
    """Weights ``[O, C, H, W]`` over the map that, pooled, meets weights ``[O, C, Hp, Wp]``."""
    (top, left), (_, height, width) = pool.padding, shape
    whole = np.zeros((*pooled.shape[:2], height + 2 * top, width + 2 * left), np.float32)
    for row, column in np.ndindex(*pooled.shape[2:]):
        y, x = row * pool.stride[0], column * pool.stride[1]
        whole[:, :, y : y + pool.kernel[0], x : x + pool.kernel[1]] += pooled[:, :, row, column, None, None]
    return whole[:, :, top : top + height, left : left + width]


_RULES: dict[type[Any], Callable[[_Lowering, Node, Any], Value | None]] = {
    LIF: _Lowering.neuron,
    Add: _Lowering.add,
    Concat: _Lowering.concat,
    Conv2d: _Lowering.conv2d,
    Flatten: _Lowering.flatten,
    Input: _Lowering.input,
    LeakyIntegrator: _Lowering.leaky_integrator,
    Linear: _Lowering.linear,
    MaxPool2d: _Lowering.max_pool,
    MultiLevelIF: _Lowering.neuron,
    Readout: _Lowering.readout,
    SumPool2d: _Lowering.sum_pool,
    Upsample2d: _Lowering.upsample,
}
