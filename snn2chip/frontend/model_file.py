"""Reading ``model.pt``. Files are hostile until read safely: nothing in them ever runs."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn2chip import nn as networks
from snn2chip.errors import UserError

#: How torch's restricted unpickler names what it refuses: a class or function of a module, or a call of one.
_CALLS_CODE = ("GLOBAL", "REDUCE", "NEWOBJ", "BUILD")


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
    content = _load(path)
    if not isinstance(content, dict) or content.get("format") != networks.FORMAT:
        raise UserError(_foreign(path, content))
    try:
        arch, arch_kwargs, state = content["arch"], content["arch_kwargs"], content["state_dict"]
        input_shape, largest = tuple(int(n) for n in content["input_shape"]), int(content.get("input_largest", 255))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: the checkpoint's {error} is missing or malformed: save it again with nn.save"
        ) from None
    model = _build(path, arch, arch_kwargs, state)
    _check_finite(path, model.state_dict())
    known = {"format", "arch", "arch_kwargs", "state_dict", "input_shape", "input_largest"}
    metadata = {str(key): _plain(path, key, value) for key, value in content.items() if key not in known}
    return Checkpoint(path, model, input_shape, largest, metadata)


def _plain(path: Path, key: Any, value: Any) -> Any:
    """What JSON makes of `value`: it goes into a manifest, and has to come back the same."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: its {key!r} is no plain JSON value ({error}): save it again with nn.save") from None
    return json.loads(text)


def _load(path: Path) -> Any:
    if not path.exists():
        raise UserError(f"{path}: no such file: give the path of a checkpoint, such as one that 'snn2chip train' wrote")
    if path.is_dir():
        raise UserError(f"{path}: this is a folder: give the path of a checkpoint file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a foreign pickle protocol: what matters is the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not any(sign in str(error) for sign in _CALLS_CODE):
            raise UserError(f"{path}: this is not a PyTorch checkpoint, or it is damaged") from None
        raise UserError(
            f"{path}: refused, because it holds pickled objects that would run code when they are loaded: "
            "save plain tensors instead, with snn2chip.nn.save(model, path)"
        ) from None
    except PermissionError:
        raise UserError(f"{path}: permission denied: make the file readable") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: this is not a PyTorch checkpoint, or it is damaged") from error


def _foreign(path: Path, content: Any) -> str:
    if isinstance(content, dict) and isinstance(content.get("format"), str):
        return f"{path}: its format is {content['format']!r}, but this version reads {networks.FORMAT!r}"
    holds = "a dictionary" if isinstance(content, dict) else f"a {type(content).__name__}"
    return (
        f"{path}: it holds {holds} without a {networks.FORMAT!r} header: load the weights into a network of "
        "snn2chip.nn.build(...) and save that with snn2chip.nn.save(model, path, input_shape=[C, H, W])"
    )


def _check_finite(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{path}: tensor {name!r} holds NaN or infinite values: the training diverged, train again")


def _build(path: Path, arch: Any, arch_kwargs: Any, state: Any) -> nn.Module:
    """The network, first without memory for its weights: a file that asks for terabytes is refused, not tried."""
    if not isinstance(arch_kwargs, dict):
        raise UserError(f"{path}: its arch_kwargs are no dictionary: save it again with nn.save")
    if not isinstance(state, dict) or not all(map(_is_plain_tensor, state.values())):
        raise UserError(f"{path}: its state_dict is not a dictionary of tensors (dense, real): save it with nn.save")
    try:
        with torch.device("meta"):
            model = networks.build(arch, arch_kwargs)
        model.load_state_dict(state, assign=True)
        model.to(torch.float32)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (RuntimeError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: its weights do not fit its architecture {arch!r}: {detail}") from None
    return model.eval()


def _is_plain_tensor(value: Any) -> bool:
    if not isinstance(value, torch.Tensor) or value.is_meta:
        return False
    return value.layout == torch.strided and not value.is_quantized and not value.is_complex()
