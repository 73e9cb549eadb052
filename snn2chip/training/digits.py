"""scikit-learn's handwritten digits: real images that need no download, always split the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IMAGE_SHAPE = (1, 8, 8)
CLASS_NAMES = [str(digit) for digit in range(10)]
GREY_LEVELS = 16


@dataclass(frozen=True)
class Split:
    """Images ``x`` uint8 ``[B, 1, 8, 8]`` with grey levels 0..16, and classes ``y`` int64 ``[B]``."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    """The fixed stratified 75/25 split, seed 0: 1347 images to train on and 450 to test on."""

    train: Split
    test: Split


def load() -> Digits:
    """The 1797 digits (UCI ML hand-written digits, as scikit-learn ships them) in the fixed split."""
    from sklearn.datasets import load_digits

    raw: Any = load_digits()
    images = raw.images.astype(np.uint8)[:, np.newaxis]
    train, test = hold_out(Split(images, raw.target.astype(np.int64)), fraction=0.25, seed=0)
    return Digits(train, test)


def hold_out(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """``split`` in two, stratified by class: what is left, and the held-out ``fraction``."""
    from sklearn.model_selection import train_test_split

    kept_x, held_x, kept_y, held_y = train_test_split(
        split.x, split.y, test_size=fraction, stratify=split.y, random_state=seed
    )
    return Split(kept_x, kept_y), Split(held_x, held_y)
