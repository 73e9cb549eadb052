"""Our NIR files in NIRTorch: one node map, exact on CPUs.

    module = nirtorch.nir_to_torch("model.nir", NODE_MAP)
    output, state = module(images.float())

NIRTorch's own defaults are not used: its Affine map leaves the bias random and its Conv2d map swaps the channel counts
(nirtorch 2.6), and it has no map for IF at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import nirtorch
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]


class IF(nn.Module):
    """NIR's IF for steps of length 1: ``v = v + r * i;  z = v > v_threshold;  v = v_reset where z``; v(0) = 0."""

    r: Tensor
    v_threshold: Tensor
    v_reset: Tensor

    def __init__(self, node: nir.IF) -> None:
        super().__init__()
        for name in ("r", "v_threshold", "v_reset"):
            self.register_buffer(name, torch.from_numpy(getattr(node, name)))

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(spikes, next potential), of the shape of `current`, ``[B, *shape]``."""
        rise = self.r * current
        v = rise if state is None else state + rise
        fired = v > self.v_threshold
        return fired.to(v.dtype), torch.where(fired, self.v_reset, v)


class Conv2d(nn.Conv2d):
    """A convolution by plain sums of products, so that integers stay integers up to 2**24.

    NNPACK, to which torch turns where oneDNN is absent, uses Fourier and Winograd transforms: with 64 channels of
    integers up to 255 and a 3x3 kernel its results were measured to be 0.19 off.
    """

    def __init__(self, node: nir.Conv2d) -> None:
        outputs, inputs, *kernel = node.weight.shape
        super().__init__(
            inputs * int(node.groups),
            outputs,
            (kernel[0], kernel[1]),
            stride=_pair(node.stride),
            padding=_pair(node.padding),
            dilation=_pair(node.dilation),
            groups=int(node.groups),
        )
        self.weight = nn.Parameter(torch.from_numpy(node.weight), requires_grad=False)
        self.bias = nn.Parameter(torch.from_numpy(node.bias), requires_grad=False)

    def forward(self, input: Tensor) -> Tensor:
        with torch.backends.nnpack.flags(enabled=False):
            return super().forward(input)


def _pair(values: Any) -> tuple[int, int]:
    rows, columns = (int(value) for value in values)
    return rows, columns


NodeMap = dict[type[Any], Callable[[Any], nn.Module]]

#: What `nirtorch.nir_to_torch` takes: a module for every primitive that our files use.
NODE_MAP: NodeMap = {nir.Conv2d: Conv2d, nir.IF: IF}


def load(path: str | Path, node_map: NodeMap = NODE_MAP) -> nn.Module:
    """A NIR file as a module: float images ``[B, C, H, W]`` to (logits ``[B, classes, 1, 1]``, state).

    Where the network has several steps, one call is one step: hand the state back, and add up the logits.
    """
    module: nn.Module = nirtorch.nir_to_torch(nir.read(path), node_map)
    return module


def record(graph: nir.NIRGraph, frames: Array, names: frozenset[str], batch_size: int = 32) -> dict[str, Array]:
    """Run `frames` ``[B, T, C, H, W]`` through a NIR graph; float32 ``[B, T, ...]`` of the nodes in `names`, by name.

    ``output`` stands for the graph's output. Potentials are carried from step to step, and start at 0.
    """
    module = nirtorch.nir_to_torch(graph, NODE_MAP)
    seen: dict[str, list[Array]] = {name: [] for name in {*names, "output"}}
    for name in names - {"output"}:
        module.get_submodule(name).register_forward_hook(_keep(seen[name]))
    firsts = range(0, max(1, len(frames)), batch_size)
    with torch.no_grad():
        for first in firsts:
            state = None
            for frame in frames[first : first + batch_size].swapaxes(0, 1):
                logits, state = module(torch.from_numpy(frame.astype(np.float32)), state)
                seen["output"].append(logits.numpy())
    steps = frames.shape[1]
    return {name: _by_sample(pieces, steps) for name, pieces in seen.items()}


def _by_sample(pieces: list[Array], steps: int) -> Array:
    """Pieces ``[b, ...]``, one after the other for every step of every batch, as ``[B, T, ...]``."""
    batches = range(0, len(pieces), steps)
    return np.concatenate([np.stack(pieces[first : first + steps], axis=1) for first in batches])


def _keep(pieces: list[Array]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        values = output[0] if isinstance(output, tuple) else output  # a neuron also returns its state
        pieces.append(values.numpy())

    return hook
