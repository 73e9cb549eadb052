"""Residual networks of multi-level neurons, from a digits-sized net to the CIFAR ResNet-18."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn

from snn2chip.errors import UserError
from snn2chip.nn.blocks import NeuronFactory, SEWBlock, SparseBlock, conv_norm
from snn2chip.nn.encoding import DirectEncoding, Readout
from snn2chip.nn.neurons import Backward, MultiLevelIF, QuantizedReLU

Block = Literal["sparse", "sew"]
Neuron = Literal["multilevel", "quantized_relu"]

_BLOCKS: dict[str, type[SEWBlock]] = {"sparse": SparseBlock, "sew": SEWBlock}


class ResNet(nn.Module):
    """Encoding, 3x3 stem, residual stages, global average pool, linear head, mean logits over time.

    Shape: ``[B, C, H, W]`` or ``[B, T, C, H, W]`` -> logits ``[B, classes]`` float32.  `resnet` makes it.
    """

    arch = "resnet"

    def __init__(
        self,
        arch_kwargs: dict[str, Any],
        encoding: DirectEncoding,
        stem: nn.Sequential,
        stages: nn.Sequential,
        head: nn.Linear,
    ) -> None:
        super().__init__()
        self.arch_kwargs = arch_kwargs
        self.encoding, self.stem, self.stages, self.head = encoding, stem, stages, head
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.readout = Readout(encoding.steps)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(self.stem(self.encoding(images)))
        return self.readout(self.head(self.flatten(self.pool(features))))  # type: ignore[no-any-return]


def resnet(
    block: Block = "sparse",
    levels: int = 4,
    steps: int = 1,
    width: int = 64,
    blocks_per_stage: Sequence[int] = (2, 2, 2, 2),
    strides: Sequence[int] = (1, 2, 2, 2),
    in_channels: int = 3,
    classes: int = 10,
    input_scale: float = 1 / 255,
    neuron: Neuron = "multilevel",
    bits: int = 3,
    threshold: float = 1.0,
    alpha: float = 5.0,
    surrogate_gain: float = 1.0,
) -> ResNet:
    """A residual network; the defaults are the CIFAR ResNet-18 (11.17 M parameters).

    Args:
        block: ``sparse`` (barrier neuron after each sum) or ``sew`` (plain ADD).
        levels, steps, threshold, alpha, surrogate_gain: of every MultiLevelIF.
        width: channels of the stem and of the first stage; each later stage doubles them.
        blocks_per_stage, strides: residual blocks in each stage, and the stride of its first one.
        in_channels, classes: of the image and of the linear head.
        input_scale: factor from grey levels or event counts to real input.
        neuron, bits: ``multilevel``, or ``quantized_relu`` of so many bits for the quantized ANN (T = 1).

    Raises:
        UserError: an unknown block or neuron, or strides that do not match the stages.
    """
    arch_kwargs = {**locals(), "blocks_per_stage": list(blocks_per_stage), "strides": list(strides)}
    if block not in _BLOCKS:
        raise UserError(f"resnet: block must be one of {tuple(_BLOCKS)}, not {block!r}.")
    factory = _neuron_factory(neuron, levels, steps, bits, threshold, alpha, surrogate_gain)
    stem = nn.Sequential(*conv_norm(in_channels, width, 3, 1), factory("surrogate"))
    stages, channels = _stages(_BLOCKS[block], width, blocks_per_stage, strides, factory)
    return ResNet(arch_kwargs, DirectEncoding(steps, input_scale), stem, stages, nn.Linear(channels, classes))


def _neuron_factory(
    neuron: str, levels: int, steps: int, bits: int, threshold: float, alpha: float, surrogate_gain: float
) -> NeuronFactory:
    def multilevel(backward: Backward) -> MultiLevelIF:
        return MultiLevelIF(levels, threshold, steps, backward, alpha, surrogate_gain)

    def quantized_relu(backward: Backward) -> MultiLevelIF:
        return QuantizedReLU(bits, threshold)

    if neuron not in get_args(Neuron):
        raise UserError(f"resnet: neuron must be one of {get_args(Neuron)}, not {neuron!r}.")
    if neuron == "quantized_relu" and steps != 1:
        raise UserError(f"resnet: a quantized ANN has one step, not {steps}.")
    return multilevel if neuron == "multilevel" else quantized_relu


def _stages(
    block: type[SEWBlock],
    width: int,
    blocks_per_stage: Sequence[int],
    strides: Sequence[int],
    neuron: NeuronFactory,
) -> tuple[nn.Sequential, int]:
    """All stages, and the number of channels that leaves them."""
    if len(strides) != len(blocks_per_stage):
        raise UserError(f"resnet: {len(blocks_per_stage)} stages need as many strides, not {len(strides)}.")
    stages, channels = nn.Sequential(), width
    for index, (count, stride) in enumerate(zip(blocks_per_stage, strides, strict=True)):
        outputs = width * 2**index
        first = block(channels, outputs, stride, neuron)
        stages.append(nn.Sequential(first, *(block(outputs, outputs, 1, neuron) for _ in range(count - 1))))
        channels = outputs
    return stages, channels
