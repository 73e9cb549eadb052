"""Where a network is trained, and in which arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from snn2chip.errors import UserError

#: bfloat16 needs no loss scaling, but only newer GPUs have it; CPUs have nothing else.
_DTYPES = {"cpu": torch.bfloat16, "cuda": torch.float16}
_IN_16_BITS = (nn.Conv2d, nn.Linear)


def device(name: str) -> torch.device:
    """``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:1``; UserError where there is none such."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name!r} is unknown: give auto, cpu, cuda or cuda:N") from None
    if chosen.type not in _DTYPES:
        raise UserError(f"--device {name!r} is not supported: give auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UserError(f"--device {name!r} is not there: this machine has {torch.cuda.device_count()} CUDA devices")
    return chosen


@contextlib.contextmanager
def deterministic(where: torch.device) -> Iterator[None]:
    """cuDNN's repeatable algorithms, where a GPU computes; as it was, afterwards."""
    if where.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


class Precision:
    """float32, or mixed precision: convolutions and linear layers in 16 bits, norms and neurons in float32.

    A membrane rounded to 8 bits would emit other levels than the network that is exported. ``dtype`` is bfloat16 on a
    CPU and float16 on a GPU unless given; the loss is scaled where it is float16, whose small gradients would vanish.
    """

    def __init__(self, where: torch.device, mixed: bool, dtype: torch.dtype | None = None) -> None:
        self._where, self._mixed, self._dtype = where, mixed, dtype or _DTYPES[where.type]
        self._scaler = torch.amp.GradScaler(where.type, enabled=mixed and self._dtype == torch.float16)

    def prepare(self, model: nn.Module) -> None:
        """Let every layer but convolutions and linear layers see float32."""
        if not self._mixed:
            return
        for module in model.modules():
            if not isinstance(module, _IN_16_BITS) and not list(module.children()):
                module.register_forward_pre_hook(_as_float32)

    @contextlib.contextmanager
    def forward(self) -> Iterator[None]:
        """Around the forward pass and the loss."""
        with torch.autocast(self._where.type, self._dtype, enabled=self._mixed):
            yield

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Gradients of ``loss``, and one step; a step whose scaled gradients overflowed is left out, as usual."""
        optimizer.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self._scaler.load_state_dict(state)


def _as_float32(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        value.float() if isinstance(value, Tensor) and value.is_floating_point() else value for value in inputs
    )
