"""Small random rotations, scalings, shears and shifts of whole batches of grey-level images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """Largest random change, each drawn evenly from plus or minus this much.

    Attributes:
        degrees: rotation.
        scale: relative size.
        shear: horizontal offset per unit of height.
        shift: pixels, in either direction.
    """

    degrees: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    shift: float = 0.5


def augment(images: Tensor, limits: Augmentation, highest: int, generator: torch.Generator) -> Tensor:
    """``images`` float32 ``[B, C, H, W]``, each moved at random, rounded to whole grey levels 0..``highest``."""
    transforms = _random_transforms(len(images), images.shape[-1], limits, generator)
    grid = functional.affine_grid(transforms, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, align_corners=False)
    return moved.round_().clamp_(0, highest)


def _random_transforms(count: int, size: int, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Affine maps ``[count, 2, 3]`` from output to input coordinates, both within -1..1."""
    draws = torch.rand(6, count, generator=generator) * 2 - 1
    angle = draws[0] * math.radians(limits.degrees)
    scale_x, scale_y = 1 + draws[1:3] * limits.scale
    shear = draws[3] * limits.shear
    shift_x, shift_y = draws[4:6] * limits.shift * 2 / size
    first = torch.stack([angle.cos() * scale_x, (shear - angle.sin()) * scale_y, shift_x], dim=1)
    second = torch.stack([angle.sin() * scale_x, angle.cos() * scale_y, shift_y], dim=1)
    return torch.stack([first, second], dim=1)
