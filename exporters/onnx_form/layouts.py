"""How the nodes of one time step become a whole file: plain, inside a Scan over the steps, or as the step itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from onnx import GraphProto, TensorProto, ValueInfoProto, helper

from snn2chip.exporters.onnx_form.builder import Builder, State, Value
from snn2chip.exporters.onnx_form.names import FRAMES, INPUT, LOGITS
from snn2chip.graph import Node

#: *image*: ``x [batch, ...]``, shown at every step. *frames*: ``x [batch, T, ...]``. *step*: the frame of one step and
#: every state go in, that step's logits and the next states come out.
Layout = Literal["image", "frames", "step"]

Rule = Callable[[Builder, Node, Any], Value]
Rules = Mapping[type, Rule]

BATCH = "batch"


def lay_out(builder: Builder, rules: Rules, layout: Layout) -> GraphProto:
    """The main graph of the file."""
    if layout == "step":
        return _step(builder, rules)
    if builder.stacked:
        return _over_steps(builder, rules, layout)
    _emit_step(builder, rules, INPUT)
    return _main(builder, layout)


def _emit_step(builder: Builder, rules: Rules, frame: str) -> None:
    for node in builder.graph.nodes:
        if node.inputs:
            builder.values[node.name] = rules[type(node.op)](builder, node, node.op)
        elif builder.wide == TensorProto.FLOAT:
            real = builder.emit("Cast", [frame], f"{node.name}/float", to=TensorProto.FLOAT)
            builder.values[node.name] = Value(real, narrow=False)
        else:
            builder.values[node.name] = Value(frame, narrow=True)


def _step(builder: Builder, rules: Rules) -> GraphProto:
    _emit_step(builder, rules, INPUT)
    before, after = _states(builder)
    return _main(builder, "step", inputs=before, outputs=after)


def _over_steps(builder: Builder, rules: Rules, layout: Layout) -> GraphProto:
    graph, body = builder.graph, _body(builder, rules)
    builder.nodes = []
    if layout == "frames":
        order = [1, 0, *range(2, 2 + len(graph.signals[graph.input.name].shape))]
        name = builder.fresh(f"{FRAMES}/transpose")
        builder.nodes.append(helper.make_node("Transpose", [INPUT], [FRAMES], name=name, perm=order))
    else:
        _repeat_image(builder)
    _emit_scan(builder, body)
    shape = graph.signals[graph.input.name].shape
    return _main(builder, layout, value_info=[_info(FRAMES, TensorProto.UINT8, (graph.steps, BATCH, *shape))])


def _body(builder: Builder, rules: Rules) -> GraphProto:
    """What happens in one step: (potentials, frame) to (next potentials, logits of the step)."""
    graph, frame = builder.graph, builder.fresh("frame")
    _emit_step(builder, rules, frame)
    before, after = _states(builder)
    shown = _info(frame, TensorProto.UINT8, (BATCH, *graph.signals[graph.input.name].shape))
    logits = _info(builder.values[graph.output.name].name, TensorProto.INT32, _logits_shape(builder))
    return helper.make_graph(builder.nodes, "step", [*before, shown], [*after, logits], doc_string="One time step.")


def _states(builder: Builder) -> tuple[list[ValueInfoProto], list[ValueInfoProto]]:
    before = [_info(state.before, builder.wide, (BATCH, *state.shape)) for state in builder.states]
    after = [_info(state.after, builder.wide, (BATCH, *state.shape)) for state in builder.states]
    return before, after


def _repeat_image(builder: Builder) -> None:
    """``frames [T, batch, ...]``: the image, shown at every step."""
    rank = len(builder.graph.signals[builder.graph.input.name].shape)
    once = builder.emit("Unsqueeze", [INPUT, _first_axis(builder)], f"{FRAMES}/once")
    repeats = builder.constant(f"{FRAMES}/repeats", np.array([builder.graph.steps, *(1,) * (rank + 1)], np.int64))
    builder.nodes.append(helper.make_node("Expand", [once, repeats], [FRAMES], name=builder.fresh(f"{FRAMES}/expand")))


def _emit_scan(builder: Builder, body: GraphProto) -> None:
    """Potentials at zero, the Scan over `frames`, and the sum of its logits over the steps."""
    batch = builder.emit("Shape", [FRAMES], "batch_size", start=1, end=2)
    initial = [_zeros(builder, batch, state) for state in builder.states]
    final = [builder.fresh(f"{state.after}/last") for state in builder.states]
    per_step = builder.fresh("logits_per_step")
    builder.nodes.append(
        helper.make_node(
            "Scan", [*initial, FRAMES], [*final, per_step], name=builder.fresh("steps"), body=body, num_scan_inputs=1
        )
    )
    total = helper.make_node(
        "ReduceSum", [per_step, _first_axis(builder)], [LOGITS], name=builder.fresh("sum_over_steps"), keepdims=0
    )
    builder.nodes.append(total)


def _zeros(builder: Builder, batch: str, state: State) -> str:
    sample = builder.constant(f"{state.before}/sample_shape", np.array(state.shape, np.int64))
    shape = builder.emit("Concat", [batch, sample], f"{state.before}/shape", axis=0)
    zero = helper.make_tensor("zero", builder.wide, [1], [0])
    return builder.emit("ConstantOfShape", [shape], f"{state.before}/first", value=zero)


def _first_axis(builder: Builder) -> str:
    return builder.shared("first_axis", np.array([0], np.int64))


def _main(
    builder: Builder,
    layout: Layout,
    value_info: Sequence[ValueInfoProto] = (),
    inputs: Sequence[ValueInfoProto] = (),
    outputs: Sequence[ValueInfoProto] = (),
) -> GraphProto:
    graph = builder.graph
    shape = graph.signals[graph.input.name].shape
    x = _info(INPUT, TensorProto.UINT8, (BATCH, graph.steps, *shape) if layout == "frames" else (BATCH, *shape))
    logits = _info(LOGITS, TensorProto.INT32, _logits_shape(builder))
    return helper.make_graph(
        builder.nodes,
        "snn2chip",
        [x, *inputs],
        [logits, *outputs],
        builder.constants,
        _description(builder, layout),
        value_info,
    )


def _description(builder: Builder, layout: Layout) -> str:
    graph = builder.graph
    largest = graph.signals[graph.input.name].interval.max
    if layout == "step":
        return (
            f"One step of a spiking network of T = {graph.steps} steps. x: uint8 counts 0..{largest}, the frame of "
            f"this step. logits: int32, of this step, to be summed over T steps. States are zero before the first step."
        )
    shown = "one frame a step" if layout == "frames" else "the same at every step"
    arithmetic = "in integers" if builder.wide == TensorProto.INT32 else "in integers that float32 holds exactly"
    return (
        f"A spiking network over T = {graph.steps} steps, {arithmetic}. x: uint8 counts 0..{largest}, {shown}. "
        f"logits: int32, summed over the steps."
    )


def _logits_shape(builder: Builder) -> tuple[str | int, ...]:
    return (BATCH, *builder.graph.signals[builder.graph.output.name].shape)


def _info(name: str, dtype: int, shape: tuple[str | int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)
