"""Our NIR files in snnTorch: its own Leaky neuron, wired by NIRTorch.

    module = nirtorch.nir_to_torch("model.nir", NODE_MAP)
    output, state = module(images.float())

`snntorch.import_from_nir` makes of an IF a Leaky that decays (beta = 0.9) and subtracts its threshold, and whose second
output runs into the next layer (snnTorch 1.0.0).
"""

from __future__ import annotations

from pathlib import Path

import nir
import torch
from torch import Tensor, nn

from snn2chip.interop import needs, nirtorch

with needs("snntorch"):
    import snntorch


class Leaky(nn.Module):
    """`snntorch.Leaky` that keeps everything and is reset to 0 at once; its potential is handed in and out."""

    def __init__(self, node: nir.IF) -> None:
        super().__init__()
        threshold = nirtorch.threshold(node, "snnTorch")
        self.neuron = snntorch.Leaky(beta=1.0, threshold=threshold, reset_mechanism="zero", reset_delay=False)

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(spikes, next potential), of the shape of `current`, ``[B, *shape]``."""
        spikes, potential = self.neuron(current, torch.zeros_like(current) if state is None else state)
        return spikes, potential


#: What `nirtorch.nir_to_torch` takes: snnTorch's Leaky for IF, a convolution that keeps integers exact.
NODE_MAP = nirtorch.node_map(Leaky)


def load(path: str | Path) -> nn.Module:
    """A NIR file as a module, as `snn2chip.interop.nirtorch.load` gives it."""
    return nirtorch.load(path, NODE_MAP)
