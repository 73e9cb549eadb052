"""The fast executor: the same integers as `snn2chip.interpreter`, by PyTorch.

Values are carried as float32 tensors that hold integers; every operation first proves that float32 is exact for it and
otherwise works in float64 or int32. Tests hold it bit-equal to the interpreter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Graph, Node, Op
from snn2chip.interpreter import Observer, as_frames, batches
from snn2chip.kernels import DECAY_ONE, FLOAT32_EXACT, FLOAT64_EXACT
from snn2chip.lowering.pipeline import schedule
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
    SumPool2d,
    Upsample2d,
)
from snn2chip.pipelined import Execution, collect

#: (inputs, state) to (output, state) of one node.
Step = Callable[[tuple[Tensor, ...], Tensor | None], tuple[Tensor, Tensor | None]]


def run(graph: Graph, inputs: Array, observers: Sequence[Observer] = (), batch_size: int = 64) -> Array:
    """Run `inputs` through an integer graph: arguments, result and errors as `snn2chip.interpreter.run`.

    Observers receive float32, float64 or int32 arrays that hold the integers.
    """
    frames = as_frames(graph, inputs)
    program = [(node, _compile(graph, node)) for node in graph.nodes]
    with torch.inference_mode(), _plain_arithmetic():
        chunks = [_run_batch(graph, program, batch, first, observers) for first, batch in batches(frames, batch_size)]
    if not chunks:
        return np.zeros((0, graph.steps, *graph.signals[graph.output.name].shape), dtype=np.int32)
    return np.concatenate(chunks)


def run_pipelined(graph: Graph, inputs: Array, observers: Sequence[Observer] = (), batch_size: int = 64) -> Array:
    """As `run`, in pipelined timing: see `snn2chip.pipelined.run`."""
    frames = [frames for _, frames in batches(as_frames(graph, inputs), batch_size)]
    steps = {node.name: _compile(graph, node) for node in graph.nodes}
    plan = schedule(graph, "pipelined")
    execution = Execution(graph, plan, tuple(steps), steps, initial=lambda name, batch: None)
    with torch.inference_mode(), _plain_arithmetic():
        return collect(execution, frames, observers, batch_size, _to_tensor, Tensor.numpy)


def _to_tensor(frame: Array) -> Tensor:
    return torch.from_numpy(frame.astype(np.float32))


@contextlib.contextmanager
def _plain_arithmetic() -> Iterator[None]:
    """Products and sums in float32 as they are: without oneDNN, torch may take NNPACK's Winograd convolutions, and at a
    lower matmul precision bfloat16; both round where plain sums are exact."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _run_batch(
    graph: Graph, program: list[tuple[Node, Step]], frames: Array, first_sample: int, observers: Sequence[Observer]
) -> Array:
    states: dict[str, Tensor | None] = {}
    outputs = []
    for step in range(graph.steps):
        frame = _to_tensor(frames[:, step])
        values: dict[str, Tensor] = {}
        unread = {name: len(readers) for name, readers in graph.consumers.items()}
        for node, execute in program:
            sources = tuple(values[name] for name in node.inputs) or (frame,)
            values[node.name], states[node.name] = execute(sources, states.get(node.name))
            for observer in observers:
                observer.observe(first_sample, step, node, values[node.name].numpy())
            for name in node.inputs:
                unread[name] -= 1
                if not unread[name]:
                    del values[name]
        outputs.append(values[graph.output.name].to(torch.int32).numpy())
    return np.stack(outputs, axis=1)


def _compile(graph: Graph, node: Node) -> Step:
    compiler = _COMPILERS.get(type(node.op))
    if compiler is None:
        raise GraphError(f"node {node.name!r} ({node.kind}) has no torch executor: run the interpreter instead")
    return compiler(graph, node)


def _float_type(bound: int, node: Node) -> torch.dtype:
    if bound > FLOAT64_EXACT:
        raise GraphError(f"node {node.name!r}: partial sums may reach {bound}, which float64 does not hold exactly")
    return torch.float32 if bound <= FLOAT32_EXACT else torch.float64


