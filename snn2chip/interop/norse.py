"""Our NIR files in norse: norse's own integrate-and-fire cell, wired by NIRTorch.

    module = nirtorch.nir_to_torch("model.nir", NODE_MAP)
    output, state = module(images.float())

`norse.torch.from_nir` wires graphs with `nirtorch.load`, which runs nodes in the order of a depth-first walk and is
silently wrong where a skip holds a node of its own.
"""

from __future__ import annotations

from pathlib import Path

import nir
import torch
from torch import nn

from snn2chip.interop import needs, nirtorch

with needs("norse"):
    from norse.torch.functional.iaf import IAFParameters
    from norse.torch.module.iaf import IAFCell


def _cell(node: nir.IF) -> nn.Module:
    threshold = nirtorch.threshold(node, "norse")
    cell: nn.Module = IAFCell(IAFParameters(v_th=threshold, v_reset=torch.zeros_like(threshold)))
    return cell


#: What `nirtorch.nir_to_torch` takes: norse's IAFCell for IF, a convolution that keeps integers exact.
NODE_MAP = nirtorch.node_map(_cell)


def load(path: str | Path) -> nn.Module:
    """A NIR file as a module, as `snn2chip.interop.nirtorch.load` gives it."""
    return nirtorch.load(path, NODE_MAP)
