"""Reads a written file, and makes the two changes in memory that verifying needs: outputs, and frames."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are a package of their own
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from snn2chip.errors import CheckFailed, UserError
from snn2chip.exporters.onnx_form.names import FORM, FRAMES, LARGEST, LEVELS, STATES, STEPS
from snn2chip.graph import Array


def read_model(path: Path) -> ModelProto:
    """The ONNX model; UserError where the file is missing, or was not written by this exporter."""
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: export the network first") from None
    except DecodeError:
        raise UserError(f"{path} is not an ONNX file, or is truncated: export the network again") from None
    properties = _properties(model)
    if not all(properties.get(key, "").isdecimal() for key in (STEPS, LARGEST)):
        raise UserError(f"{path} was not written by snn2chip: it lacks the properties {STEPS} and {LARGEST}")
    for key in (LEVELS, STATES):
        if not _is_object(properties.get(key, "{}")):
            raise UserError(f"{path}: its property {key} is malformed: export the network again")
    return model


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def steps_of(model: ModelProto) -> int:
    """T."""
    return int(_properties(model)[STEPS])


def next_states(model: ModelProto) -> Mapping[str, str] | None:
    """Of a single-step file: the output that each state input takes at the next step; None for other files."""
    states = _properties(model).get(STATES)
    return None if states is None else {str(before): str(after) for before, after in json.loads(states).items()}


def takes_frames(model: ModelProto, path: Path, inputs: Array) -> bool:
    """Whether `inputs` are one frame per step (else: one image for all); UserError where they do not fit."""
    properties = _properties(model)
    steps, largest = int(properties[STEPS]), int(properties[LARGEST])
    shape = tuple(dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim)[1:]
    shape = shape[1:] if wants_frames(model) else shape
    if inputs.dtype != np.uint8:
        raise UserError(f"the input has dtype {inputs.dtype}, but {path} takes uint8")
    if inputs.shape[1:] not in (shape, (steps, *shape)):
        wanted = ", ".join(map(str, shape))
        takes = f"[B, {wanted}] or [B, T={steps}, {wanted}]"
        raise UserError(f"the input has shape {inputs.shape}, but {path} takes {takes}")
    if inputs.size and int(inputs.max()) > largest:
        raise UserError(f"the input holds {int(inputs.max())}, but {path} takes values 0..{largest}")
    return inputs.shape[1:] != shape


def wants_frames(model: ModelProto) -> bool:
    """Whether the file's own input holds one frame a step."""
    return _properties(model).get(FORM) == "onnx-frames"


def has_steps(model: ModelProto) -> bool:
    """Whether the model loops over time steps (T > 1)."""
    return _scan(model) is not None


def cut_at_frames(model: ModelProto) -> None:
    """Make ``frames [T, batch, *shape]`` the input, in place of what the file makes it of."""
    graph = model.graph
    (frames,) = [info for info in graph.value_info if info.name == FRAMES]
    del graph.input[:]
    graph.input.append(frames)
    made, kept = {FRAMES}, []
    for node in reversed(graph.node):
        if made.isdisjoint(node.output):
            kept.append(node)
        else:
            made.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def expose(model: ModelProto, path: Path, names: Sequence[str]) -> dict[str, str]:
    """Make outputs of what the nodes `names` yield: tensor by node, stacked over the steps where there is a loop.

    Raises: CheckFailed where the file has no such node.
    """
    scan = _scan(model)
    inner = model.graph if scan is None else _body(scan)
    nodes = {node.name: node for node in inner.node}
    tensors = {}
    for name in names:
        if name not in nodes:
            raise CheckFailed(f"{path}: it has no node {name!r}")
        node = nodes[name]
        tensors[name] = str(node.output[0])
        _add_output(inner, tensors[name], _type(model, name))
        if scan is not None:
            tensors[name] = _through(scan, inner, tensors[name])
            _add_output(model.graph, tensors[name], _type(model, name))
    return tensors


def _through(scan: NodeProto, body: GraphProto, tensor: str) -> str:
    """The Scan's output that stacks `tensor` of its body."""
    position = [output.name for output in body.output].index(tensor)
    if position == len(scan.output):
        scan.output.append(f"{tensor}/steps")
    return str(scan.output[position])


def _add_output(graph: GraphProto, tensor: str, element_type: int) -> None:
    if tensor not in {output.name for output in graph.output}:
        graph.output.append(helper.make_tensor_value_info(tensor, element_type, None))


def _type(model: ModelProto, name: str) -> int:
    """Of what the node yields: spikes are bytes, save in floating point; whatever else is asked for is int32."""
    properties = _properties(model)
    if name not in json.loads(properties.get(LEVELS, "{}")):
        return int(TensorProto.INT32)
    return int(TensorProto.FLOAT if properties.get(FORM) == "onnx-float" else TensorProto.UINT8)


def _scan(model: ModelProto) -> NodeProto | None:
    return next((node for node in model.graph.node if node.op_type == "Scan"), None)


def _body(scan: NodeProto) -> GraphProto:
    body: GraphProto = next(attribute.g for attribute in scan.attribute if attribute.name == "body")
    return body


def _properties(model: ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}
