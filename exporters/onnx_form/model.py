"""The whole ONNX model: the nodes of one step, plain for T = 1 and inside a Scan over the steps for T > 1."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, checker, helper

from snn2chip import __version__
from snn2chip.exporters.onnx_form.builder import Builder, State, Value
from snn2chip.exporters.onnx_form.functions import OPSET
from snn2chip.exporters.onnx_form.names import DIGEST, DOMAIN, FRAMES, INPUT, LARGEST, LEVELS, LOGITS, STEPS, VERSION
from snn2chip.exporters.onnx_form.rules import RULES
from snn2chip.graph import Graph
from snn2chip.ops import SpikingNeuron

#: Version of the file's structure: 8 is the oldest that has model-local functions, which newer readers take as well.
#: With opset 18 it loads from onnxruntime 1.14 on.
IR_VERSION = 8

BATCH = "batch"


def build(graph: Graph) -> ModelProto:
    """The checked ONNX model of a legal integer graph whose operations all have a rule."""
    builder = Builder(graph, carried=graph.steps > 1)
    main = _over_steps(builder) if builder.carried else _single_step(builder)
    model = helper.make_model(
        main,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
        functions=list(builder.functions.values()),
        producer_name="snn2chip",
        producer_version=__version__,
    )
    helper.set_model_props(model, _properties(graph))
    checker.check_model(model, full_check=True)
    return model


def _properties(graph: Graph) -> dict[str, str]:
    levels = {node.name: node.op.levels for node in graph.nodes if isinstance(node.op, SpikingNeuron)}
    return {
        VERSION: __version__,
        DIGEST: graph.digest,
        STEPS: str(graph.steps),
        LEVELS: json.dumps(levels),
        LARGEST: str(graph.signals[graph.input.name].interval.max),
    }


def _single_step(builder: Builder) -> GraphProto:
    _emit_step(builder, INPUT)
    return _main(builder)


def _emit_step(builder: Builder, frame: str) -> None:
    for node in builder.graph.nodes:
        if node.inputs:
            builder.values[node.name] = RULES[type(node.op)](builder, node, node.op)
        else:
            builder.values[node.name] = Value(frame, narrow=True)


def _over_steps(builder: Builder) -> GraphProto:
    graph, body = builder.graph, _body(builder)
    builder.nodes = []
    _emit_frames(builder)
    _emit_scan(builder, body)
    shape = graph.signals[graph.input.name].shape
    frames = _info(FRAMES, TensorProto.UINT8, (graph.steps, BATCH, *shape))
    return _main(builder, value_info=[frames])


def _body(builder: Builder) -> GraphProto:
    """What happens in one step: (potentials, frame) to (next potentials, logits of the step)."""
    graph, frame = builder.graph, builder.fresh("frame")
    _emit_step(builder, frame)
    before = [_info(state.before, TensorProto.INT32, (BATCH, *state.shape)) for state in builder.states]
    after = [_info(state.after, TensorProto.INT32, (BATCH, *state.shape)) for state in builder.states]
    shown = _info(frame, TensorProto.UINT8, (BATCH, *graph.signals[graph.input.name].shape))
    logits = _info(builder.values[graph.output.name].name, TensorProto.INT32, _logits_shape(graph))
    return helper.make_graph(builder.nodes, "step", [*before, shown], [*after, logits], doc_string="One time step.")


def _emit_frames(builder: Builder) -> None:
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
    zero = helper.make_tensor("zero", TensorProto.INT32, [1], [0])
    return builder.emit("ConstantOfShape", [shape], f"{state.before}/first", value=zero)


def _first_axis(builder: Builder) -> str:
    return builder.shared("first_axis", np.array([0], np.int64))


def _main(builder: Builder, value_info: Sequence[ValueInfoProto] = ()) -> GraphProto:
    graph = builder.graph
    image = _info(INPUT, TensorProto.UINT8, (BATCH, *graph.signals[graph.input.name].shape))
    logits = _info(LOGITS, TensorProto.INT32, _logits_shape(graph))
    return helper.make_graph(
        builder.nodes, "snn2chip", [image], [logits], builder.constants, _description(graph), value_info
    )


def _description(graph: Graph) -> str:
    largest = graph.signals[graph.input.name].interval.max
    return (
        f"A spiking network over T = {graph.steps} steps, in integers. x: uint8 counts 0..{largest}, the same at every "
        f"step. logits: int32, summed over the steps."
    )


def _logits_shape(graph: Graph) -> tuple[str | int, ...]:
    return (BATCH, *graph.signals[graph.output.name].shape)


def _info(name: str, dtype: int, shape: tuple[str | int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)
