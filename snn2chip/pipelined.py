"""Execution by a schedule (`snn2chip.lowering.pipeline`): a chip's timing, with samples that follow one another.

Values are numbered per node: number n is what the node computes in step n mod T of sample (or batch) n div T. By its
schedule a node computes number n in step ``start + n``, from the values with the same number of its sources; until then
they wait. So a node is active in no other steps than its own, and its state begins anew with each sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from snn2chip.graph import Array, Graph
from snn2chip.interpreter import Observer, as_frames, batches
from snn2chip.lowering.pipeline import Schedule, schedule

#: (inputs, state) to (output, next state) of one node; NumPy arrays, or tensors of the engine.
Step = Callable[[tuple[Any, ...], Any], tuple[Any, Any]]
#: (node, index of the batch) to the state at the start of a sample.
Initial = Callable[[str, int], Any]


class Execution:
    """Some nodes of a graph, executed step by step.

    Attributes:
        states: by node, what it keeps from step to step.
        current_node: the node that is being computed, for error messages.
    """

    def __init__(
        self, graph: Graph, plan: Schedule, nodes: Sequence[str], execute: Mapping[str, Step], initial: Initial
    ) -> None:
        self.graph = graph
        self.plan = plan
        self.nodes = tuple(name for name in nodes if graph[name].inputs)
        self.states: dict[str, Any] = {}
        self.current_node = ""
        self._execute = execute
        self._initial = initial
        self._waiting: dict[str, dict[int, Any]] = {}
        self._last_use = self._last_uses()

    def step(self, time: int, arrived: Mapping[str, tuple[int, Any]], limit: int | None = None) -> dict[str, Any]:
        """Step number `time`: returns what was computed in it, by node; nodes that are not active are missing.

        Args: arrived, numbered values of nodes elsewhere (the input among them); limit, how many values there are in
        all (None: no end).
        """
        for name, (number, value) in arrived.items():
            if number >= 0:
                self._waiting.setdefault(name, {})[number] = value
        computed: dict[str, Any] = {}
        for name in self.nodes:
            number = time - self.plan.start[name]
            if number >= 0 and (limit is None or number < limit):
                computed[name] = self._compute(name, number)
        self._forget(time)
        return computed

    def _compute(self, name: str, number: int) -> Any:
        self.current_node = name
        if number % self.graph.steps == 0:
            self.states[name] = self._initial(name, number // self.graph.steps)
        inputs = tuple(self._waiting[source][number] for source in self.graph[name].inputs)
        value, self.states[name] = self._execute[name](inputs, self.states[name])
        if name in self._last_use:
            self._waiting.setdefault(name, {})[number] = value
        return value

    def _last_uses(self) -> dict[str, int]:
        """By value that is read here, the latest start of a reader."""
        found: dict[str, int] = {}
        for name in self.nodes:
            for source in self.graph[name].inputs:
                found[source] = max(found.get(source, 0), self.plan.start[name])
        return found

    def _forget(self, time: int) -> None:
        for name, last in self._last_use.items():
            self._waiting.get(name, {}).pop(time - last, None)


def numpy_steps(graph: Graph) -> dict[str, Step]:
    """Every node with the interpreter's arithmetic."""
    return {node.name: node.op.step for node in graph.nodes}


def run(graph: Graph, inputs: Array, observers: Sequence[Observer] = (), batch_size: int = 32) -> Array:
    """As `snn2chip.interpreter.run`, in pipelined timing; batches follow one another every T steps.

    Steps are counted per node, from its own first one: observers and result have the shape of algorithmic timing.
    """

    def initial(name: str, batch: int) -> Array | None:
        size = min(batch_size, len(inputs) - batch * batch_size)
        return graph[name].op.initial_state(graph.signals[name], size)

    frames = [frames for _, frames in batches(as_frames(graph, inputs), batch_size)]
    execution = Execution(graph, schedule(graph, "pipelined"), _names(graph), numpy_steps(graph), initial)
    return collect(execution, frames, observers, batch_size)


def collect(
    execution: Execution,
    frames: Sequence[Array],
    observers: Sequence[Observer],
    batch_size: int,
    convert: Callable[[Array], Any] = lambda frame: frame,
    revert: Callable[[Any], Array] = lambda value: value,
) -> Array:
    """Runs batches of frames ``[b, T, *shape]``, one after the other, to the end: per-step logits ``[B, T, classes]``.

    Args: convert, revert: between arrays and what `execution` computes with.
    """
    graph, output = execution.graph, execution.graph.output.name
    rows: list[list[Array]] = [[] for _ in frames]
    for name, number, value in _stream(execution, frames, convert):
        batch, step = divmod(number, graph.steps)
        array = revert(value)
        for observer in observers:
            observer.observe(batch * batch_size, step, graph[name], array)
        if name == output:
            rows[batch].append(array.astype(np.int32))
    if not rows:
        return np.zeros((0, graph.steps, *graph.signals[output].shape), dtype=np.int32)
    return np.concatenate([np.stack(steps, axis=1) for steps in rows])


def _stream(
    execution: Execution, frames: Sequence[Array], convert: Callable[[Array], Any]
) -> Iterator[tuple[str, int, Any]]:
    """Node, number and value of everything that is computed, in order."""
    graph, plan = execution.graph, execution.plan
    limit = graph.steps * len(frames)
    for time in range(limit + plan.ready[graph.output.name]):
        arrived: dict[str, tuple[int, Any]] = {}
        if time < limit:
            batch, step = divmod(time, graph.steps)
            frame = convert(frames[batch][:, step])
            arrived[graph.input.name] = time, frame
            yield graph.input.name, time, frame
        for name, value in execution.step(time, arrived, limit).items():
            yield name, time - plan.start[name], value


def _names(graph: Graph) -> tuple[str, ...]:
    return tuple(node.name for node in graph.nodes)
