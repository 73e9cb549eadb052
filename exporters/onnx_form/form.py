"""The exporters: each refuses what its file cannot express, and writes what it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import onnx
from onnx import ModelProto, TensorProto

from snn2chip.errors import UserError
from snn2chip.exporters.base import Executor
from snn2chip.exporters.onnx_form.confirm import check_same
from snn2chip.exporters.onnx_form.execute import OnnxRuntime
from snn2chip.exporters.onnx_form.functions import OPSET
from snn2chip.exporters.onnx_form.model import INTEGER, IR_VERSION, Dialect, build
from snn2chip.exporters.onnx_form.names import MODEL_FILE
from snn2chip.exporters.onnx_form.qlinear import QLINEAR_RULES, in_integers, whole_in_integers
from snn2chip.exporters.onnx_form.real_rules import REAL_RULES, inexact
from snn2chip.graph import Graph, parameters
from snn2chip.ops import Input
from snn2chip.spec import broken_rule

#: A protobuf message ends at 2 GiB; weights are kept inside the file.
LARGEST_FILE = 2**31 - 1

_LOCKSTEP = "pipelined timing: every layer works in the same step"


class OnnxExporter:
    """``model.onnx``: standard integer operators, with the neuron as a function that the file itself defines."""

    name = "onnx"
    files: tuple[str, ...] = (MODEL_FILE,)
    executors: tuple[Executor, ...] = (OnnxRuntime(),)
    dialect = INTEGER
    weight_bytes = 1
    notes: ClassVar[dict[str, Any]] = {
        "profile": "integer",
        "input": "direct encoding: one image, shown at every step",
        "not_expressed": [
            "event frames as an input of the file: run feeds them to its tensor 'frames' (T > 1)",
            _LOCKSTEP,
        ],
    }

    def refusal(self, graph: Graph) -> str | None:
        """None where the form can express `graph`; else one sentence that names the node and the reason."""
        for node in graph.nodes:
            if not isinstance(node.op, (Input, *self.dialect.rules)):
                return f"node {node.name!r} ({node.kind}) has no integer ONNX form"
        return self._too_large(graph) or broken_rule(graph) or self._beyond(graph)

    def write(self, graph: Graph, folder: Path) -> dict[str, Any]:
        """Write the file into `folder`. Returns notes; UserError where `refusal` has something to say."""
        if reason := self.refusal(graph):
            raise UserError(f"the {self.name} form cannot express this network: {reason}")
        (folder / self.files[0]).write_bytes(self._build(graph).SerializeToString(deterministic=True))
        return self._notes(graph)

    def confirm(self, graph: Graph, path: Path) -> None:
        """UserError where the file at `path`, which was read as `graph`, is not what `write` makes of it."""
        if reason := self.refusal(graph):
            raise UserError(f"{path}: the {self.name} form cannot express what it describes: {reason}")
        check_same(path, self._build(graph))

    def _build(self, graph: Graph) -> ModelProto:
        return build(graph, self.dialect)

    def _beyond(self, graph: Graph) -> str | None:
        """What this form cannot say of a legal integer graph."""
        return None

    def _too_large(self, graph: Graph) -> str | None:
        size = 0
        for node in graph.nodes:
            size += self.weight_bytes * sum(array.nbytes for array in parameters(node.op).values())
            if size > LARGEST_FILE:
                return (
                    f"node {node.name!r} ({node.kind}) takes the parameters past the 2 GiB that an ONNX file can hold"
                )
        return None

    def _notes(self, graph: Graph) -> dict[str, Any]:
        return {
            "opset": OPSET,
            "ir_version": IR_VERSION,
            "written_with": f"onnx {onnx.__version__}",
            "loop": "Scan" if graph.steps > 1 and self.dialect.layout != "step" else "none",
            "exact": "every neuron layer at every step, and the logits",
            **self.notes,
        }


class OnnxFrames(OnnxExporter):
    """``model.frames.onnx``: as ``model.onnx``, but ``x`` holds one frame a step."""

    name = "onnx-frames"
    files = ("model.frames.onnx",)
    executors = (OnnxRuntime("model.frames.onnx"),)
    dialect = Dialect("onnx-frames", INTEGER.rules, "frames")
    notes: ClassVar[dict[str, Any]] = {
        "profile": "integer",
        "input": "x [batch, T, ...]: one frame a step",
        "not_expressed": [_LOCKSTEP],
    }

    def _beyond(self, graph: Graph) -> str | None:
        if graph.steps == 1:
            return f"node {graph.input.name!r} (Input) gives the only frame of T = 1, which the onnx form takes"
        return None


class OnnxStep(OnnxExporter):
    """``model.step.onnx``: one step; every state is an input and an output."""

    name = "onnx-step"
    files = ("model.step.onnx",)
    executors = (OnnxRuntime("model.step.onnx"),)
    dialect = Dialect("onnx-step", INTEGER.rules, "step")
    notes: ClassVar[dict[str, Any]] = {
        "profile": "integer, single step",
        "input": "the frame of one step and every state, which is zero before the first step",
        "not_expressed": ["the sum of the logits over the steps", _LOCKSTEP],
    }


class OnnxFloat(OnnxExporter):
    """``model.float.onnx``: the integers in float32 and plain operators, where every partial sum is proven exact."""

    name = "onnx-float"
    files = ("model.float.onnx",)
    executors = (OnnxRuntime("model.float.onnx"),)
    dialect = Dialect("onnx-float", REAL_RULES, wide=TensorProto.FLOAT)
    weight_bytes = 4
    notes: ClassVar[dict[str, Any]] = {
        "profile": "float32 that holds integers",
        "input": "direct encoding: one image, shown at every step",
        "not_expressed": ["event frames as an input of the file", _LOCKSTEP],
    }

    def _beyond(self, graph: Graph) -> str | None:
        return inexact(graph)


class OnnxQLinear(OnnxExporter):
    """``model.qlinear.onnx``: layers and their neurons in one quantized kernel where that is exact (T = 1)."""

    name = "onnx-qlinear"
    files = ("model.qlinear.onnx",)
    executors = (OnnxRuntime("model.qlinear.onnx"),)
    dialect = Dialect("onnx-qlinear", QLINEAR_RULES)
    notes: ClassVar[dict[str, Any]] = {
        "profile": "quantized",
        "input": "one image or frame",
        "not_expressed": [_LOCKSTEP],
    }

    def _beyond(self, graph: Graph) -> str | None:
        return whole_in_integers(graph)

    def _notes(self, graph: Graph) -> dict[str, Any]:
        return {**super()._notes(graph), "in_integer_operators": in_integers(graph)}
