"""Building networks by name, and writing them to a file that loads without running code."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn2chip.errors import UserError
from snn2chip.files import write_bytes
from snn2chip.nn.networks import resnet, resnet19
from snn2chip.nn.vgg import vgg, vgg11, vgg16

FORMAT = "snn2chip-model-1"
#: A named configuration is saved as the network that it is one of.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "resnet": resnet,
    "resnet19": resnet19,
    "vgg": vgg,
    "vgg11": vgg11,
    "vgg16": vgg16,
}

_PLAIN = (str, int, float, bool, type(None))


def build(arch: str, arch_kwargs: dict[str, Any]) -> nn.Module:
    """The network that ``arch`` names, with fresh weights.

    Raises:
        UserError: ``arch`` is unknown, or ``arch_kwargs`` are not what it takes or ask for too much.
    """
    if arch not in ARCHITECTURES:
        raise UserError(f"Unknown architecture {arch!r}; known are {', '.join(sorted(ARCHITECTURES))}.")
    try:
        return ARCHITECTURES[arch](**arch_kwargs)
    except TypeError as error:
        raise UserError(f"Architecture {arch!r} does not take these arch_kwargs: {error}.") from error


def save(model: nn.Module, path: str | os.PathLike[str], **metadata: Any) -> Path:
    """Writes ``model`` atomically as a ``snn2chip-model-1`` file of plain types and tensors.

    Keys: format, arch, arch_kwargs, state_dict, and ``metadata`` as given (input_shape, class_names, recipe,
    accuracy, ...).  The file loads with ``torch.load(path, weights_only=True)``.

    Raises:
        UserError: ``model`` was not made by `build`, or ``metadata`` holds more than plain types and lists.
    """
    arch = getattr(model, "arch", None)
    if arch not in ARCHITECTURES:
        raise UserError(f"save: a {type(model).__name__} was not made by snn2chip.nn.build; only those are saved.")
    for key, value in metadata.items():
        _check_plain(key, value)
    state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    header = {"format": FORMAT, "arch": arch, "arch_kwargs": model.arch_kwargs}
    return write_atomically({**header, **metadata, "state_dict": state}, path)


def write_atomically(content: dict[str, Any], path: str | os.PathLike[str]) -> Path:
    """``torch.save``, whole or not at all: a kill or a full disk leaves the old file as it was."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(Path(path), buffer.getvalue())
    return Path(path)


def _check_plain(key: str, value: Any) -> None:
    if isinstance(value, _PLAIN):
        return
    if isinstance(value, list):
        for item in value:
            _check_plain(key, item)
        return
    if isinstance(value, dict):
        for name, item in value.items():
            _check_plain(f"{key}.{name}", item)
        return
    raise UserError(f"save: metadata {key!r} is a {type(value).__name__}, which is not a plain type, list or dict.")
