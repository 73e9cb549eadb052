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
from norse.torch.functional.iaf import IAFParameters
from norse.torch.module.iaf import IAFCell
from torch import nn

from snn2chip.interop import nirtorch
from snn2chip.interop.nirtorch import Conv2d, NodeMap


def _cell(node: nir.IF) -> nn.Module:
    if not (node.r == 1).all():
        raise ValueError("norse's IAFCell has no resistance: this file's IF nodes must have r = 1")
    thresholds, resets = torch.from_numpy(node.v_threshold), torch.from_numpy(node.v_reset)
    cell: nn.Module = IAFCell(IAFParameters(v_th=thresholds, v_reset=resets))
    return cell


#: What `nirtorch.nir_to_torch` takes: norse's IAFCell for IF, a convolution that keeps integers exact.
NODE_MAP: NodeMap = {nir.Conv2d: Conv2d, nir.IF: _cell}


def load(path: str | Path) -> nn.Module:
    """A NIR file as a module, as `snn2chip.interop.nirtorch.load` gives it."""
    return nirtorch.load(path, NODE_MAP)
