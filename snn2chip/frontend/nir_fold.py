"""NIR files of this project, folded back to the integer graph that they were written from: `read_own`.

The exporter leaves a note in the metadata: nodes and thresholds. Weights and biases come from the NIR nodes that carry
them, and the graph's digest ties both together. That the other nodes, too, are what the exporter writes for this graph
is for the exporter to confirm (`snn2chip.exporters.nir_form`), as `snn2chip.api.compile_file` lets it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snn2chip import graph_io, spec
from snn2chip.errors import GraphError, UserError, naming
from snn2chip.frontend.hdf5 import open_checked
from snn2chip.frontend.hdf5_record import as_text, shown
from snn2chip.frontend.nir_document import GRAPH, MOST_NODES, NirNode
from snn2chip.graph import Array, Graph

#: The forms that write files, by the profile that the note names.
FORMS: Mapping[str, str] = {
    "portable": "nir",
    "compact": "nir-compact",
    "snntorch": "nir-snntorch",
    "composed": "nir-composed",
    "unrolled": "nir-unrolled",
}
_DTYPES = {"weight": np.int8, "unit": np.float64}
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError)
#: What the note of a graph holds in any case, and nobody else's metadata.
_PARTS = ('"profile"', '"graph"', '"steps"')
_MEND = "export the network anew, or delete the note to have the nodes read as they are"


class NoteError(GraphError):
    """A note of ours is there, but cannot be read or lacks a part."""


@dataclass(frozen=True)
class Folded:
    """The graph of a file, and the name of the form that writes such files."""

    graph: Graph
    form: str


def read_own(path: str | Path) -> Folded | None:
    """What the file's note and nodes say together.

    None for a file without a note of ours, which somebody else wrote, and for one whose note says that the graph was
    left out of it.

    Raises: UserError where the file cannot be read; NoteError where there is a note, but it is damaged; GraphError
    where note and nodes do not fit. All name the file.
    """
    with open_checked(path) as file, naming(path):  # what `open_checked` raises names the file itself
        root = file.get("node")
        try:
            return _folded(root) if isinstance(root, h5py.Group) and _stored_note(root) is not None else None
        except OSError as error:  # what HDF5 raises where the data themselves are damaged
            raise UserError(f"this HDF5 file is damaged ({error}): write it again") from None


def _folded(root: h5py.Group) -> Folded | None:
    note = read_note(root)
    form, document = _form(note), note["graph"]
    if document is None:  # it would have been too long
        return None
    try:
        graph = graph_io.from_document(document, dict(_tensors(document, root)))
        spec.check_integer(graph)
    except NoteError:
        raise
    except (*_MALFORMED, RecursionError, GraphError) as error:
        detail = error if isinstance(error, GraphError) else f"{type(error).__name__} {error}"
        raise GraphError(
            f"its note 'snn2chip' and its nodes do not fit ({str(detail)[:300]}): it was changed after export: {_MEND}"
        ) from None
    return Folded(graph, form)


def _form(note: Mapping[str, Any]) -> str:
    """The form that the note of a graph names. Raises: NoteError where a part of the note is missing or unknown."""
    profile = note.get("profile")
    if not isinstance(profile, str) or profile not in FORMS:
        raise NoteError(
            f"its note 'snn2chip' names no profile that this version knows ({', '.join(FORMS)}): it was changed after "
            f"export, or written by another version: {_MEND}"
        )
    if "graph" not in note or not isinstance(note["graph"], (dict, type(None))):
        raise NoteError(
            f"its note 'snn2chip' lacks the part 'graph': it was changed after export, or written by another version: "
            f"{_MEND}"
        )
    return FORMS[profile]


def read_note(group: h5py.Group) -> dict[str, Any]:
    """What `snn2chip.exporters.nir_form` wrote into the metadata of a node or graph; empty in files from elsewhere.

    Raises: NoteError naming the group where a note is there, but is no JSON object.
    """
    note = _stored_note(group)
    if note is None:
        return {}
    try:
        facts: Any = json.loads(_text(note))
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise NoteError(
            f"the note 'snn2chip' of {shown(str(group.name))} is damaged, for it is no JSON object: {_MEND}"
        )
    return facts


def _stored_note(group: h5py.Group) -> object:
    """The note as it lies in the file, or None. Raises: NoteError where it lies there under a name that is not its."""
    metadata = group.get("metadata")
    if not isinstance(metadata, h5py.Group):
        return None
    for key in metadata if "snn2chip" not in metadata else ():
        if all(part in _text(metadata[key]) for part in _PARTS):
            raise NoteError(f"its note 'snn2chip' is damaged, for it is called {shown(key)}: {_MEND}")
    return metadata.get("snn2chip")


def _text(entry: object) -> str:
    """The text of an entry; empty where it is none."""
    return (as_text(entry[()]) if isinstance(entry, h5py.Dataset) and entry.shape is not None else None) or ""


def _tensors(document: Mapping[str, Any], root: h5py.Group) -> Iterator[tuple[str, Array]]:
    """Parameters by ``node/field``: those in the note, then those in the nodes."""
    for key, values in document["tensors"].items():
        yield key, np.array(values, dtype=_DTYPES.get(key.rpartition("/")[2], np.int32))
    attributes = {node["name"]: node["attributes"] for node in document["nodes"]}
    found = _nodes_by_source(root)
    for name, entry in document["synapses"].items():
        if name not in found:
            raise GraphError(f"it has no node with the weights of {name!r}")
        weight = _weight(found[name], attributes[name], tuple(entry["shape"]))
        yield f"{name}/weight", weight.astype(np.int8)
        if entry["bias"]:
            yield f"{name}/bias", found[name].array("bias").astype(np.int32)


def _nodes_by_source(root: h5py.Group) -> dict[str, NirNode]:
    """The first Conv2d for each of our nodes: an unrolled network has one for each step."""
    nodes = root["nodes"]
    if len(nodes) > MOST_NODES:
        raise GraphError(f"it has more than {MOST_NODES} nodes")
    found: dict[str, NirNode] = {}
    for name in nodes:
        if not isinstance(nodes[name], h5py.Group):
            raise GraphError(f"node {name!r} is a dataset where a group belongs")
        node = NirNode(nodes[name], name, GRAPH)
        if node.text("type") == "Conv2d" and isinstance(source := read_note(nodes[name]).get("source"), str):
            found.setdefault(source, node)
    return found


def _weight(node: NirNode, attributes: Mapping[str, Any], shape: tuple[int, ...]) -> Array:
    """Our weights of `shape`, out of NIR's kernel."""
    kernel = node.array("weight")
    if len(shape) == 2:  # a Linear: its kernel is the whole map
        return _taps(node, kernel, node.pair("input_shape"), (0, 0), (1, 1)).reshape(shape)
    outputs, inputs, *sides = shape
    kernel = _taps(node, kernel, sides, attributes["padding"], attributes["dilation"])
    groups = min(attributes["groups"], len(kernel))
    per_group = outputs // groups
    blocks = [
        kernel[group * per_group : (group + 1) * per_group, group * inputs : (group + 1) * inputs]
        for group in range(groups)  # the rest is the zeros that stand for groups
    ]
    return np.concatenate(blocks)


def _taps(node: NirNode, kernel: Array, sides: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> Array:
    """The kernel of `sides` that was made square by taps of zero, in front of it as many as there is more padding."""
    for axis, side in enumerate(sides):
        lead = (node.pair("padding")[axis] - padding[axis]) // dilation[axis]
        kernel = kernel[(slice(None),) * (2 + axis) + (slice(lead, lead + side),)]
    return kernel
