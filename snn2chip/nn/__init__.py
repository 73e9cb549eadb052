"""The multi-level neuron and the networks made of it, in PyTorch."""

from __future__ import annotations

from snn2chip.nn.blocks import MSBlock, SEWBlock, SparseBlock, SpikingBlock
from snn2chip.nn.encoding import DirectEncoding, Readout
from snn2chip.nn.files import ARCHITECTURES, FORMAT, build, save
from snn2chip.nn.networks import ResNet, resnet, resnet19
from snn2chip.nn.neuron_factory import NeuronFactory, NeuronOptions
from snn2chip.nn.neurons import MultiLevelIF, QuantizedReLU
from snn2chip.nn.thresholds import Threshold
from snn2chip.nn.vgg import VGG, vgg, vgg11, vgg16

__all__ = [
    "ARCHITECTURES",
    "FORMAT",
    "VGG",
    "DirectEncoding",
    "MSBlock",
    "MultiLevelIF",
    "NeuronFactory",
    "NeuronOptions",
    "QuantizedReLU",
    "Readout",
    "ResNet",
    "SEWBlock",
    "SparseBlock",
    "SpikingBlock",
    "Threshold",
    "build",
    "resnet",
    "resnet19",
    "save",
    "vgg",
    "vgg11",
    "vgg16",
]
