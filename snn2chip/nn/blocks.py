"""Residual blocks on time-merged tensors ``[T*B, C, H, W]``; everything is a module call or ``+``."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from snn2chip.nn.neurons import Backward, MultiLevelIF

NeuronFactory = Callable[[Backward], MultiLevelIF]


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    """A convolution that keeps the map's size at stride 1, then statistics over time and batch together."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def _shortcut(inputs: int, outputs: int, stride: int, neuron: NeuronFactory) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(*conv_norm(inputs, outputs, 1, stride), neuron("surrogate"))


class SEWBlock(nn.Module):
    """conv-BN-neuron-conv-BN-neuron plus shortcut (ADD): spike values 0..2N leave a block fed with 0..N.

    The shortcut is the identity, or 1x1 conv-BN-neuron where the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, neuron: NeuronFactory) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv_norm(inputs, outputs, 3, stride)
        self.neuron1 = neuron("surrogate")
        self.conv2, self.norm2 = conv_norm(outputs, outputs, 3, 1)
        self.neuron2 = neuron("surrogate")
        self.shortcut = _shortcut(inputs, outputs, stride, neuron)

    def forward(self, spikes: Tensor) -> Tensor:
        hidden = self.neuron1(self.norm1(self.conv1(spikes)))
        branch = self.neuron2(self.norm2(self.conv2(hidden)))
        return branch + self.shortcut(spikes)  # type: ignore[no-any-return]


class SparseBlock(SEWBlock):
    """A SEW block whose sum passes a barrier neuron (straight-through backward), back to spike values 0..N.

    The paper does not settle whether the branch keeps its second neuron before the sum.  It is kept here:
    every operand of the sum is then a spike count, so that the sum is exact in integers, and the block
    differs from the SEW block by the barrier alone.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, neuron: NeuronFactory) -> None:
        super().__init__(inputs, outputs, stride, neuron)
        self.barrier = neuron("straight_through")

    def forward(self, spikes: Tensor) -> Tensor:
        return self.barrier(super().forward(spikes))  # type: ignore[no-any-return]
