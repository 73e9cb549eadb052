"""Random changes of whole batches of images or event frames, all of one sample's frames alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
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

    @property
    def changes(self) -> bool:
        """Whether anything is drawn at all."""
        return any((self.degrees, self.scale, self.shear, self.shift))


NONE = Augmentation(degrees=0.0, scale=0.0, shear=0.0, shift=0.0)


def augment(images: Tensor, limits: Augmentation, highest: int, generator: torch.Generator) -> Tensor:
    """``images`` float32 ``[B, C, H, W]``, each moved at random, rounded to whole grey levels 0..``highest``."""
    transforms = _random_transforms(len(images), images.shape[-1], limits, generator).to(images.device)
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


def crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """``images`` ``[B, C, H, W]``, each shifted by up to ``padding`` whole pixels either way; zeros move in."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (padding, padding, padding, padding))
    top, left = torch.randint(2 * padding + 1, (2, count), generator=generator).to(images.device)
    sample = torch.arange(count, device=images.device).reshape(-1, 1, 1)
    rows = (top[:, None] + torch.arange(height, device=images.device))[:, :, None]
    columns = (left[:, None] + torch.arange(width, device=images.device))[:, None, :]
    return padded.permute(0, 2, 3, 1)[sample, rows, columns].permute(0, 3, 1, 2).contiguous()


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """``images`` ``[B, C, H, W]``, each mirrored left to right with probability 1/2."""
    mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def mixup(images: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """Each sample blended with another: the blend, who the other one is, and the share of the first.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018 (arXiv 1710.09412): one share a batch, drawn from
    Beta(``alpha``, ``alpha``).
    """
    seed = int(torch.randint(2**31, (1,), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    other = torch.randperm(len(images), generator=generator).to(images.device)
    return share * images + (1 - share) * images[other], other, share
