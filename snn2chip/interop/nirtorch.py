"""Our NIR files in NIRTorch: one node map, exact on CPUs; and what the other libraries' maps are made of.

    module = nirtorch.nir_to_torch("model.nir", NODE_MAP)
    output, state = module(images.float())

NIRTorch's own defaults are not used: its Affine map leaves the bias random and its Conv2d map swaps the channel counts
(nirtorch 2.6), and it has no map for neurons at all. Steps have length 1 for ``IF`` and ``I``, and `STEP` for ``LIF``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nir
import nirtorch
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]
NodeMap = dict[type[Any], Callable[[Any], nn.Module]]
#: An IF node as a stateful module: (current, state or None) to (spikes, state).
Cell = Callable[[nir.IF], nn.Module]

#: Seconds. With it snnTorch reads every file, and SpikingJelly by default; NIR itself names no step.
STEP = 1e-4


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


class I(nn.Module):  # noqa: E742 - NIR's own name
    """NIR's integrator for steps of length 1: ``v = v + r * i``, and v is what it emits; v(0) = 0."""

    r: Tensor

    def __init__(self, node: nir.I) -> None:
        super().__init__()
        self.register_buffer("r", torch.from_numpy(node.r))

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(potential, potential), of the shape of `current`, ``[B, *shape]``."""
        rise = self.r * current
        v = rise if state is None else state + rise
        return v, v


class Threshold(nn.Module):
    """NIR's Threshold: 1 where the input exceeds it, else 0."""

    threshold: Tensor

    def __init__(self, node: nir.Threshold) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.from_numpy(node.threshold))

    def forward(self, input: Tensor) -> Tensor:
        return (input > self.threshold).to(input.dtype)


class Scale(nn.Module):
    """NIR's Scale: each value times its own factor."""

    scale: Tensor

    def __init__(self, node: nir.Scale) -> None:
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(node.scale))

    def forward(self, input: Tensor) -> Tensor:
        return self.scale * input


class Memoryless(nn.Module):
    """A neuron that starts anew at every step."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, current: Tensor) -> Tensor:
        spikes: Tensor = self.cell(current)[0]
        return spikes


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


def node_map(cell: Cell) -> NodeMap:
    """A module for every primitive that our files use: `cell` makes the neurons, all else is the same everywhere."""
    return {
        nir.Conv2d: Conv2d,
        nir.I: I,
        nir.IF: cell,
        nir.LIF: partial(_memoryless, cell),
        nir.Scale: Scale,
        nir.Threshold: Threshold,
    }


def _memoryless(cell: Cell, node: nir.LIF) -> Memoryless:
    """``v = v + STEP / tau * (v_leak - v + r * i)`` is ``r * i`` where tau is the step and v_leak is 0."""
    if not (np.allclose(node.tau, STEP, rtol=1e-6, atol=0) and not node.v_leak.any()):
        raise ValueError(f"a LIF whose tau is not {STEP} or whose v_leak is not 0 is none of this project's files")
    return Memoryless(cell(nir.IF(r=node.r, v_threshold=node.v_threshold, v_reset=node.v_reset)))


def threshold(node: nir.IF, library: str) -> Tensor:
    """Of neurons without resistance that are reset to 0, of the layer's shape; ValueError for any others."""
    if not ((node.r == 1).all() and not node.v_reset.any()):
        raise ValueError(f"{library}'s neuron has no resistance and is reset to 0: IF needs r = 1 and v_reset = 0")
    return torch.from_numpy(node.v_threshold)


#: What `nirtorch.nir_to_torch` takes.
NODE_MAP = node_map(IF)


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