def _magnitude(graph: Graph, name: str) -> int:
    interval = graph.signals[name].interval
    return max(abs(interval.min), abs(interval.max))


def _parameters(graph: Graph, node: Node) -> tuple[Tensor, Tensor | None]:
    """Weight and bias in the float type in which every partial sum is exact."""
    op: Any = node.op
    bias = 0 if op.bias is None else int(np.abs(op.bias.astype(np.int64)).max(initial=0))
    rows = np.abs(op.weight.astype(np.int64)).reshape(len(op.weight), -1).sum(axis=1)
    dtype = _float_type(int(rows.max(initial=0)) * _magnitude(graph, node.inputs[0]) + bias, node)
    weight = torch.tensor(op.weight).to(dtype)
    return weight, None if op.bias is None else torch.tensor(op.bias).to(dtype)


def _conv2d(graph: Graph, node: Node) -> Step:
    op = node.op
    assert isinstance(op, Conv2d)
    weight, bias = _parameters(graph, node)

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = inputs[0].to(weight.dtype)
        return functional.conv2d(x, weight, bias, op.stride, op.padding, op.dilation, op.groups), None

    return step


def _linear(graph: Graph, node: Node) -> Step:
    weight, bias = _parameters(graph, node)

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return functional.linear(inputs[0].to(weight.dtype), weight, bias), None

    return step


def _neuron(graph: Graph, node: Node) -> Step:
    """Clip first: then ``v`` lies in ``0 .. N*theta`` and ``floor((v + 1/2) / theta)`` is the exact integer quotient.

    ``(v + 1/2) / theta`` is at least ``1/(2 theta)`` away from every integer, and rounding moves a quotient of at most
    N + 1 by less than ``(N + 1) * 2**-24``; both hold together while ``(N + 1) * theta`` is below ``2**22``.
    """
    op = node.op
    assert isinstance(op, MultiLevelIF)
    shape = (1, -1) + (1,) * (len(graph.signals[node.name].shape) - 1)
    membrane = op.membrane(graph.signals[node.inputs[0]].interval, graph.steps)
    ceiling = int(op.theta.max()) * (op.levels + 1)
    small = ceiling < 2**22 and max(-membrane.min, membrane.max) <= FLOAT32_EXACT
    dtype = torch.float32 if small else torch.float64
    theta = torch.tensor(op.theta).to(dtype).reshape(shape)
    top = theta * op.levels
    keeps_state = graph.steps > 1

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        v = inputs[0].to(dtype)
        if state is not None:
            v = v + state
        spikes = v.clamp_min(0).minimum(top).add_(0.5).div_(theta).floor_()
        return spikes, (v - spikes * theta if keeps_state else None)

    return step


def _lif(graph: Graph, node: Node) -> Step:
    """In float64: membranes have 24 bits and decays 13, so that every product and quotient is exact or safely apart.

    ``floor((v - theta) / step)`` is exact because numerator and denominator stay below ``2**25``: a quotient that is no
    whole number is at least ``2**-24`` away from one, far more than the rounding of a division.
    """
    op = node.op
    assert isinstance(op, LIF)
    theta, step_size, decay = (_wide(graph, node, array) for array in (op.theta, op.step_size, op.decay))
    drive = None if op.drive is None else _wide(graph, node, op.drive)
    floor = None if op.floor is None else _wide(graph, node, op.floor)
    rounded = torch.trunc if op.toward_zero else torch.floor

    def kept(v: Tensor, spikes: Tensor) -> Tensor:
        if not op.delayed and op.reset != "none":
            v = v - spikes * step_size if op.reset == "subtract" else torch.where(spikes > 0, 0.0, v)
        return v if floor is None else v.maximum(floor)

    def count(v: Tensor) -> Tensor:
        return ((v - theta) / step_size).floor_().add_(1).clamp_(0, op.levels)

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        v = inputs[0].to(torch.float64) * 2**op.fraction_bits
        if drive is not None:
            v = v + drive
        if state is not None:
            v = v + rounded(state * decay)
        if state is not None and op.delayed and op.reset != "none":
            earlier = count(state)
            v = v - earlier * step_size if op.reset == "subtract" else torch.where(earlier > 0, 0.0, v)
        spikes = count(v)
        return spikes, kept(v, spikes)

    return step


