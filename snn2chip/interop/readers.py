"""How each library opens a NIR file and runs it: as it comes, by its own documentation, and with our node map.

Runs in a process of its own (`snn2chip.interop.worker`), in any Python that has the library, NIRTorch and NumPy.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nir
import nirtorch
import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
#: float32 frames ``[B, T, C, H, W]`` of new samples to what comes out at each step, ``[B, T, ...]``.
Run = Callable[[torch.Tensor], torch.Tensor]
#: A NIR file and T to what runs it.
Open = Callable[[Path, int], Run]

_BATCH = 32


def _step_by_step(module: Any, reset: Callable[[], Any], frames: torch.Tensor) -> torch.Tensor:
    reset()
    state, outputs = None, []
    for frame in frames.unbind(1):
        output, state = module(frame.contiguous(), state)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def _nothing() -> None:
    pass


def _nirtorch(path: Path, steps: int) -> Run:
    return partial(_step_by_step, nirtorch.nir_to_torch(nir.read(path), {}), _nothing)


def _norse(path: Path, steps: int) -> Run:
    from norse.torch import from_nir

    from snn2chip.interop.nirtorch import STEP

    return partial(_step_by_step, from_nir(nir.read(path), dt=STEP), _nothing)


def _sinabs(path: Path, steps: int) -> Run:
    """Its layers take all steps at once, time inside the batch axis."""
    import sinabs

    module = sinabs.from_nir(nir.read(path), num_timesteps=steps)

    def run(frames: torch.Tensor) -> torch.Tensor:
        sinabs.reset_states(module)
        outputs: torch.Tensor = module(frames.flatten(0, 1))[0]
        return outputs.reshape(*frames.shape[:2], *outputs.shape[1:])

    return run


def _snntorch(path: Path, steps: int) -> Run:
    """Its neurons keep their potentials themselves."""
    from snntorch import utils
    from snntorch.import_nir import import_from_nir

    module = import_from_nir(nir.read(path))
    return partial(_step_by_step, module, partial(utils.reset, module))


def _spikingjelly(path: Path, steps: int) -> Run:
    """With the step for which r = 1 is 1 / dt."""
    from spikingjelly.activation_based.nir_exchange.from_nir import import_from_nir

    return partial(_step_by_step, import_from_nir(nir.read(path), dt=1.0), _nothing)


def _adapted(library: str) -> Open:
    def opened(path: Path, steps: int) -> Run:
        module = importlib.import_module(f"snn2chip.interop.{library}").load(path)
        return partial(_step_by_step, module, _nothing)

    return opened


#: By `Consumer.key`.
READERS: dict[str, Open] = {
    "nirtorch stock": _nirtorch,
    "norse stock": _norse,
    "sinabs stock": _sinabs,
    "snntorch stock": _snntorch,
    "spikingjelly stock": _spikingjelly,
    **{f"{name} map": _adapted(name) for name in ("nirtorch", "norse", "sinabs", "snntorch", "spikingjelly")},
}


def outputs(key: str, path: Path, frames: Array) -> Array:
    """What the consumer `key` makes of a file and uint8 frames ``[B, T, C, H, W]``: float32 ``[B, T, values]``.

    Raises: whatever the library raises.
    """
    run = READERS[key](path, frames.shape[1])
    pieces = []
    with torch.no_grad():
        for first in range(0, len(frames), _BATCH):
            batch = torch.from_numpy(frames[first : first + _BATCH].astype(np.float32))
            pieces.append(run(batch).flatten(2).numpy())
    return np.concatenate(pieces)
