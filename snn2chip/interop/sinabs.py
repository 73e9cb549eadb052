"""Our NIR files in sinabs: its own IAF layer, wired by NIRTorch.

    module = nirtorch.nir_to_torch("model.nir", NODE_MAP)
    output, state = module(images.float())

`sinabs.from_nir` makes of an IF a layer that emits several spikes in one step, subtracts its threshold for each and has
a floor under its potential; and it wires graphs with `nirtorch.load`, which is silently wrong where skips hold nodes.
"""

from __future__ import annotations

from pathlib import Path

import nir
import torch
from torch import Tensor, nn

from snn2chip.interop import needs, nirtorch

with needs("sinabs"):
    from sinabs.activation import MembraneReset, SingleSpike
    from sinabs.layers import IAF


class SingleSpikeIAF(nn.Module):
    """`sinabs.layers.IAF` that emits at most one spike and is reset to 0; its potential is handed in and out."""

    def __init__(self, node: nir.IF) -> None:
        super().__init__()
        threshold = nirtorch.threshold(node, "sinabs")
        self.neuron = IAF(spike_threshold=threshold, spike_fn=SingleSpike, reset_fn=MembraneReset())

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(spikes, next potential), of the shape of `current`, ``[B, *shape]``."""
        self.neuron.v_mem = torch.zeros_like(current) if state is None else state
        spikes = self.neuron(current.unsqueeze(1)).squeeze(1)  # its inputs have a time axis
        return spikes, self.neuron.v_mem


#: What `nirtorch.nir_to_torch` takes: sinabs' IAF for IF, a convolution that keeps integers exact.
NODE_MAP = nirtorch.node_map(SingleSpikeIAF)


def load(path: str | Path) -> nn.Module:
    """A NIR file as a module, as `snn2chip.interop.nirtorch.load` gives it."""
    return nirtorch.load(path, NODE_MAP)
