"""Runs a network in its own framework, and keeps what every neuron layer emits, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from snn2chip.graph import Array

#: How the network takes T steps: one call a step, one image for all steps, or one call with a time axis.
Layout = Literal["step", "image", "TB", "BT", "B*T"]


def spikes(
    model: nn.Module,
    neurons: Iterable[str],
    frames: torch.Tensor,
    layout: Layout,
    run: Callable[[nn.Module, Iterable[torch.Tensor]], None],
) -> dict[str, Array]:
    """What the modules at the paths `neurons` emit: integers ``[B, T, ...]``.

    Args:
        frames: ``[B, T, *shape]``; `layout` says in which form the network takes them.
        run: makes all calls, one for each tensor that it is given.
    """
    outputs: dict[str, list[torch.Tensor]] = {path: [] for path in neurons}
    with _recording(model, outputs), torch.no_grad():
        run(model, _calls(frames, layout))
    batch, steps = frames.shape[:2]
    return {path: _counts(_per_step(found, batch, steps, layout), path) for path, found in outputs.items()}


def _calls(frames: torch.Tensor, layout: Layout) -> Iterator[torch.Tensor]:
    if layout == "step":
        yield from frames.unbind(1)
    elif layout == "image":
        yield frames[:, 0]
    elif layout == "TB":
        yield frames.transpose(0, 1)
    else:
        yield frames if layout == "BT" else frames.flatten(0, 1)


@contextmanager
def _recording(model: nn.Module, outputs: dict[str, list[torch.Tensor]]) -> Iterator[None]:
    def keep(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            emitted = output[0] if isinstance(output, tuple) else output
            outputs[path].append(emitted.detach().clone())

        return hook

    handles = [model.get_submodule(path).register_forward_hook(keep(path)) for path in outputs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _per_step(found: list[torch.Tensor], batch: int, steps: int, layout: Layout) -> torch.Tensor:
    """``[B, T, ...]`` from one tensor a step, or from one tensor for all of them."""
    if layout in ("BT", "B*T"):
        (every,) = found
        return every if layout == "BT" else every.reshape(batch, steps, *every.shape[1:])
    if len(found) == steps and found[0].shape[0] == batch:
        return torch.stack(found, 1)
    (every,) = found
    assert every.shape[:2] == (steps, batch)
    return every.transpose(0, 1)


def _counts(values: torch.Tensor, path: str) -> Array:
    real: Array = values.double().numpy()
    counts: Array = np.rint(real)
    assert (counts == real).all(), f"{path} emits values that are no spike counts"
    whole: Array = counts.astype(np.int64)
    return whole
