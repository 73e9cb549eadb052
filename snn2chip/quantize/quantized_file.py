"""The file that ``snn2chip quantize`` writes: an integer network in one ``.safetensors``.

Tensors are those of the graph document (``node/field``, and ``node/unit``), and the header's metadata are three texts:
``format``; ``model``, a JSON object with ``graph`` (`snn2chip.graph_io`), ``class_names``, ``metadata`` and
``quantization``; ``digest``, a sha256 over the model text and every tensor. Nothing in such a file can run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip import files, graph_io, spec
from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Array, Graph

FORMAT = "snn2chip-integer-1"
#: The largest network is one of `snn2chip.graph.LARGEST_TENSOR` weights, a few times over.
MOST_BYTES = 2**32
_MOST_MODEL_CHARACTERS = 2**26
_MEND = "quantize the model again"


@dataclass(frozen=True)
class QuantizedModel:
    """An integer network and what is known about it.

    Attributes:
        graph: legal by `snn2chip.spec.check_integer`.
        class_names: one a class, or empty.
        metadata: plain JSON values of the float model: its data set, accuracy, source, ...
        quantization: how it was quantized and what that cost, as plain JSON values.
    """

    graph: Graph
    class_names: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    quantization: Mapping[str, Any] = field(default_factory=dict)


def write_quantized(path: str | Path, model: QuantizedModel) -> None:
    """Write `model` whole or not at all; the same model gives the same bytes.

    Raises: GraphError where the graph is not legal, UserError where the file cannot be written.
    """
    from safetensors.numpy import save

    spec.check_integer(model.graph)
    document, tensors = graph_io.to_document(model.graph)
    content = {
        "graph": document,
        "class_names": list(model.class_names),
        "metadata": dict(model.metadata),
        "quantization": dict(model.quantization),
    }
    text = json.dumps(content, sort_keys=True, allow_nan=False, ensure_ascii=False)
    header = {"format": FORMAT, "model": text, "digest": _digest(text, tensors)}
    plain = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    files.write_bytes(Path(path), _in_order(save(plain, header)))


def _in_order(content: bytes) -> bytes:
    """The same safetensors file with its metadata sorted: their order is random as the library writes them."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data stay aligned
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def read_quantized(path: str | Path) -> Graph:
    """The integer graph of a file that `write_quantized` wrote; errors as of `read_model`."""
    return read_model(path).graph


def read_model(path: str | Path) -> QuantizedModel:
    """What `write_quantized` wrote.

    Raises: UserError, one sentence that names the file and the mend, where it is missing, something else, damaged,
    changed after it was written, or no legal network.
    """
    path = Path(path)
    files.check_regular(path, MOST_BYTES)
    header, tensors = _content(path)
    text = header.get("model", "")
    if header.get("format") != FORMAT:
        raise UserError(f"{path}: its format is {header.get('format')!r} instead of {FORMAT!r}: {_MEND}")
    if header.get("digest") != _digest(text, tensors):
        raise UserError(f"{path}: it was changed after it was written (its digest differs): {_MEND}")
    try:
        if len(text) > _MOST_MODEL_CHARACTERS:
            raise GraphError(f"its description has {len(text)} characters")
        return _model(json.loads(text), tensors)
    except (GraphError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: {error}: {_MEND}") from None


def _content(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = dict(file.metadata() or {})
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, MemoryError) as error:
        detail = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: this is not a safetensors file, or it is damaged ({detail}): {_MEND}") from None


def _model(content: Any, tensors: Mapping[str, Array]) -> QuantizedModel:
    if not isinstance(content, dict) or not isinstance(content.get("graph"), dict):
        raise GraphError("it describes no graph")
    names, metadata, quantization = (content.get(key) for key in ("class_names", "metadata", "quantization"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise GraphError("its class_names are no list of names")
    if not isinstance(metadata, dict) or not isinstance(quantization, dict):
        raise GraphError("its metadata or quantization is no JSON object")
    graph = graph_io.from_document(content["graph"], tensors)
    spec.check_integer(graph)
    return QuantizedModel(graph, tuple(names), metadata, quantization)


def _digest(text: str, tensors: Mapping[str, Array]) -> str:
    state = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        state.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        state.update(np.ascontiguousarray(tensor).tobytes())
    return state.hexdigest()
