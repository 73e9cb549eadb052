"""``.pt2`` files that ``torch.export.save`` wrote. What `torch.export.load` gets to see was checked, member by member.

``torch.export.load`` itself is not safe: it unpickles sample inputs, weights and constants, falls back to unsafe
loading, loads compiled libraries, and evaluates text of its JSON (see `program_check`).
"""

from __future__ import annotations

import io
import json
import logging
import math
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from snn2chip.errors import UserError
from snn2chip.frontend.readers import program_check, state, torch_file
from snn2chip.frontend.readers.archive import open_archive, packed, read_member

MODEL = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
CONFIGS = {"data/weights/": "model_weights_config.json", "data/constants/": "model_constants_config.json"}
_PAYLOAD = re.compile(r"data/(weights/weight|constants/tensor)_[0-9]+")
#: Read by torch and harmless: texts that say which version wrote the file.
_TEXTS = ("archive_format", "archive_version", "byteorder", ".data/version", ".data/serialization_id")
#: Members that are no part of the network: other people's notes.
_NOTES = "extra/"
#: Bytes of an element by the numbers that ``torch.export`` has for types: integers, floats, booleans.
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}


def read_program(path: Path) -> ExportedProgram:
    """The exported program in a ``.pt2`` file, on the CPU.

    Raises: UserError, one sentence that names the file, the member and the mend, where it is damaged, of another
    version, would run code, or holds less data than it declares.
    """
    with open_archive(path) as archive:
        root = archive.namelist()[0].split("/")[0] + "/"
        members = {name.removeprefix(root) for name in archive.namelist()}
        _check_members(path, members)
        if SAMPLE_INPUTS in members:
            torch_file.check_nested(f"{path}: {SAMPLE_INPUTS}", read_member(path, archive, root + SAMPLE_INPUTS))
        safe = dict(_safe_members(path, archive, root, members))
    program = _load(path, packed({f"model/{name}": content for name, content in safe.items()}))
    state.check_finite(path, program.state_dict)
    return program


def _check_members(path: Path, members: set[str]) -> None:
    if MODEL not in members or not all(folder + config in members for folder, config in CONFIGS.items()):
        raise UserError(
            f"{path}: it holds no {MODEL} with weights: save it with torch.export.save of PyTorch 2.9 or later"
        )
    known = {MODEL, SAMPLE_INPUTS, *_TEXTS, *(folder + config for folder, config in CONFIGS.items())}
    for name in sorted(members - known):
        if not _PAYLOAD.fullmatch(name) and not name.startswith(_NOTES):
            raise UserError(
                f"{path}: its member {name!r} is no part of a plain network, such as a compiled library or a pickled "
                "object: save the model with torch.export.save, without extras"
            )


def _safe_members(path: Path, archive: zipfile.ZipFile, root: str, members: set[str]) -> Iterator[tuple[str, bytes]]:
    """What torch gets to see. Sample inputs are left out: the network's shapes are in its JSON."""
    for name in _TEXTS:
        if name in members:
            yield name, read_member(path, archive, root + name)
    yield MODEL, _json(program_check.checked(f"{path}: {MODEL}", read_member(path, archive, root + MODEL)))
    yield SAMPLE_INPUTS, b""
    for folder, config in CONFIGS.items():
        where = f"{path}: {folder}{config}"
        document = program_check.checked(where, read_member(path, archive, root + folder + config))
        payloads = document.get("config")
        if not isinstance(payloads, dict):
            raise UserError(f"{where}: it has no table of tensors: save the model again")
        yield folder + config, _json(document)
        needed = sorted({_payload(f"{where}: {name[:80]!r}", folder, entry) for name, entry in payloads.items()})
        contents = {name: read_member(path, archive, root + name) for name in needed}
        for name, entry in payloads.items():
            _check_tensor(f"{where}: {name[:80]!r}", entry, len(contents[folder + entry["path_name"]]))
        yield from contents.items()


def _payload(where: str, folder: str, entry: Any) -> str:
    """The member that holds a tensor's values."""
    name = entry.get("path_name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or entry.get("use_pickle") is not False or not _PAYLOAD.fullmatch(folder + name):
        raise UserError(
            f"{where} is no plain tensor: save the model with plain weights, neither subclasses nor objects"
        )
    return folder + name


def _check_tensor(where: str, entry: Mapping[str, Any], stored: int) -> None:
    """A tensor must lie within its member, and show no more than that holds."""
    meta: Any = entry.get("tensor_meta")
    try:
        sizes, strides = ([_whole(item) for item in meta[key]] for key in ("sizes", "strides"))
        offset, item = _whole(meta["storage_offset"]), _ITEM_BYTES[meta["dtype"]]
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True)) + 1
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{where} has a malformed shape or an unusual type: save the model again") from None
    shown = math.prod(sizes) * item
    if shown > stored or (shown and last * item > stored):
        raise UserError(f"{where} declares {shown} bytes, and its member holds {stored}: save the model again")


def _whole(item: Any) -> int:
    number = item["as_int"]
    if type(number) is not int or not 0 <= number < 2**62:
        raise ValueError(number)
    return number


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _load(path: Path, content: io.BytesIO) -> ExportedProgram:
    try:
        with _quiet():
            return torch.export.load(content)
    except Exception as error:  # torch's readers raise anything, assertions included
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"{path}: PyTorch {torch.__version__} cannot read this exported program ({detail}): save it again with "
            "torch.export.save of this version"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracebacks that torch logs before it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
