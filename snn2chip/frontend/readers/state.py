"""State_dicts, as others wrap and name them, and how they get into a module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn2chip.errors import UserError

#: Where training scripts keep the weights beside the epoch, the optimizer and their arguments.
WRAPPINGS = ("state_dict", "model_state_dict", "model", "net")
#: What torch.compile puts in front of every name.
_COMPILED = "_orig_mod."
#: What DataParallel, Lightning and their like put in front of every name.
_PREFIXES = ("module.", "model.", "net.")
#: Tied weights are counted as often as they are named.
_MOST_SHARING = 4
_SHOWN = 3

State = Mapping[str, torch.Tensor]


def unwrap(path: Path, content: Any) -> State | nn.Module:
    """The state_dict in what a file holds, or the module itself where one was pickled.

    Raises: UserError where there is none, or more than one.
    """
    for _ in range(4):
        if isinstance(content, nn.Module):
            return content
        if not isinstance(content, Mapping):
            raise UserError(f"{path}: it holds a {type(content).__name__}, no state_dict: save model.state_dict()")
        wrapped = [key for key in WRAPPINGS if isinstance(content.get(key), (Mapping, nn.Module))]
        if not wrapped:
            return plain(path, content)
        if len(wrapped) > 1:
            raise UserError(
                f"{path}: it holds {' and '.join(map(repr, wrapped))}: save the state_dict that counts alone"
            )
        content = content[wrapped[0]]
    raise UserError(f"{path}: its state_dict is wrapped too deeply: save model.state_dict()")


def plain(path: Path, state: Any) -> State:
    """`state`, a mapping of names to dense real tensors that hold every value that they show.

    Raises: UserError naming the entry that is none.
    """
    if not isinstance(state, Mapping) or not state:
        raise UserError(f"{path}: its state_dict is not a dictionary of tensors (dense, real): save model.state_dict()")
    shown, stored = 0, {}
    for name, tensor in state.items():
        if not isinstance(name, str) or not _is_plain_tensor(tensor):
            raise UserError(
                f"{path}: its state_dict is not a dictionary of tensors (dense, real): {str(name)[:80]!r} is a "
                f"{type(tensor).__name__} that is none: save model.state_dict()"
            )
        storage = tensor.untyped_storage()
        stored[storage.data_ptr()] = storage.nbytes()
        shown += tensor.numel() * tensor.element_size()
    if shown > _MOST_SHARING * sum(stored.values()):
        raise UserError(
            f"{path}: its tensors show {shown} bytes but store {sum(stored.values())}: save contiguous ones"
        )
    return state


def _is_plain_tensor(value: Any) -> bool:
    if not isinstance(value, torch.Tensor) or value.is_meta:
        return False
    return value.layout == torch.strided and not value.is_quantized and not value.is_complex()


def load(path: Path, model: nn.Module, state: State, arch: str) -> nn.Module:
    """`model` with the weights of `state`, as float32, in evaluation mode.

    Raises: UserError naming the weights that are missing, left over, of another shape, or not finite.
    """
    expected = model.state_dict()
    state = _renamed(state, expected.keys())
    _check_fit(path, expected, state, arch)
    check_finite(path, state)
    real = {name: tensor.to(torch.float32) for name, tensor in state.items() if expected[name].is_floating_point()}
    state = {**state, **real}  # whole numbers, too, where the network has weights: they cannot be assigned as they are
    on_meta = any(tensor.is_meta for tensor in expected.values())
    try:
        model.load_state_dict(state, assign=on_meta, strict=False)
        model.to(torch.float32)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: its weights do not fit its architecture {arch!r}: {detail}") from None
    return model.eval()


def check_finite(path: Path, state: State) -> None:
    for name, tensor in state.items():
        values = _as_float32(path, name, tensor)  # what is finite in 64 bits need not be in 32
        if not bool(torch.isfinite(values).all()):
            raise UserError(
                f"{path}: tensor {name!r} holds NaN or infinite values as float32: the training diverged, train again"
            )
        if name.endswith("running_var") and bool((values < 0).any()):
            raise UserError(f"{path}: tensor {name!r} holds negative variances: the file is damaged, save it again")


def _as_float32(path: Path, name: str, tensor: torch.Tensor) -> torch.Tensor:
    try:
        return tensor.to(torch.float32)
    except RuntimeError:
        raise UserError(f"{path}: tensor {name!r} is of type {tensor.dtype}: save it as float32") from None


def _renamed(state: State, expected: Iterable[str]) -> State:
    """`state` under the names that the model has: wrappers around a model put something in front of each."""
    known = set(expected)
    if known >= state.keys():
        return state
    renamed = {name.replace(_COMPILED, ""): tensor for name, tensor in state.items()}
    if len(renamed) < len(state):  # two tensors of one name: refused as left over, rather than one of them lost
        return state
    state = renamed
    while not known >= state.keys():
        prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in state)), None)
        if prefix is None or any(name.startswith(prefix) for name in known):
            break
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _check_fit(path: Path, expected: State, state: State, arch: str) -> None:
    def refuse(what: str, names: list[str]) -> None:
        if names:
            shown = ", ".join(repr(name[:80]) for name in names[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise UserError(
                f"{path}: its weights do not fit its architecture {arch!r}, {what} {shown}{more}: check both"
            )

    # Batch norms of the first PyTorch versions did not count their batches, and nothing is computed from it.
    missing = sorted(expected.keys() - state.keys())
    refuse("which also has", [name for name in missing if not name.endswith(".num_batches_tracked")])
    refuse("which lacks", sorted(state.keys() - expected.keys()))
    other = [name for name in sorted(state) if state[name].shape != expected[name].shape]
    refuse("where other shapes belong to", [f"{name} {[*state[name].shape]}" for name in other])
