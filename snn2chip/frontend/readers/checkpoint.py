"""``snn2chip-model-1``: the checkpoints that `snn2chip.nn.save` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

from torch import nn

from snn2chip import nn as networks
from snn2chip.errors import UserError
from snn2chip.frontend.readers import architecture, state
from snn2chip.frontend.readers.torch_file import read_content

_KNOWN = {"format", "arch", "arch_kwargs", "state_dict", "input_shape", "input_largest"}
#: Values in the metadata, lists in lists counted as often as they are named.
MOST_METADATA = 10**6


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what its file says about it.

    Attributes:
        path: where it was read.
        model: the network with its weights, in evaluation mode.
        input_shape: ``(C, H, W)``.
        largest: the largest input value, 1..255.
        metadata: everything else that the file holds: recipe, class names, accuracy, seed, ...
    """

    path: Path
    model: nn.Module
    input_shape: tuple[int, ...]
    largest: int
    metadata: Mapping[str, Any]


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint that `snn2chip.nn.save` wrote.

    Raises: UserError, one sentence that names the file and the mend, where it is missing, not such a checkpoint, would
    execute code, or holds weights that do not fit or are not finite.
    """
    path = Path(path)
    content = read_content(path)
    if not is_checkpoint(content):
        raise UserError(foreign(path, content))
    return from_content(path, content)


def is_checkpoint(content: Any) -> bool:
    return isinstance(content, dict) and content.get("format") == networks.FORMAT


def from_content(path: Path, content: Mapping[str, Any]) -> Checkpoint:
    """The network that a file describes by the names of `snn2chip.nn`, never by those of somebody's code."""
    try:
        arch, arch_kwargs, weights = content["arch"], content["arch_kwargs"], content["state_dict"]
        input_shape, largest = _shape(content["input_shape"]), index(content.get("input_largest", 255))
    except KeyError as error:
        raise UserError(f"{path}: the checkpoint lacks its {error}: save it again with nn.save") from None
    except (TypeError, ValueError, RuntimeError):
        raise UserError(
            f"{path}: the checkpoint's 'input_shape' or 'input_largest' is malformed, no whole numbers: save it again "
            "with nn.save"
        ) from None
    if not isinstance(arch_kwargs, dict):
        raise UserError(f"{path}: its arch_kwargs are no dictionary: save it again with nn.save")
    try:
        network = architecture.build_own(str(arch), arch_kwargs)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    model = state.load(path, network, state.plain(path, weights), arch)
    metadata = {str(key): plain_json(path, key, value) for key, value in content.items() if key not in _KNOWN}
    return Checkpoint(path, model, input_shape, largest, metadata)


def _shape(shape: Any) -> tuple[int, ...]:
    if isinstance(shape, Mapping):  # its keys would pass for sizes
        raise TypeError
    return tuple(map(index, shape))


def foreign(path: Path, content: Any) -> str:
    """What is wrong with `content` as a checkpoint of ours, and what to do about it."""
    if isinstance(content, dict) and isinstance(content.get("format"), str):
        return f"{path}: its format is {content['format'][:80]!r}, but this version reads {networks.FORMAT!r}"
    holds = "a dictionary" if isinstance(content, dict) else f"a {type(content).__name__}"
    return (
        f"{path}: it holds {holds} without a {networks.FORMAT!r} header, so it does not say which network its weights "
        "belong to: name it with --arch package.module:factory and --input-shape C,H,W, or build it with "
        "snn2chip.nn.build(...) and save it with snn2chip.nn.save(model, path, input_shape=[C, H, W])"
    )


def plain_json(path: Path, key: Any, value: Any) -> Any:
    """What JSON makes of `value`: it goes into a manifest, and has to come back the same."""
    try:
        _check_amount(value)
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: its {key!r} is no plain JSON value ({error}): save it again with nn.save") from None
    return json.loads(text)


def _check_amount(value: Any) -> None:
    """A pickled list may hold another many times, which holds another many times, ...: written out, it never ends."""
    waiting, count = [value], 0
    while waiting:
        found = waiting.pop()
        count += len(found) if isinstance(found, (list, tuple, dict, str)) else 1
        if count > MOST_METADATA:
            raise ValueError("too much of it")
        if isinstance(found, (list, tuple)):
            waiting.extend(found)
        elif isinstance(found, dict):
            waiting.extend(found.values())
