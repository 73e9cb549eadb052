"""Small networks of every family and neuron, shared by the tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SMALL: dict[str, Any] = {
    "width": 4,
    "blocks_per_stage": [1, 2],
    "strides": [1, 2],
    "in_channels": 1,
    "input_scale": 1 / 16,
}
SMALL_VGG: dict[str, Any] = {
    "convolutions_per_stage": [1, 2],
    "width": 4,
    "hidden": [6],
    "in_channels": 1,
    "image_size": 8,
    "input_scale": 1 / 16,
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("resnet", {**SMALL, "block": "sparse", "levels": 4, "steps": 1}),
    ("resnet", {**SMALL, "block": "sparse", "levels": 1, "steps": 4}),
    ("resnet", {**SMALL, "block": "sparse", "barrier_backward": "surrogate"}),
    ("resnet", {**SMALL, "block": "sew", "levels": 4, "steps": 2}),
    ("resnet", {**SMALL, "block": "spiking", "levels": 4, "steps": 2}),
    ("resnet", {**SMALL, "block": "ms", "levels": 4, "steps": 2, "hidden": [6]}),
    ("resnet", {**SMALL, "block": "ms", "backward": "sum_of_bumps"}),
    ("resnet", {**SMALL, "block": "sparse", "neuron": "quantized_relu", "bits": 3}),
    ("resnet", {**SMALL, "block": "sparse", "learn_threshold": True, "levels": 3, "steps": 2}),
    ("resnet", {**SMALL, "block": "sew", "learn_threshold": True, "threshold_per": "channel"}),
    ("resnet", {**SMALL, "block": "spiking", "neuron": "quantized_relu", "learn_threshold": True}),
    ("resnet19", {"width": 4, "in_channels": 1, "hidden": [6]}),
    ("vgg", SMALL_VGG),
    ("vgg", {**SMALL_VGG, "pool": "average", "levels": 1, "steps": 3, "learn_threshold": True}),
    ("vgg", {**SMALL_VGG, "image_size": 8, "hidden": [], "neuron": "quantized_relu"}),
]


def images(batch: int = 5) -> Tensor:
    """Grey levels 0..16, uint8 ``[batch, 1, 8, 8]``."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 17, (batch, 1, 8, 8), dtype=torch.uint8, generator=generator)
