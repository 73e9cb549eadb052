"""Holds a file of ours against what the exporter would write for the network that was read from it."""

from __future__ import annotations

from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, helper

from snn2chip.errors import UserError
from snn2chip.exporters.onnx_form.file import read_model
from snn2chip.exporters.onnx_form.names import VERSION


def check_same(path: Path, written: ModelProto) -> None:
    """UserError, naming what differs, where the file at `path` is not `written`; the tool's version may differ."""
    found = read_model(path)
    written.producer_version = found.producer_version
    properties = {entry.key: entry.value for entry in written.metadata_props}
    version = [entry.value for entry in found.metadata_props if entry.key == VERSION]
    helper.set_model_props(written, {**properties, VERSION: version[0] if version else ""})
    if found.SerializeToString(deterministic=True) != written.SerializeToString(deterministic=True):
        raise UserError(
            f"{path}: {_difference(found.graph, written.graph)} is not what its own description of the network says: "
            f"the file was changed, or written by another version: export the network anew"
        )


def _difference(found: GraphProto, written: GraphProto) -> str:
    for kind, ours, theirs in (
        ("node", _nodes(found), _nodes(written)),
        ("the constant", found.initializer, written.initializer),
    ):
        theirs_by_name = {item.name: item for item in theirs}
        for item in ours:
            if item != theirs_by_name.get(item.name):
                return f"{kind} {item.name!r}"
        if missing := set(theirs_by_name) - {item.name for item in ours}:
            return f"{kind} {min(missing)!r}, which it lacks,"
    return "something in it"


def _nodes(graph: GraphProto) -> list[NodeProto]:
    """Those of a loop's body first: they bear the names of the network."""
    bodies = [attribute.g for node in graph.node for attribute in node.attribute if attribute.name == "body"]
    return [*(node for body in bodies for node in body.node), *graph.node]
