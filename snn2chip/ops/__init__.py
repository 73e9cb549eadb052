"""The operations: one file each. A new operation is its file and one line in `OPS`.

Each file holds the operation's fields, its equation (docstring), shapes and intervals (`signal`), arithmetic (`step`)
and connectivity (`fan_out`); what they share is in `snn2chip.ops.base`.
"""

from __future__ import annotations

from snn2chip.ops.add import Add
from snn2chip.ops.avg_pool import AvgPool2d
from snn2chip.ops.base import BaseOp
from snn2chip.ops.batch_norm import BatchNorm2d
from snn2chip.ops.concat import Concat
from snn2chip.ops.conv2d import Conv2d
from snn2chip.ops.flatten import Flatten
from snn2chip.ops.input import Input
from snn2chip.ops.leaky_integrator import LeakyIntegrator
from snn2chip.ops.lif import LIF
from snn2chip.ops.linear import Linear
from snn2chip.ops.max_pool import MaxPool2d
from snn2chip.ops.multi_level_if import MultiLevelIF
from snn2chip.ops.neuron import SpikingNeuron
from snn2chip.ops.readout import Readout
from snn2chip.ops.scale import Scale
from snn2chip.ops.sum_pool import SumPool2d
from snn2chip.ops.upsample import Upsample2d

_ALL: tuple[type[BaseOp], ...] = (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    Input,
    LIF,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    Scale,
    SumPool2d,
    Upsample2d,
)

#: Every operation by the name that files use.
OPS: dict[str, type[BaseOp]] = {op.__name__: op for op in _ALL}

__all__ = [
    "LIF",
    "OPS",
    "Add",
    "AvgPool2d",
    "BatchNorm2d",
    "Concat",
    "Conv2d",
    "Flatten",
    "Input",
    "LeakyIntegrator",
    "Linear",
    "MaxPool2d",
    "MultiLevelIF",
    "Readout",
    "Scale",
    "SpikingNeuron",
    "SumPool2d",
    "Upsample2d",
]
