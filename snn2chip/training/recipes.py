"""What is trained and how: one network shape and one budget for the multi-level net and all its baselines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from snn2chip.errors import UserError
from snn2chip.training.augmentation import Augmentation
from snn2chip.training.digits import GREY_LEVELS


@dataclass(frozen=True)
class Recipe:
    """One network and its training.

    Attributes:
        name: what ``snn2chip train --recipe`` takes.
        label: short name of the shipped checkpoints.
        arch_kwargs: for ``snn2chip.nn.build("resnet", ...)``.
        epochs: passes over the training part; the learning rate falls to zero along a cosine.
        batch_size: images per optimiser step.
        learning_rate: AdamW's peak, reached after ``warmup`` of the epochs.
        weight_decay: AdamW's, on convolution and linear weights.
        warmup: fraction of the epochs in which the learning rate rises from zero.
        label_smoothing: of the cross-entropy.
        average_decay: of the exponential moving average of the weights that is validated and kept.
        validation_fraction: of the training part, held out to choose the best epoch.
    """

    name: str
    label: str
    arch_kwargs: dict[str, Any]
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 6e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    label_smoothing: float = 0.1
    average_decay: float = 0.99
    validation_fraction: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for files."""
        return asdict(self)


def _digits(name: str, label: str, **changes: Any) -> Recipe:
    shape = {"width": 32, "blocks_per_stage": [1, 1], "strides": [1, 2], "in_channels": 1, "classes": 10}
    return Recipe(name, label, {"block": "sparse", **shape, "input_scale": 1 / GREY_LEVELS, **changes})


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _digits("digits", "sparse-n4-t1", levels=4, steps=1),
        _digits("digits-binary-t4", "binary-t4", levels=1, steps=4),
        _digits("digits-binary-t1", "binary-t1", levels=1, steps=1),
        _digits("digits-sew", "sew-n4-t1", block="sew", levels=4, steps=1),
        _digits("digits-qann", "qann-3bit", neuron="quantized_relu", bits=3, steps=1),
    )
}


def get(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        UserError: there is none.
    """
    if name not in RECIPES:
        raise UserError(f"Unknown recipe {name!r}; known are {', '.join(RECIPES)}.")
    return RECIPES[name]
