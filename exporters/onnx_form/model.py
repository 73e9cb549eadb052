"""The whole ONNX model: its main graph, the functions that it calls, and what it says about itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper

from snn2chip import __version__, graph_io
from snn2chip.exporters.onnx_form.builder import Builder, StoredWeight
from snn2chip.exporters.onnx_form.functions import OPSET
from snn2chip.exporters.onnx_form.layouts import Layout, Rules, lay_out
from snn2chip.exporters.onnx_form.names import DIGEST, DOMAIN, FORM, GRAPH, LARGEST, LEVELS, STATES, STEPS, VERSION
from snn2chip.exporters.onnx_form.rules import RULES
from snn2chip.graph import Graph, Node, parameters
from snn2chip.ops import SpikingNeuron

#: Version of the file's structure: 8 is the oldest that has model-local functions, which newer readers take as well.
#: With opset 18 it loads from onnxruntime 1.14 on.
IR_VERSION = 8


@dataclass(frozen=True)
class Dialect:
    """One way to write a network in ONNX.

    Attributes:
        name: of the form, such as ``onnx-step``.
        rules: how each operation is said.
        layout: what goes in and what comes out.
        wide: the ONNX type of what uint8 does not hold: int32 or float32.
    """

    name: str
    rules: Rules
    layout: Layout = "image"
    wide: int = TensorProto.INT32


INTEGER = Dialect("onnx", RULES)


def build(graph: Graph, dialect: Dialect = INTEGER) -> ModelProto:
    """The checked ONNX model of a legal integer graph whose operations all have a rule in the dialect."""
    step = dialect.layout == "step"
    carried = graph.steps > 1 or step
    builder = Builder(graph, carried, stacked=carried and not step, wide=dialect.wide)
    main = lay_out(builder, dialect.rules, dialect.layout)
    model = helper.make_model(
        main,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
        functions=list(builder.functions.values()),
        producer_name="snn2chip",
        producer_version=__version__,
    )
    helper.set_model_props(model, _properties(builder, dialect))
    checker.check_model(model, full_check=True)
    return model


def _properties(builder: Builder, dialect: Dialect) -> dict[str, str]:
    graph = builder.graph
    levels = {node.name: node.op.levels for node in graph.nodes if isinstance(node.op, SpikingNeuron)}
    properties = {
        VERSION: __version__,
        FORM: dialect.name,
        DIGEST: graph.digest,
        STEPS: str(graph.steps),
        LEVELS: json.dumps(levels),
        LARGEST: str(graph.signals[graph.input.name].interval.max),
        GRAPH: json.dumps(_document(builder), separators=(",", ":"), sort_keys=True),
    }
    if dialect.layout == "step":
        properties[STATES] = json.dumps({state.before: state.after for state in builder.states})
    return properties


def _document(builder: Builder) -> dict[str, Any]:
    """The graph's own document, with the tensors that are one number a channel; weights are named, not repeated."""
    document, tensors = graph_io.to_document(builder.graph)
    for entry in document["nodes"]:
        del entry["output"]  # follows from the rest
    document["weights"] = {name: _stored(builder.graph[name], stored) for name, stored in builder.weights.items()}
    large = {f"{name}/weight" for name in builder.weights}
    document["tensors"] = {name: _numbers(array) for name, array in tensors.items() if name not in large}
    return document


def _stored(node: Node, stored: StoredWeight) -> dict[str, Any]:
    entry: dict[str, Any] = {"tensor": stored.tensor, "transposed": stored.transposed}
    if stored.place is not None:
        entry |= {"place": list(stored.place), "shape": list(parameters(node.op)["weight"].shape)}
    return entry


def _numbers(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"dtype": str(array.dtype), "shape": list(array.shape), "values": array.ravel().tolist()}
