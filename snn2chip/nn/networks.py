"""Residual networks of multi-level neurons, from a digits-sized net to the CIFAR ResNet-18 and ResNet-19."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from snn2chip.errors import UserError
from snn2chip.nn import limits
from snn2chip.nn.blocks import (
    MSBlock,
    ResidualBlock,
    SEWBlock,
    SparseBlock,
    SpikingBlock,
    changes_shape,
    conv_norm,
)
from snn2chip.nn.encoding import DirectEncoding, Readout
from snn2chip.nn.head import head_weights, linear_head
from snn2chip.nn.neuron_factory import NeuronFactory, NeuronOptions

Block = Literal["sparse", "sew", "spiking", "ms"]

_BLOCKS: dict[str, type[ResidualBlock]] = {
    "sparse": SparseBlock,
    "sew": SEWBlock,
    "spiking": SpikingBlock,
    "ms": MSBlock,
}


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
        neuron: nn.Module,
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.arch_kwargs = arch_kwargs
        self.encoding, self.stem, self.stages, self.neuron, self.head = encoding, stem, stages, neuron, head
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.readout = Readout(encoding.steps)

    def forward(self, images: Tensor) -> Tensor:
        features = self.neuron(self.stages(self.stem(self.encoding(images))))
        return self.readout(self.head(self.flatten(self.pool(features))))  # type: ignore[no-any-return]


def resnet(
    block: Block = "sparse",
    width: int = 64,
    blocks_per_stage: Sequence[int] = (2, 2, 2, 2),
    strides: Sequence[int] = (1, 2, 2, 2),
    in_channels: int = 3,
    classes: int = 10,
    hidden: Sequence[int] = (),
    input_scale: float = 1 / 255,
    **neuron_options: Any,
) -> ResNet:
    """A residual network; the defaults are the CIFAR ResNet-18 (11.17 M parameters).

    Args:
        block: ``sparse`` (barrier neuron after each sum), ``sew`` (plain ADD), ``spiking`` (the sum is the current of a
            neuron) or ``ms`` (neurons first, the current is passed on; one more neuron stands before the pool).
        width: channels of the stem and of the first stage; each later stage doubles them.
        blocks_per_stage, strides: residual blocks in each stage, and the stride of its first one.
        in_channels, classes: of the image and of the linear head.
        hidden: widths of hidden linear layers in the head.
        input_scale: factor from grey levels or event counts to real input.
        neuron_options: the fields of `NeuronOptions`.

    Raises:
        UserError: an unknown block, strides that do not match the stages, or a value beyond ``snn2chip.nn.limits``.
    """
    shape: dict[str, Any] = {
        "block": block,
        "width": width,
        "blocks_per_stage": list(blocks_per_stage),
        "strides": list(strides),
        "in_channels": in_channels,
        "classes": classes,
        "hidden": list(hidden),
        "input_scale": input_scale,
    }
    options = NeuronOptions(**neuron_options)
    _check(**shape)
    neurons = NeuronFactory(options)
    stem, stages, features = _body(_BLOCKS[block], in_channels, width, blocks_per_stage, strides, neurons)
    last = neurons.neuron(features) if block == "ms" else nn.Identity()
    head = linear_head(features, hidden, classes, neurons)
    encoding = DirectEncoding(options.steps, input_scale)
    return ResNet({**shape, **options.as_dict()}, encoding, stem, stages, last, head)


def resnet19(**changes: Any) -> ResNet:
    """The spiking literature's ResNet-19: 128-256-512 channels in 3, 3 and 2 blocks, and a hidden layer of 256.

    Zheng et al., "Going deeper with directly-trained larger spiking neural networks", 2021 (arXiv 2011.05280).
    """
    shape = {"width": 128, "blocks_per_stage": [3, 3, 2], "strides": [1, 2, 2], "hidden": [256]}
    return resnet(**{**shape, **changes})


def _body(
    block: type[ResidualBlock],
    in_channels: int,
    width: int,
    blocks_per_stage: Sequence[int],
    strides: Sequence[int],
    neurons: NeuronFactory,
) -> tuple[nn.Sequential, nn.Sequential, int]:
    """Stem and stages, and the number of channels that leaves them."""
    stream = neurons.sharing(width)
    first_neuron = [] if block is MSBlock else [stream.neuron(width)]
    stem = nn.Sequential(*conv_norm(in_channels, width, 3, 1), *first_neuron)
    stages, channels = nn.Sequential(), width
    for outputs, count, stride in _stages(width, blocks_per_stage, strides):
        if changes_shape(channels, outputs, stride):
            stream = neurons.sharing(outputs)
        first = block(channels, outputs, stride, neurons, stream)
        stages.append(nn.Sequential(first, *(block(outputs, outputs, 1, neurons, stream) for _ in range(count - 1))))
        channels = outputs
    return stem, stages, channels


def _stages(width: int, blocks_per_stage: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int, int]]:
    """Channels, number of blocks and first stride of each stage."""
    pairs = zip(blocks_per_stage, strides, strict=True)
    return [(width * 2**index, count, stride) for index, (count, stride) in enumerate(pairs)]


def _check(
    block: Any,
    width: Any,
    blocks_per_stage: list[Any],
    strides: list[Any],
    in_channels: Any,
    classes: Any,
    hidden: list[Any],
    input_scale: Any,
) -> None:
    """UserError for what cannot be built, before anything is."""
    limits.one_of("block", block, tuple(_BLOCKS))
    limits.whole("width", width, 1, limits.LARGEST_WIDTH)
    limits.wholes("blocks_per_stage", blocks_per_stage, 1, limits.LARGEST_DEPTH, limits.LARGEST_STAGES)
    limits.wholes("strides", strides, 1, limits.LARGEST_STRIDE, limits.LARGEST_STAGES)
    limits.check_ends(in_channels, hidden, classes, input_scale)
    if not blocks_per_stage or len(strides) != len(blocks_per_stage):
        raise UserError(f"resnet: {len(blocks_per_stage)} stages need as many strides, not {len(strides)}.")
    limits.whole("sum of blocks_per_stage", sum(blocks_per_stage), 1, limits.LARGEST_DEPTH)
    stages = _stages(width, blocks_per_stage, strides)
    features = stages[-1][0]
    weights = body_weights(in_channels, width, stages) + head_weights(features, hidden, classes)
    limits.check_weights("resnet", weights)


def body_weights(in_channels: int, width: int, stages: Sequence[tuple[int, int, int]]) -> int:
    """How many weights the convolutions of stem and stages have."""
    total, channels = 9 * in_channels * width, width
    for outputs, count, stride in stages:
        shortcut = channels * outputs if changes_shape(channels, outputs, stride) else 0
        total += 9 * channels * outputs + shortcut + 9 * outputs**2 * (2 * count - 1)
        channels = outputs
    return total
