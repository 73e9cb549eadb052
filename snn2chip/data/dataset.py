"""What every data set is once it is loaded, and the checks that it passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import UserError


@dataclass(frozen=True)
class Split:
    """Inputs ``x`` uint8 ``[B, C, H, W]`` or ``[B, T, C, H, W]``, and classes ``y`` int64 ``[B]``."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Dataset:
    """Two splits, and what is known of them.

    Attributes:
        name: what `snn2chip.data.load` was asked for.
        train, test: one shape; frames have the same number of steps.
        class_names: one a class.
        largest: no input exceeds it.
        provenance: where the data come from and what was checked, in a sentence.
        synthetic: made by a program, such as a simulated sensor, and not recorded.
        notes: what was done to the data that their user should know, such as counts that were clipped.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    largest: int
    provenance: str
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of one image or frame."""
        channels, height, width = self.train.x.shape[-3:]
        return channels, height, width

    @property
    def steps(self) -> int | None:
        """T, where the inputs are frames; None where they are images."""
        return int(self.train.x.shape[1]) if self.train.x.ndim == 5 else None


def hold_out(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """``split`` in two, stratified by class: what is left, and the held-out ``fraction``.

    Raises: UserError where a class has fewer than two members, or there are fewer held-out inputs than classes.
    """
    from sklearn.model_selection import train_test_split

    try:
        kept_x, held_x, kept_y, held_y = train_test_split(
            split.x, split.y, test_size=fraction, stratify=split.y, random_state=seed
        )
    except ValueError as error:
        raise UserError(
            f"{len(split)} inputs cannot be split by class with {fraction:g} of them held out ({error}): "
            "give more inputs of each class"
        ) from None
    return Split(kept_x, kept_y), Split(held_x, held_y)


def as_split(where: str, x: Any, y: Any) -> Split:
    """``x`` as uint8 and ``y`` as int64; UserError, starting with `where`, for what would lose its meaning."""
    x, y = np.asanyarray(x), np.asanyarray(y)  # anyarray: a file that is mapped into memory stays there
    if x.ndim not in (4, 5) or 0 in x.shape:
        raise UserError(f"{where}: its inputs have shape {x.shape}, but [B, C, H, W] or [B, T, C, H, W] is needed")
    if x.dtype.kind not in "uib":
        raise UserError(f"{where}: its inputs are {x.dtype}, but whole numbers 0..255 are needed: scale and round them")
    if x.dtype != np.uint8 and not 0 <= int(x.min()) <= int(x.max()) <= 255:
        raise UserError(f"{where}: its inputs hold {x.min()}..{x.max()}, but 0..255 is what they may hold: scale them")
    if y.shape != x.shape[:1]:
        raise UserError(f"{where}: its classes have shape {y.shape}, but one for each of {len(x)} inputs is needed")
    if y.dtype.kind not in "ui":
        raise UserError(f"{where}: its classes are {y.dtype}, but whole numbers from 0 are needed")
    if not 0 <= int(y.min()) <= int(y.max()) < 2**31:
        raise UserError(f"{where}: its classes hold {y.min()}..{y.max()}, but indices from 0 are needed")
    return Split(x.astype(np.uint8, copy=False), y.astype(np.int64))


def numbered_classes(where: str, train: Split, test: Split) -> tuple[str, ...]:
    """Names of classes that have none: their numbers.

    Raises: UserError, starting with `where`, where a number up to the largest does not occur in the training part: a
    network would get outputs that nothing trains.
    """
    found = np.unique(train.y)
    largest = int(max(train.y.max(), test.y.max()))
    if len(found) <= largest:
        missing = next(number for number in range(largest + 1) if number >= len(found) or found[number] != number)
        raise UserError(
            f"{where}: its classes go up to {largest}, but class {missing} has no training input: number them from 0 "
            "without gaps, or give class_names"
        )
    return tuple(map(str, range(largest + 1)))


def checked(dataset: Dataset) -> Dataset:
    """`dataset` itself; UserError naming it where its splits, class names and largest value do not fit together."""
    for part, split in (("training", dataset.train), ("test", dataset.test)):
        where = f"data set {dataset.name!r}, {part} part"
        as_split(where, split.x, split.y)
        if split.x.shape[1:] != dataset.train.x.shape[1:]:
            raise UserError(f"{where}: inputs of shape {split.x.shape[1:]} beside {dataset.train.x.shape[1:]}")
        if (worst := int(split.y.max())) >= len(dataset.class_names):
            raise UserError(
                f"{where}: it has the class {worst}, but only {len(dataset.class_names)} classes have names"
            )
        if (most := int(split.x.max())) > dataset.largest:
            raise UserError(f"{where}: it holds {most}, but its largest value is said to be {dataset.largest}")
    if len(unseen := np.setdiff1d(dataset.test.y, dataset.train.y)):
        raise UserError(
            f"data set {dataset.name!r}, test part: it has the class {unseen[0]}, of which the training part has no "
            "input: split the data by class"
        )
    if not 1 <= dataset.largest <= 255:
        raise UserError(f"data set {dataset.name!r}: its largest value is {dataset.largest}, which is not in 1..255")
    return dataset
