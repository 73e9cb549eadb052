"""``.safetensors`` files: an integer network of our own, or weights whose architecture is named elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from snn2chip import files
from snn2chip.errors import UserError
from snn2chip.files import check_regular
from snn2chip.frontend.readers.archive import MOST_BYTES
from snn2chip.frontend.readers.state import State

#: Names the network that the weights beside it belong to.
ARCHITECTURE = "arch.json"
_MOST_ARCHITECTURE_BYTES = 2**20
_UNREADABLE = (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, MemoryError)


def read_metadata(path: Path) -> Mapping[str, str]:
    """The texts in the header; UserError where the file is missing or no safetensors file."""
    check_regular(path, MOST_BYTES)
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except _UNREADABLE as error:
        raise UserError(_damaged(path, error)) from None


def read_weights(path: Path) -> State:
    """Name to tensor; UserError where the file is damaged or holds types that PyTorch has not got."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except _UNREADABLE as error:
        raise UserError(_damaged(path, error)) from None


def read_architecture(path: Path) -> Mapping[str, Any]:
    """The ``arch.json`` beside the weights: what `snn2chip.nn.save` writes into a checkpoint, but for the weights.

    It may only name architectures of `snn2chip.nn`: what a file brings along must not choose which code runs.
    """
    beside = path.with_name(ARCHITECTURE)
    if not beside.exists():
        raise UserError(
            f"{path}: these are weights alone: name their network with --arch package.module:factory and --input-shape "
            f"C,H,W, or put an {ARCHITECTURE} beside them"
        )
    check_regular(beside, _MOST_ARCHITECTURE_BYTES)
    header = files.read_json(beside)
    if not isinstance(header, dict):
        raise UserError(
            f'{beside}: it is no JSON object: write {{"arch": ..., "arch_kwargs": ..., "input_shape": ...}}'
        )
    return header


def _damaged(path: Path, error: BaseException) -> str:
    detail = " ".join(str(error).split())[:120]
    return f"{path}: this is not a safetensors file, or it is damaged ({detail}): write it again"