def _leaky_integrator(graph: Graph, node: Node) -> Step:
    op = node.op
    assert isinstance(op, LeakyIntegrator)
    decay = _wide(graph, node, op.decay)
    rounded = torch.trunc if op.toward_zero else torch.floor

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        value = inputs[0].to(torch.float64) * 2**op.fraction_bits
        if state is not None:
            value = value + rounded(state * decay)
        return value, value

    return step


def _wide(graph: Graph, node: Node, values: Array) -> Tensor:
    """``[C]`` as float64 that broadcasts over the node's output; decays as the fraction that they mean."""
    shape = (1, -1) + (1,) * (len(graph.signals[node.name].shape) - 1)
    wide = torch.tensor(values).to(torch.float64).reshape(shape)
    return wide / DECAY_ONE if values is getattr(node.op, "decay", None) else wide


def _max_pool(graph: Graph, node: Node) -> Step:
    op = node.op
    assert isinstance(op, MaxPool2d)

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = inputs[0] if inputs[0].is_floating_point() else inputs[0].to(torch.float64)
        return functional.max_pool2d(x, op.kernel, op.stride, op.padding), None

    return step


def _concat(graph: Graph, node: Node) -> Step:
    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        dtype = reduce(torch.promote_types, (x.dtype for x in inputs))
        return torch.cat([x.to(dtype) for x in inputs], dim=1), None

    return step


def _add(graph: Graph, node: Node) -> Step:
    # A partial sum can be larger than the sum itself: the bound is that of the operands together.
    dtype = _float_type(sum(_magnitude(graph, name) for name in node.inputs), node)

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return reduce(torch.add, (x.to(dtype) for x in inputs)), None

    return step


def _sum_pool(graph: Graph, node: Node) -> Step:
    op = node.op
    assert isinstance(op, SumPool2d)
    dtype = _float_type(op.kernel[0] * op.kernel[1] * _magnitude(graph, node.inputs[0]), node)
    channels = graph.signals[node.name].shape[0]
    ones = torch.ones((channels, 1, *op.kernel), dtype=dtype)
    whole = graph.signals[node.inputs[0]].shape[1:] == op.kernel and op.padding == (0, 0)

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = inputs[0].to(dtype)
        if whole:
            return x.sum(dim=(2, 3), keepdim=True), None
        return functional.conv2d(x, ones, None, op.stride, op.padding, (1, 1), channels), None

    return step


def _upsample(graph: Graph, node: Node) -> Step:
    op = node.op
    assert isinstance(op, Upsample2d)

    def step(inputs: tuple[Tensor, ...], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return inputs[0].repeat_interleave(op.factor[0], 2).repeat_interleave(op.factor[1], 3), None

    return step


def _flatten(graph: Graph, node: Node) -> Step:
    return lambda inputs, state: (inputs[0].flatten(1), None)


def _same(graph: Graph, node: Node) -> Step:
    return lambda inputs, state: (inputs[0], None)


_COMPILERS: dict[type[Op], Callable[[Graph, Node], Step]] = {
    Add: _add,
    Concat: _concat,
    Conv2d: _conv2d,
    Flatten: _flatten,
    Input: _same,
    LIF: _lif,
    LeakyIntegrator: _leaky_integrator,
    Linear: _linear,
    MaxPool2d: _max_pool,
    MultiLevelIF: _neuron,
    Readout: _same,
    SumPool2d: _sum_pool,
    Upsample2d: _upsample,
}
