"""VGG networks of multi-level neurons: stages of 3x3 convolutions with a pool after each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

from torch import Tensor, nn

from snn2chip.errors import UserError
from snn2chip.nn import limits
from snn2chip.nn.blocks import conv_norm
from snn2chip.nn.encoding import DirectEncoding, Readout
from snn2chip.nn.head import head_weights, linear_head
from snn2chip.nn.neuron_factory import NeuronFactory, NeuronOptions

Pool = Literal["max", "average"]

_POOLS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
#: Channels double from stage to stage, up to this many times the first width (64 to 512 in VGG).
_LARGEST_FACTOR = 8


class VGG(nn.Module):
    """Encoding, stages of conv-BN-neuron with a 2x2 pool after each, linear head, mean logits over time.

    Shape: ``[B, C, H, W]`` or ``[B, T, C, H, W]`` -> logits ``[B, classes]`` float32.  `vgg` makes it.
    """

    arch = "vgg"

    def __init__(
        self, arch_kwargs: dict[str, Any], encoding: DirectEncoding, stages: nn.Sequential, head: nn.Module
    ) -> None:
        super().__init__()
        self.arch_kwargs = arch_kwargs
        self.encoding, self.stages, self.flatten, self.head = encoding, stages, nn.Flatten(), head
        self.readout = Readout(encoding.steps)

    def forward(self, images: Tensor) -> Tensor:
        return self.readout(self.head(self.flatten(self.stages(self.encoding(images)))))  # type: ignore[no-any-return]


def vgg(
    convolutions_per_stage: Sequence[int] = (2, 2, 3, 3, 3),
    width: int = 64,
    pool: Pool = "max",
    hidden: Sequence[int] = (512, 512),
    in_channels: int = 3,
    classes: int = 10,
    image_size: int = 32,
    input_scale: float = 1 / 255,
    **neuron_options: Any,
) -> VGG:
    """A VGG with batch norms; the defaults are VGG-16 for CIFAR: 64 to 512 channels, FC 512-512-10, 15.2 M parameters.

    Args:
        convolutions_per_stage: 3x3 convolutions before each pool.
        width: channels of the first stage; each later stage doubles them, up to 8 times as many.
        pool: 2x2 ``max`` or ``average`` of the spikes, after the neuron.
        hidden: widths of hidden linear layers in the head.
        in_channels, classes: of the image and of the last linear layer.
        image_size: height and width of the image, which the head depends on.
        input_scale: factor from grey levels or event counts to real input.
        neuron_options: the fields of `NeuronOptions`.

    Raises:
        UserError: an unknown pool, an image that the pools leave nothing of, or a value beyond ``snn2chip.nn.limits``.
    """
    shape: dict[str, Any] = {
        "convolutions_per_stage": list(convolutions_per_stage),
        "width": width,
        "pool": pool,
        "hidden": list(hidden),
        "in_channels": in_channels,
        "classes": classes,
        "image_size": image_size,
        "input_scale": input_scale,
    }
    options = NeuronOptions(**neuron_options)
    _check(**shape)
    neurons = NeuronFactory(options)
    stages = nn.Sequential(
        *(_stage(widths, pool, neurons) for widths in _widths(in_channels, width, convolutions_per_stage))
    )
    features = _features(width, image_size, len(convolutions_per_stage))
    head = linear_head(features, hidden, classes, neurons)
    return VGG({**shape, **options.as_dict()}, DirectEncoding(options.steps, input_scale), stages, head)


def vgg11(**changes: Any) -> VGG:
    """VGG-11: 8 convolutions, and the head of `vgg`."""
    return vgg(**{"convolutions_per_stage": [1, 1, 2, 2, 2], **changes})


def vgg16(**changes: Any) -> VGG:
    """VGG-16: 13 convolutions, and the head of `vgg`."""
    return vgg(**changes)


def _stage(widths: list[int], pool: str, neurons: NeuronFactory) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [*conv_norm(inputs, outputs, 3, 1), neurons.neuron(outputs)]
    return nn.Sequential(*layers, _POOLS[pool](2))


def _widths(in_channels: int, width: int, convolutions_per_stage: Sequence[int]) -> list[list[int]]:
    """The channels that enter each stage, and those that leave each of its convolutions."""
    stages, channels = [], in_channels
    for index, count in enumerate(convolutions_per_stage):
        outputs = width * min(2**index, _LARGEST_FACTOR)
        stages.append([channels] + [outputs] * count)
        channels = outputs
    return stages


def _features(width: int, image_size: int, stages: int) -> int:
    """The length of the map that the last pool leaves, once it is flattened."""
    side = image_size // (1 << stages)
    return width * min(1 << (stages - 1), _LARGEST_FACTOR) * side * side


def _check(
    convolutions_per_stage: list[Any],
    width: Any,
    pool: Any,
    hidden: list[Any],
    in_channels: Any,
    classes: Any,
    image_size: Any,
    input_scale: Any,
) -> None:
    """UserError for what cannot be built, before anything is."""
    limits.wholes("convolutions_per_stage", convolutions_per_stage, 1, limits.LARGEST_DEPTH, limits.LARGEST_STAGES)
    limits.whole("width", width, 1, limits.LARGEST_WIDTH)
    limits.one_of("pool", pool, get_args(Pool))
    limits.check_ends(in_channels, hidden, classes, input_scale)
    limits.whole("image_size", image_size, 1, limits.LARGEST_WIDTH)
    stages = len(convolutions_per_stage)
    if not stages or image_size < 2**stages:
        raise UserError(f"vgg: an image of size {image_size} cannot be halved by each of {stages} pools.")
    limits.whole("sum of convolutions_per_stage", sum(convolutions_per_stage), 1, limits.LARGEST_DEPTH)
    widths = _widths(in_channels, width, convolutions_per_stage)
    convolutions = sum(9 * inputs * outputs for stage in widths for inputs, outputs in pairwise(stage))
    limits.check_weights("vgg", convolutions + head_weights(_features(width, image_size, stages), hidden, classes))
