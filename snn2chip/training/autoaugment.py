"""The augmentation policy that AutoAugment found for CIFAR-10.

Cubuk, Zoph, Mané, Vasudevan, Le: "AutoAugment: Learning Augmentation Policies from Data" (arXiv 1805.09501): table 7
for the policy, table 6 for the operations and their ranges, which ten magnitudes divide evenly. Where the paper is
silent, the reading is that of the authors' code for CIFAR: translations reach 10 pixels, geometric magnitudes get a
random sign, and what moves in from outside is the mean colour of CIFAR-10. Posterize follows the paper (8 bits down to
4), from which that code differs. The operations are Pillow's, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

_FILL = (125, 123, 114)
_MAGNITUDES = 10
_TRANSLATION = 10


class Operation(NamedTuple):
    """One half of a sub-policy."""

    name: str
    probability: float
    magnitude: int


def _policy(text: str) -> tuple[tuple[Operation, Operation], ...]:
    rows = [line.split() for line in text.strip().splitlines()]
    return tuple((_operation(row[:3]), _operation(row[3:])) for row in rows)


def _operation(row: list[str]) -> Operation:
    return Operation(row[0], float(row[1]), int(row[2]))


#: Table 7, one sub-policy a line; operations without a magnitude have the one that the table prints beside them.
POLICY = _policy("""
Invert 0.1 7        Contrast 0.2 6
Rotate 0.7 2        TranslateX 0.3 9
Sharpness 0.8 1     Sharpness 0.9 3
ShearY 0.5 8        TranslateY 0.7 9
AutoContrast 0.5 8  Equalize 0.9 2
ShearY 0.2 7        Posterize 0.3 7
Color 0.4 3         Brightness 0.6 7
Sharpness 0.3 9     Brightness 0.7 9
Equalize 0.6 5      Equalize 0.5 1
Contrast 0.6 7      Sharpness 0.6 5
Color 0.7 7         TranslateX 0.5 8
Equalize 0.3 7      AutoContrast 0.4 8
TranslateY 0.4 3    Sharpness 0.2 6
Brightness 0.9 6    Color 0.2 8
Solarize 0.5 2      Invert 0.0 3
Equalize 0.2 0      AutoContrast 0.6 0
Equalize 0.2 8      Equalize 0.6 4
Color 0.9 9         Equalize 0.6 6
AutoContrast 0.8 4  Solarize 0.2 8
Brightness 0.1 3    Color 0.7 0
Solarize 0.4 5      AutoContrast 0.9 3
TranslateY 0.9 9    TranslateY 0.7 9
AutoContrast 0.9 2  Solarize 0.8 3
Equalize 0.8 8      Invert 0.1 3
TranslateY 0.7 9    AutoContrast 0.9 1
""")


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=_FILL)


def _enhanced(enhancer: Any) -> Callable[[Image.Image, float, float], Image.Image]:
    """Factors 0.1..1.9, of which 1 changes nothing."""

    def apply(image: Image.Image, fraction: float, sign: float) -> Image.Image:
        result: Image.Image = enhancer(image).enhance(0.1 + 1.8 * fraction)
        return result

    return apply


#: Each takes an image, the magnitude as a fraction of its range, and a sign.
_OPERATIONS: dict[str, Callable[[Image.Image, float, float], Image.Image]] = {
    "ShearX": lambda image, part, sign: _affine(image, (1, 0.3 * part * sign, 0, 0, 1, 0)),
    "ShearY": lambda image, part, sign: _affine(image, (1, 0, 0, 0.3 * part * sign, 1, 0)),
    "TranslateX": lambda image, part, sign: _affine(image, (1, 0, int(_TRANSLATION * part) * sign, 0, 1, 0)),
    "TranslateY": lambda image, part, sign: _affine(image, (1, 0, 0, 0, 1, int(_TRANSLATION * part) * sign)),
    "Rotate": lambda image, part, sign: image.rotate(int(30 * part) * sign, fillcolor=_FILL),
    "AutoContrast": lambda image, part, sign: ImageOps.autocontrast(image),
    "Invert": lambda image, part, sign: ImageOps.invert(image),
    "Equalize": lambda image, part, sign: ImageOps.equalize(image),
    "Solarize": lambda image, part, sign: ImageOps.solarize(image, 256 - int(256 * part)),
    "Posterize": lambda image, part, sign: ImageOps.posterize(image, 8 - int(4 * part)),
    "Contrast": _enhanced(ImageEnhance.Contrast),
    "Color": _enhanced(ImageEnhance.Color),
    "Brightness": _enhanced(ImageEnhance.Brightness),
    "Sharpness": _enhanced(ImageEnhance.Sharpness),
}


def apply(image: Image.Image, operation: Operation, sign: float) -> Image.Image:
    """`operation` on an RGB image, whatever its probability; `sign`, 1 or -1, turns geometric ones round."""
    return _OPERATIONS[operation.name](image, operation.magnitude / _MAGNITUDES, sign)


def autoaugment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One sub-policy, drawn at random, on each of ``images`` uint8 ``[B, 3, H, W]``."""
    count = len(images)
    choices = torch.randint(len(POLICY), (count,), generator=generator).tolist()
    draws = torch.rand(count, 2, generator=generator).tolist()
    signs = (torch.randint(2, (count, 2), generator=generator) * 2 - 1).tolist()
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    rows = zip(pixels, choices, draws, signs, strict=True)
    changed = np.stack([_augment_one(image, POLICY[choice], draw, sign) for image, choice, draw, sign in rows])
    return torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous()


def _augment_one(
    pixels: NDArray[np.uint8], policy: tuple[Operation, Operation], draws: list[float], signs: list[int]
) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    for operation, draw, sign in zip(policy, draws, signs, strict=True):
        if draw < operation.probability:
            image = apply(image, operation, sign)
    return np.asarray(image)
