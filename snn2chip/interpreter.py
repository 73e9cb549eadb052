"""The reference executor: runs a graph step by step with the operations' own arithmetic.

Every other form (torch, NIR, ONNX, Lava) is held to what this module computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from snn2chip.errors import UserError
from snn2chip.graph import Array, Graph, Node
from snn2chip.ops import Input


class Observer(Protocol):
    """Sees every tensor that flows. Tensors hold integer values, of whatever dtype the executor works in."""

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        """`tensor` ``[b, *shape]`` is the output of `node` at `step` for samples first_sample .. first_sample + b - 1.

        It is valid during the call only: copy what is to be kept.
        """


def run(graph: Graph, inputs: Array, observers: Sequence[Observer] = (), batch_size: int = 32) -> Array:
    """Run `inputs` through `graph` in algorithmic timing (every layer in the same step).

    Args:
        inputs: uint8 ``[B, *shape]`` (shown at every step) or ``[B, T, *shape]`` (one frame a step).
        observers: each is shown every tensor, in graph order.
    Returns: the output of every step, ``[B, T, classes]`` int32 (float64 for a float graph).
    Raises: UserError where the inputs do not fit the graph.
    """
    frames = as_frames(graph, inputs)
    chunks = [_run_batch(graph, batch, first, observers) for first, batch in batches(frames, batch_size)]
    if not chunks:
        return np.zeros((0, graph.steps, *graph.signals[graph.output.name].shape), dtype=np.int32)
    return np.concatenate(chunks)


def logits(graph: Graph, inputs: Array, batch_size: int = 32) -> Array:
    """Logits summed over the T steps: ``[B, classes]`` int32."""
    per_step = run(graph, inputs, batch_size=batch_size)
    total: Array = per_step.sum(axis=1, dtype=per_step.dtype)
    return total


def as_frames(graph: Graph, inputs: Array) -> Array:
    """Inputs as ``[B, T, *shape]`` (a broadcast view where one image is shown at every step); UserError if unfit."""
    op = graph.input.op
    if not isinstance(op, Input):
        raise UserError(f"the first node, {graph.input.name!r}, is no Input")
    if inputs.dtype != np.uint8:
        raise UserError(
            f"the input has dtype {inputs.dtype}, but this network takes uint8 counts 0..{op.largest}: scale and round "
            "to these, then store uint8"
        )
    direct, frames = inputs.shape[1:] == op.shape, inputs.shape[1:] == (graph.steps, *op.shape)
    if not (direct or frames):
        wanted = ", ".join(map(str, op.shape))
        raise UserError(
            f"the input has shape {inputs.shape}, but this network takes [B, {wanted}] "
            f"or [B, T={graph.steps}, {wanted}]"
        )
    if inputs.size and (largest := int(inputs.max())) > op.largest:
        raise UserError(f"the input holds {largest}, but this network takes values 0..{op.largest}")
    if frames:
        return inputs
    return np.broadcast_to(inputs[:, None], (inputs.shape[0], graph.steps, *op.shape))


def check_classes(graph: Graph, classes: Array | None) -> None:
    """UserError where class indices ``[B]`` name a class that the graph does not have."""
    count = graph.signals[graph.output.name].size
    if classes is not None and len(classes) and not 0 <= classes.min() <= classes.max() < count:
        wrong = classes.min() if classes.min() < 0 else classes.max()
        raise UserError(
            f"the labels y hold {wrong}, but this network has the classes 0..{count - 1}: number them from 0, as its "
            "outputs are"
        )


def batches(frames: Array, batch_size: int) -> Iterator[tuple[int, Array]]:
    """(index of the first sample, frames of the batch) for consecutive batches."""
    for first in range(0, len(frames), batch_size):
        yield first, frames[first : first + batch_size]


def _run_batch(graph: Graph, frames: Array, first_sample: int, observers: Iterable[Observer]) -> Array:
    states = {
        node.name: node.op.initial_state(graph.signals[node.name], len(frames)) for node in graph.nodes if node.inputs
    }
    outputs = [_run_step(graph, frames[:, step], states, first_sample, step, observers) for step in range(graph.steps)]
    return np.stack(outputs, axis=1)


def _run_step(
    graph: Graph,
    frame: Array,
    states: dict[str, Array | None],
    first_sample: int,
    step: int,
    observers: Iterable[Observer],
) -> Array:
    values: dict[str, Array] = {}
    unread = {name: len(readers) for name, readers in graph.consumers.items()}
    for node in graph.nodes:
        if node.inputs:
            inputs = tuple(values[name] for name in node.inputs)
            values[node.name], states[node.name] = node.op.step(inputs, states[node.name])
        else:
            values[node.name] = frame
        for observer in observers:
            observer.observe(first_sample, step, node, values[node.name])
        for name in node.inputs:  # let go of tensors that nobody reads any more: deep nets hold gigabytes otherwise
            unread[name] -= 1
            if not unread[name]:
                del values[name]
    return values[graph.output.name]


@dataclass
class Recorder:
    """An observer that keeps the tensors of chosen nodes (of every node where `names` is None)."""

    names: frozenset[str] | None = None
    _pieces: dict[str, dict[tuple[int, int], Array]] = field(default_factory=dict)

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        if self.names is None or node.name in self.names:
            self._pieces.setdefault(node.name, {})[first_sample, step] = tensor.astype(np.int32)

    @property
    def tensors(self) -> dict[str, Array]:
        """What was seen, by node: int32 ``[B, T, *shape]``."""
        return {name: self._assemble(pieces) for name, pieces in self._pieces.items()}

    @staticmethod
    def _assemble(pieces: dict[tuple[int, int], Array]) -> Array:
        firsts = sorted({first for first, _ in pieces})
        steps = range(1 + max(step for _, step in pieces))
        return np.concatenate([np.stack([pieces[first, step] for step in steps], axis=1) for first in firsts])
