"""scikit-learn's handwritten digits: real images that need no download, always split the same way."""

from __future__ import annotations

from typing import Any

import numpy as np

from snn2chip.data.dataset import Dataset, Split, hold_out

IMAGE_SHAPE = (1, 8, 8)
CLASS_NAMES = [str(digit) for digit in range(10)]
GREY_LEVELS = 16


def load() -> Dataset:
    """The 1797 digits in the fixed stratified 75/25 split, seed 0: 1347 images to train on and 450 to test on.

    Images are uint8 ``[B, 1, 8, 8]`` with grey levels 0..16. Source: UCI ML hand-written digits, as scikit-learn
    ships them.
    """
    from sklearn.datasets import load_digits

    raw: Any = load_digits()
    images = raw.images.astype(np.uint8)[:, np.newaxis]
    train, test = hold_out(Split(images, raw.target.astype(np.int64)), fraction=0.25, seed=0)
    provenance = "UCI ML hand-written digits (8x8, grey levels 0..16), as scikit-learn ships them; fixed 75/25 split"
    return Dataset("digits", train, test, tuple(CLASS_NAMES), GREY_LEVELS, provenance)
