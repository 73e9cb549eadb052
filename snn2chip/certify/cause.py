"""What one neuron saw in one step: its potential, its current, and each value that reached it with its weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from snn2chip import interpreter
from snn2chip.certify.certificate import Cause, Presynaptic
from snn2chip.graph import Array, Graph, Node, Shape, attributes, parameters
from snn2chip.ops import Add, Concat, Conv2d, Flatten, Linear, Readout, SpikingNeuron, SumPool2d, Upsample2d

#: Values that are listed for one neuron.
SHOWN = 64

Place = tuple[int, ...]
#: (which input of the operation, position in it, weight)
Tap = tuple[int, Place, int]


def explain(graph: Graph, layer: str, frames: Array, step: int, index: Place) -> Cause:
    """What neuron `index` of `layer` saw at `step`, by the interpreter.

    Args: frames, one input, uint8 ``[T, *shape]``; index, ``(c, y, x)`` or ``(f,)``.
    """
    node = graph[layer]
    replay = _Replay(graph, node, step)
    interpreter.run(graph, frames[None], [replay])
    fed = isinstance(node.op, (SpikingNeuron, Readout))
    reached: dict[tuple[str, Place], int] = {}
    bias = _trace(graph, node.inputs[0] if fed else layer, index, 1, reached) if fed else 0
    values = {place: int(replay.values[place[0]][0][place[1]]) for place in reached}
    inputs = [Presynaptic(*place, values[place], weight) for place, weight in reached.items() if values[place]]
    inputs.sort(key=lambda found: -abs(found.value * found.weight))
    return Cause(
        node.kind,
        _parameters(node, index[0]),
        None if replay.before is None else int(replay.before[0][index]),
        int(replay.values[node.inputs[0]][0][index]),
        bias,
        tuple(inputs[:SHOWN]),
        max(0, len(inputs) - SHOWN),
        len(reached) - len(inputs),
    )


class _Replay:
    """An observer that keeps all values of one step, and the state in which `node` enters it."""

    def __init__(self, graph: Graph, node: Node, step: int) -> None:
        self.node, self.step = node, step
        self.values: dict[str, Array] = {}
        self.source: Array | None = None
        self.before = node.op.initial_state(graph.signals[node.inputs[0]], 1)

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        """See `snn2chip.interpreter.Observer.observe`."""
        if step == self.step:
            self.values[node.name] = tensor.copy()
        elif step < self.step and node.name == self.node.inputs[0]:
            self.source = tensor.astype(np.int32)
        elif step < self.step and node.name == self.node.name and self.before is not None:
            assert self.source is not None
            _, self.before = self.node.op.step((self.source,), self.before)


def _trace(graph: Graph, name: str, index: Place, weight: int, reached: dict[tuple[str, Place], int]) -> int:
    """Add to `reached` every value that flows into `index` of node `name`; returns the biases on the way."""
    node = graph[name]
    taps = _TAPS.get(type(node.op))
    if taps is None:  # an input, a neuron, or what is no weighted sum: its value is taken as it is
        reached[name, index] = reached.get((name, index), 0) + weight
        return 0
    bias = getattr(node.op, "bias", None)
    total = 0 if bias is None else weight * int(bias[index[0]])
    for port, place, factor in taps(node.op, [graph.signals[source].shape for source in node.inputs], index):
        total += _trace(graph, node.inputs[port], place, weight * factor, reached)
    return total


def _conv(op: Conv2d, shapes: list[Shape], index: Place) -> Iterator[Tap]:
    output, row, column = index
    per_group = op.weight.shape[1]
    first = output // (op.outputs // op.groups) * per_group
    for y, a in _window(row, shapes[0][1], op.kernel[0], op.stride[0], op.padding[0], op.dilation[0]):
        for x, b in _window(column, shapes[0][2], op.kernel[1], op.stride[1], op.padding[1], op.dilation[1]):
            for channel in range(per_group):
                yield 0, (first + channel, y, x), int(op.weight[output, channel, a, b])


def _sum_pool(op: SumPool2d, shapes: list[Shape], index: Place) -> Iterator[Tap]:
    channel, row, column = index
    for y, _ in _window(row, shapes[0][1], op.kernel[0], op.stride[0], op.padding[0]):
        for x, _ in _window(column, shapes[0][2], op.kernel[1], op.stride[1], op.padding[1]):
            yield 0, (channel, y, x), 1


def _window(
    place: int, size: int, kernel: int, stride: int, padding: int, dilation: int = 1
) -> Iterator[tuple[int, int]]:
    """(position on the map, tap) of one window along one axis."""
    for tap in range(kernel):
        position = place * stride + tap * dilation - padding
        if 0 <= position < size:
            yield position, tap


def _linear(op: Linear, shapes: list[Shape], index: Place) -> Iterator[Tap]:
    return ((0, (feature,), int(weight)) for feature, weight in enumerate(op.weight[index[0]]))


def _add(op: Add, shapes: list[Shape], index: Place) -> Iterator[Tap]:
    return ((port, index, 1) for port in range(len(shapes)))


def _concat(op: Concat, shapes: list[Shape], index: Place) -> Iterator[Tap]:
    ends = np.cumsum([shape[0] for shape in shapes])
    port = int(np.searchsorted(ends, index[0], side="right"))
    start = 0 if port == 0 else int(ends[port - 1])
    yield port, (index[0] - start, *index[1:]), 1


def _flatten(op: Flatten, shapes: list[Shape], index: Place) -> Iterator[Tap]:
    yield 0, tuple(int(place) for place in np.unravel_index(index[0], shapes[0])), 1


def _upsample(op: Upsample2d, shapes: list[Shape], index: Place) -> Iterator[Tap]:
    yield 0, (index[0], index[1] // op.factor[0], index[2] // op.factor[1]), 1


_TAPS: dict[type[Any], Callable[[Any, list[Shape], Place], Iterator[Tap]]] = {
    Add: _add,
    Concat: _concat,
    Conv2d: _conv,
    Flatten: _flatten,
    Linear: _linear,
    SumPool2d: _sum_pool,
    Upsample2d: _upsample,
}


def _parameters(node: Node, channel: int) -> dict[str, Any]:
    """The numbers of one neuron: attributes, and each array at its channel."""
    if not isinstance(node.op, SpikingNeuron):
        return {}
    arrays = {name: int(values[channel]) for name, values in parameters(node.op).items()}
    return arrays | {name: value for name, value in attributes(node.op).items() if value is not None}
