"""Puts a model back into the state in which it was: tracing runs its forward, which may change what it holds."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

_NUMBERS = (bool, int, float, str)
_FILLED = (list, dict, set, deque)


@contextlib.contextmanager
def unchanged(model: nn.Module) -> Iterator[Snapshot]:
    """On leaving, every attribute of every module is what it was, tensors bit by bit."""
    snapshot = Snapshot(model)
    try:
        yield snapshot
    finally:
        snapshot.restore()


@dataclass(frozen=True)
class _Tensor:
    """A tensor, its memory, and a copy of what lay there."""

    name: str
    tensor: torch.Tensor
    memory: torch.Tensor
    values: torch.Tensor

    @classmethod
    def of(cls, name: str, tensor: torch.Tensor) -> _Tensor:
        memory = tensor.detach()
        return cls(name, tensor, memory, memory.clone())

    @property
    def changed(self) -> bool:
        return self.tensor.data_ptr() != self.memory.data_ptr() or not _same_bits(self.memory, self.values)

    def restore(self) -> None:
        if self.tensor.data_ptr() != self.memory.data_ptr():
            self.tensor.data = self.memory
        if not _same_bits(self.memory, self.values):
            self.memory.copy_(self.values)


class Snapshot:
    """What the modules of a model hold: attributes, what is in lists and dictionaries among them, and all tensors."""

    def __init__(self, model: nn.Module) -> None:
        self._modules = [(path, m.__dict__, dict(m.__dict__)) for path, m in model.named_modules()]
        held: dict[int, tuple[str, Any]] = {}
        for path, _, before in self._modules:
            _walk(path, before, held)
        self._contents: list[tuple[str, Any, Any]] = [
            (name, value, value.copy()) for name, value in held.values() if isinstance(value, _FILLED)
        ]
        self._tensors = [_Tensor.of(name, value) for name, value in held.values() if _has_memory(value)]

    def owners(self) -> dict[int, str]:
        """What the model calls the memory that its tensors lie in, by address."""
        return {address: repr(e.name) for e in self._tensors if (address := e.memory.untyped_storage().data_ptr())}

    def changed(self) -> list[str]:
        """The names of attributes, buffers and parameters that are not what they were."""
        names = [entry.name for entry in self._tensors if entry.changed]
        for path, attributes, before in self._modules:
            names += [_joined(path, name) for name in _differing(attributes, before) if name != "training"]
        for name, value, content in self._contents:
            if isinstance(value, dict):
                names += [_joined(name, key) for key in _differing(value, content)]
            elif list(map(id, value)) != list(map(id, content)):
                names.append(name)
        return sorted(set(names))

    def restore(self, memories: bool = True) -> None:
        """Make everything what it was; without `memories`, numbers and the values of real tensors stay."""
        for _, attributes, before in self._modules:
            _refill(attributes, before, memories)
        for _, value, content in self._contents:
            if isinstance(value, dict):
                _refill(value, content, memories)
            else:
                value.clear()
                value.update(content) if isinstance(value, set) else value.extend(content)
        for entry in self._tensors if memories else ():
            entry.restore()


def _walk(path: str, value: Any, held: dict[int, tuple[str, Any]]) -> None:
    """Enter (name, value) of all lists, dictionaries and tensors in `value`, which is called `path`, by id."""
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, (list, tuple, deque)):
        entries = enumerate(value)
    for key, entry in entries:
        if isinstance(entry, (*_FILLED, tuple, torch.Tensor)) and id(entry) not in held:
            held[id(entry)] = (_joined(path, key), entry)
            _walk(_joined(path, key), entry, held)


def _has_memory(value: Any) -> bool:
    if not isinstance(value, torch.Tensor) or nn.parameter.is_lazy(value):
        return False
    return value.layout is torch.strided and not (value.is_meta or value.is_quantized)


def _refill(target: dict[Any, Any], before: dict[Any, Any], memories: bool) -> None:
    differing = () if memories else _differing(target, before)
    numbers = {key: target[key] for key in differing if _is_memory(before.get(key), target[key])}
    target.clear()
    target.update({**before, **numbers})


def _is_memory(before: Any, value: Any) -> bool:
    """Whether a new value may be a memory of earlier calls that is no neuron's state."""
    if isinstance(value, (torch.Tensor, nn.Parameter)):
        return type(value) in (torch.Tensor, nn.Parameter) and getattr(before, "shape", None) == value.shape
    return type(value) in _NUMBERS


def _differing(holder: dict[Any, Any], before: dict[Any, Any]) -> list[Any]:
    return [key for key, value in holder.items() if key not in before or not _same(before[key], value)]


def _same(before: Any, value: Any) -> bool:
    return before is value or (type(before) in _NUMBERS and type(value) in _NUMBERS and before == value)


def _joined(path: str, key: Any) -> str:
    """The name as the user knows it: PyTorch keeps tensors in dictionaries of its own."""
    if key in ("_parameters", "_buffers"):
        return path
    return f"{path}.{key}" if path else str(key)


def _same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    if first.shape != second.shape:
        return False
    one, other = (tensor.contiguous().view(-1).view(torch.uint8) for tensor in (first, second))
    return torch.equal(one, other)
