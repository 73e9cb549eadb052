"""The exporter: refuses what ``model.onnx`` cannot express, and writes what it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from snn2chip.errors import UserError
from snn2chip.exporters.base import Executor
from snn2chip.exporters.onnx_form.execute import OnnxRuntime
from snn2chip.exporters.onnx_form.functions import OPSET
from snn2chip.exporters.onnx_form.model import IR_VERSION, build
from snn2chip.exporters.onnx_form.names import MODEL_FILE
from snn2chip.exporters.onnx_form.rules import RULES
from snn2chip.graph import Graph, parameters
from snn2chip.ops import Input
from snn2chip.spec import broken_rule

#: A protobuf message ends at 2 GiB; weights are kept inside the file.
LARGEST_FILE = 2**31 - 1


class OnnxExporter:
    """``model.onnx``: standard integer operators, with the neuron as a function that the file itself defines."""

    name = "onnx"
    files = (MODEL_FILE,)
    executors: tuple[Executor, ...] = (OnnxRuntime(),)

    def refusal(self, graph: Graph) -> str | None:
        """None where the form can express `graph`; else one sentence that names the node and the reason."""
        for node in graph.nodes:
            if not isinstance(node.op, (Input, *RULES)):
                return f"node {node.name!r} ({node.kind}) has no integer ONNX form"
        if reason := _too_large(graph):
            return reason
        return broken_rule(graph)

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """Write ``model.onnx`` into `folder`. Returns notes; UserError where `refusal` has something to say."""
        if reason := self.refusal(graph):
            raise UserError(f"the ONNX form cannot express this network: {reason}")
        model = build(graph)
        (folder / MODEL_FILE).write_bytes(model.SerializeToString(deterministic=True))
        return _notes(graph)


def _too_large(graph: Graph) -> str | None:
    size = 0
    for node in graph.nodes:
        size += sum(array.nbytes for array in parameters(node.op).values())
        if size > LARGEST_FILE:
            return f"node {node.name!r} ({node.kind}) takes the parameters past the 2 GiB that an ONNX file can hold"
    return None


def _notes(graph: Graph) -> dict[str, Any]:
    return {
        "profile": "integer",
        "opset": OPSET,
        "ir_version": IR_VERSION,
        "written_with": f"onnx {onnx.__version__}",
        "loop": "Scan" if graph.steps > 1 else "none",
        "input": "direct encoding: one image, shown at every step",
        "exact": "every neuron layer at every step, and the logits",
        "not_expressed": [
            "event frames as an input of the file: run feeds them to its tensor 'frames' (T > 1)",
            "pipelined timing: every layer works in the same step",
        ],
    }
