"""Reads the ONNX files that snn2chip itself wrote (``docs/onnx.md``): their description, and their weights.

The operators are not interpreted here: `snn2chip.api` has the exporter write the network again, and compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are a package of their own
from onnx import ModelProto, TensorProto

from snn2chip import graph_io, spec
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph, check_size

#: What the exporter calls these properties.
_FORM, _GRAPH = "snn2chip.form", "snn2chip.graph"
_FOREIGN = (
    "ONNX files are read only where snn2chip wrote them, for operators of others do not say what was trained: give the "
    "network as .pt2 (torch.export), as a state_dict with --arch, or as .nir"
)
#: How weights are stored, by their type: what zero is, and the type to count in.
_WEIGHTS: Mapping[int, tuple[str, int]] = {
    TensorProto.UINT8: ("u1", 128),
    TensorProto.INT8: ("i1", 0),
    TensorProto.FLOAT: ("<f4", 0),
}
_NUMBERS = ("int32", "float64")


def read_onnx(path: Path) -> tuple[Graph, str]:
    """(integer graph, name of the form) of a file that an ONNX form of ours wrote.

    Raises: UserError where the file is no ONNX or not ours, or where its description does not fit its weights.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError:
        raise UserError(f"{path}: this is not an ONNX file, or it is truncated: write it anew") from None
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if not {_FORM, _GRAPH} <= set(properties):
        raise UserError(f"{path}: it was not written by snn2chip. {_FOREIGN}")
    try:
        graph = graph_io.from_document(*_content(model, properties[_GRAPH]))
        spec.check_integer(graph)
    except GraphError as error:
        raise UserError(f"{path}: {error}: export the network anew") from None
    return graph, properties[_FORM]


def _content(model: ModelProto, text: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The graph's document and tensors; GraphError where they are malformed."""
    try:
        document = json.loads(text)
        tensors = {name: _numbers(name, entry) for name, entry in document["tensors"].items()}
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in document["nodes"]:
            if node["name"] in document["weights"]:
                tensors[f"{node['name']}/weight"] = _weight(node, document["weights"][node["name"]], constants)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise GraphError(f"its description of the network is malformed ({type(error).__name__}: {error})") from None
    return document, tensors


def _numbers(name: str, entry: Mapping[str, Any]) -> Array:
    if entry["dtype"] not in _NUMBERS:
        raise GraphError(f"its description gives {name!r} as {entry['dtype']}")
    check_size(tuple(entry["shape"]))
    return np.array(entry["values"], entry["dtype"]).reshape(entry["shape"])


def _weight(node: Mapping[str, Any], entry: Mapping[str, Any], constants: Mapping[str, TensorProto]) -> Array:
    """int8, as the operation has them."""
    if entry["tensor"] not in constants:
        raise GraphError(f"node {node['name']!r}: its weights {entry['tensor']!r} are not in the file")
    stored = _stored(node["name"], constants[entry["tensor"]])
    if node["op"] == "Linear":
        stored = stored.reshape(stored.shape[:2])
    whole = stored.T if entry["transposed"] else stored
    if "place" in entry:
        whole = _part(whole, entry["place"], entry["shape"], node["attributes"]["groups"])
    with np.errstate(invalid="ignore"):  # not a number becomes some number, and differs
        weight = whole.astype(np.int8)
    if not (weight == whole).all():
        raise GraphError(f"node {node['name']!r}: its weights are not all whole numbers from -127 to 127")
    return weight


def _part(merged: Array, place: list[int], shape: list[int], groups: int) -> Array:
    """One convolution's weights ``[O, C / groups, Kh, Kw]`` out of those of several, ``[O, sum of C, ...]``."""
    (channel, row, column), (outputs, inputs, height, width) = place, shape
    if not 1 <= groups <= outputs or outputs % groups or outputs != len(merged):
        raise ValueError(f"{groups} groups of weights {tuple(shape)} do not lie in {merged.shape}")
    window = merged[:, channel : channel + groups * inputs, row : row + height, column : column + width]
    by_group = window.reshape(groups, outputs // groups, groups, inputs, height, width)
    own = np.arange(groups)
    return by_group[own, :, own].reshape(outputs, inputs, height, width)


def _stored(name: str, tensor: TensorProto) -> Array:
    if tensor.data_type not in _WEIGHTS or tensor.data_location == TensorProto.EXTERNAL:
        raise GraphError(f"node {name!r}: its weights are stored in an unknown way")
    dtype, zero = _WEIGHTS[tensor.data_type]
    values = np.frombuffer(tensor.raw_data, dtype).reshape(tuple(tensor.dims))
    return values if dtype == "<f4" else values.astype(np.int16) - zero
