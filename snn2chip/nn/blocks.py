"""Residual blocks on time-merged tensors ``[T*B, C, H, W]``; everything is a module call or ``+``.

All take ``(inputs, outputs, stride, neurons, stream)``: ``neurons`` makes those of the branch, and ``stream`` those
whose spikes meet in residual sums, across the blocks of a stage: they count in one unit.
"""

from __future__ import annotations

from torch import Tensor, nn

from snn2chip.nn.neuron_factory import NeuronFactory


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    """A convolution that keeps the map's size at stride 1, then statistics over time and batch together."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def changes_shape(inputs: int, outputs: int, stride: int) -> bool:
    """Whether what leaves a block cannot be added to what enters it, so that the shortcut needs a convolution."""
    return stride != 1 or inputs != outputs


def _shortcut(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """Nothing where the shape stays, else 1x1 conv-BN."""
    return conv_norm(inputs, outputs, 1, stride) if changes_shape(inputs, outputs, stride) else []


class SEWBlock(nn.Module):
    """conv-BN-neuron-conv-BN-neuron plus shortcut (ADD): spike values 0..2N leave a block fed with 0..N.

    The shortcut is the identity, or 1x1 conv-BN-neuron where the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, neurons: NeuronFactory, stream: NeuronFactory) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv_norm(inputs, outputs, 3, stride)
        self.neuron1 = neurons.neuron(outputs)
        self.conv2, self.norm2 = conv_norm(outputs, outputs, 3, 1)
        self.neuron2 = stream.neuron(outputs)
        projection = _shortcut(inputs, outputs, stride)
        self.shortcut = nn.Sequential(*projection, stream.neuron(outputs)) if projection else nn.Identity()

    def forward(self, spikes: Tensor) -> Tensor:
        hidden = self.neuron1(self.norm1(self.conv1(spikes)))
        branch = self.neuron2(self.norm2(self.conv2(hidden)))
        return branch + self.shortcut(spikes)  # type: ignore[no-any-return]


class SparseBlock(SEWBlock):
    """A SEW block whose sum passes a barrier neuron (by default straight-through), back to spike values 0..N.

    The paper does not settle whether the branch keeps its second neuron before the sum.  It is kept here:
    every operand of the sum is then a spike count, so that the sum is exact in integers, and the block
    differs from the SEW block by the barrier alone.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, neurons: NeuronFactory, stream: NeuronFactory) -> None:
        super().__init__(inputs, outputs, stride, neurons, stream)
        self.barrier = stream.barrier(outputs)

    def forward(self, spikes: Tensor) -> Tensor:
        return self.barrier(super().forward(spikes))  # type: ignore[no-any-return]


class SpikingBlock(nn.Module):
    """The block of a Spiking ResNet: conv-BN-neuron-conv-BN plus shortcut, then a neuron: 0..N in, 0..N out.

    The shortcut carries spikes, which are added to the branch's current at their real value k * Vth / N; where the
    shape changes it is 1x1 conv-BN, a current as well.  No spikes are added to spikes, so that no neurons need to
    share a threshold.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, neurons: NeuronFactory, stream: NeuronFactory) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv_norm(inputs, outputs, 3, stride)
        self.neuron1 = neurons.neuron(outputs)
        self.conv2, self.norm2 = conv_norm(outputs, outputs, 3, 1)
        projection = _shortcut(inputs, outputs, stride)
        self.shortcut = nn.Sequential(*projection) if projection else nn.Identity()
        self.neuron2 = neurons.neuron(outputs)

    def forward(self, spikes: Tensor) -> Tensor:
        branch = self.norm2(self.conv2(self.neuron1(self.norm1(self.conv1(spikes)))))
        return self.neuron2(branch + self.shortcut(spikes))  # type: ignore[no-any-return]


class MSBlock(nn.Module):
    """The block of an MS-ResNet: neuron-conv-BN-neuron-conv-BN plus shortcut: a current enters, and a current leaves.

    Neurons come before their convolutions, and what flows along the shortcuts, past every neuron, is the current.
    Where the shape changes, the shortcut is 1x1 conv-BN on the spikes of the block's first neuron, so that
    convolutions read spikes only.  No spikes are added, so that no neurons need to share a threshold.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, neurons: NeuronFactory, stream: NeuronFactory) -> None:
        super().__init__()
        self.neuron1 = neurons.neuron(inputs)
        self.conv1, self.norm1 = conv_norm(inputs, outputs, 3, stride)
        self.neuron2 = neurons.neuron(outputs)
        self.conv2, self.norm2 = conv_norm(outputs, outputs, 3, 1)
        projection = _shortcut(inputs, outputs, stride)
        self.shortcut = nn.Sequential(*projection) if projection else None

    def forward(self, current: Tensor) -> Tensor:
        spikes = self.neuron1(current)
        branch = self.norm2(self.conv2(self.neuron2(self.norm1(self.conv1(spikes)))))
        return branch + (current if self.shortcut is None else self.shortcut(spikes))  # type: ignore[no-any-return]


ResidualBlock = SEWBlock | SparseBlock | SpikingBlock | MSBlock
