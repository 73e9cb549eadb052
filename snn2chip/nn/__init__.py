"""The multi-level neuron and residual networks made of it, in PyTorch."""

from __future__ import annotations

from snn2chip.nn.blocks import SEWBlock, SparseBlock
from snn2chip.nn.encoding import DirectEncoding, Readout
from snn2chip.nn.files import FORMAT, build, save
from snn2chip.nn.networks import ResNet, resnet
from snn2chip.nn.neurons import MultiLevelIF, QuantizedReLU

# What a torch.fx tracer must not look into: each has one meaning in integers.
LEAF_MODULES = (MultiLevelIF, QuantizedReLU, DirectEncoding, Readout)

__all__ = [
    "FORMAT",
    "LEAF_MODULES",
    "DirectEncoding",
    "MultiLevelIF",
    "QuantizedReLU",
    "Readout",
    "ResNet",
    "SEWBlock",
    "SparseBlock",
    "build",
    "resnet",
    "save",
]
