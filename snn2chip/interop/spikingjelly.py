"""Our NIR files in SpikingJelly: its own integrate-and-fire neuron, wired by NIRTorch.

    module = nirtorch.nir_to_torch("model.nir", NODE_MAP)
    output, state = module(images.float())

SpikingJelly's own `import_from_nir(path, dt=1.0)` runs files whose layers have one threshold each; without ``dt=1.0``,
or with several thresholds in a layer, it raises ValueError. Its `IFNode` takes a single number as its threshold; its
`SimpleIFNode`, which computes the same, takes a tensor.
"""

from __future__ import annotations

from pathlib import Path

import nir
import torch
from torch import Tensor, nn

from snn2chip.interop import needs, nirtorch

with needs("spikingjelly"):
    from spikingjelly.activation_based.neuron import SimpleIFNode


class IFNode(nn.Module):
    """`SimpleIFNode` with a threshold for every neuron, reset to 0; its potential is handed in and out."""

    def __init__(self, node: nir.IF) -> None:
        super().__init__()
        self.neuron = SimpleIFNode(v_threshold=nirtorch.threshold(node, "SpikingJelly"), v_reset=0.0)

    def forward(self, current: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(spikes, next potential), of the shape of `current`, ``[B, *shape]``."""
        self.neuron.v = torch.zeros_like(current) if state is None else state
        spikes = self.neuron(current)
        return spikes, self.neuron.v


#: What `nirtorch.nir_to_torch` takes: SpikingJelly's neuron for IF, a convolution that keeps integers exact.
NODE_MAP = nirtorch.node_map(IFNode)


def load(path: str | Path) -> nn.Module:
    """A NIR file as a module, as `snn2chip.interop.nirtorch.load` gives it."""
    return nirtorch.load(path, NODE_MAP)
