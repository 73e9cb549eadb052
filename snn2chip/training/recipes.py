"""What is trained and how: one network shape and one budget for the multi-level net and all its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from snn2chip.data import Dataset
from snn2chip.data.digits import GREY_LEVELS
from snn2chip.errors import UserError
from snn2chip.training import augmentation
from snn2chip.training.augmentation import Augmentation

Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "step"]


@dataclass(frozen=True)
class Recipe:
    """One network and its training.

    Attributes:
        name: what ``snn2chip train --recipe`` takes.
        label: short name of the shipped checkpoints.
        arch_kwargs: for ``snn2chip.nn.build(arch, ...)``.
        epochs: passes over the training part.
        batch_size: inputs per optimiser step.
        learning_rate: the peak, reached after ``warmup`` of the epochs.
        weight_decay: on convolution and linear weights.
        warmup: fraction of the epochs in which the learning rate rises from zero.
        label_smoothing: of the cross-entropy.
        average_decay: of the exponential moving average of the weights that is validated and kept; 0 keeps the weights.
        validation_fraction: of the training part, held out to choose the best epoch.
        augmentation: rotations, scalings, shears and shifts.
        arch: the network, see ``snn2chip.nn.build``.
        dataset: see ``snn2chip.data.load``.
        optimizer, momentum: AdamW, or SGD with momentum.
        schedule: ``cosine`` (to zero at the last epoch), or ``step``: times ``step_factor`` every ``step_epochs``.
        crop_padding: largest shift in whole pixels, zeros moving in (the usual crop of a padded image).
        flip: mirror half of the images left to right.
        autoaugment: the policy of AutoAugment for CIFAR-10.
        mixup: blend pairs of images, with shares from Beta(mixup, mixup); 0 for none.
        activity_penalty: added to the loss per event that an average synapse sees in one inference.
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
    arch: str = "resnet"
    dataset: str = "digits"
    optimizer: Optimizer = "adamw"
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    step_epochs: int = 30
    step_factor: float = 0.5
    crop_padding: int = 0
    flip: bool = False
    autoaugment: bool = False
    mixup: float = 0.0
    activity_penalty: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for files. Fields that came later are left out where they have their default."""
        later = {item.name: item.default for item in fields(self)[_FIRST_FIELDS:]}
        return {name: value for name, value in asdict(self).items() if name not in later or value != later[name]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Recipe:
        """What `as_dict` returned, also of an earlier version."""
        return cls(**{**content, "augmentation": Augmentation(**content["augmentation"])})

    @property
    def steps(self) -> int:
        """T of the network."""
        return int(self.arch_kwargs.get("steps", 1))

    def with_network(self, **changes: Any) -> Recipe:
        """The same training of another network: other ``arch_kwargs``; those that are None stay as they are."""
        wanted = {name: value for name, value in changes.items() if value is not None}
        return replace(self, arch_kwargs={**self.arch_kwargs, **wanted}) if wanted else self

    def on(self, dataset: Dataset) -> Recipe:
        """The same training on other data: channels, classes and the scale of the input follow the data."""
        channels, height, _ = dataset.input_shape
        size = {"image_size": height} if "vgg" in self.arch else {}
        shape = {"in_channels": channels, "classes": len(dataset.class_names), "input_scale": 1 / dataset.largest}
        return replace(self, dataset=dataset.name, arch_kwargs={**self.arch_kwargs, **shape, **size})


#: Up to `augmentation`: what the recipes of the first checkpoints hold.
_FIRST_FIELDS = 12


def check(recipe: Recipe) -> None:
    """UserError naming the field that no training can have."""
    _one_of(recipe, "optimizer", get_args(Optimizer))
    _one_of(recipe, "schedule", get_args(Schedule))
    for name in ("epochs", "batch_size", "step_epochs"):
        _check(recipe, name, getattr(recipe, name) >= 1, "at least 1")
    _check(recipe, "learning_rate", recipe.learning_rate > 0, "positive")
    for name in ("weight_decay", "crop_padding", "mixup", "activity_penalty", "momentum"):
        _check(recipe, name, getattr(recipe, name) >= 0, "zero or more")
    for name in ("warmup", "label_smoothing", "average_decay"):
        _check(recipe, name, 0 <= getattr(recipe, name) < 1, "in 0..1, below 1")
    _check(recipe, "validation_fraction", 0 < recipe.validation_fraction < 1, "between 0 and 1")


def _one_of(recipe: Recipe, name: str, choices: tuple[str, ...]) -> None:
    _check(recipe, name, getattr(recipe, name) in choices, f"one of {', '.join(choices)}")


def _check(recipe: Recipe, name: str, holds: bool, wanted: str) -> None:
    if not holds:
        raise UserError(f"recipe {recipe.name!r}: its {name} is {getattr(recipe, name)!r}, but it must be {wanted}.")


def _digits(name: str, label: str, **changes: Any) -> Recipe:
    shape = {"width": 32, "blocks_per_stage": [1, 1], "strides": [1, 2], "in_channels": 1, "classes": 10}
    return Recipe(name, label, {"block": "sparse", **shape, "input_scale": 1 / GREY_LEVELS, **changes})


def _event_digits(name: str, label: str, **changes: Any) -> Recipe:
    shape = {"width": 24, "blocks_per_stage": [1, 1], "strides": [2, 2], "in_channels": 2, "classes": 10}
    return Recipe(
        name,
        label,
        {"block": "sparse", **shape, **changes},
        epochs=20,
        learning_rate=0.012,
        dataset="event-digits",
        augmentation=augmentation.NONE,
        crop_padding=1,
    )


def _cifar(dataset: str, network: str, arch: str, **changes: Any) -> Recipe:
    """The published training of the multi-level VGG-16, which stands for the others', which are not known.

    Source: the configuration vgg16_bn_ifsr_float32_train of the Qualia framework, "from Andrea Castagnetti", an author
    of the paper: SGD, rate 0.05, momentum 0.9, no weight decay, halved every 30 of 300 epochs, batches of 64, flip,
    crop, AutoAugment, mixup. It does not say mixup's alpha: 1, as for CIFAR in the paper on mixup. Ours alone is the
    validation part, a tenth, so that the test images choose no epoch.
    """
    return Recipe(
        f"{dataset}-{network}",
        f"{dataset}-{network}",
        {"levels": 4, "steps": 1, "in_channels": 3, "classes": 10 if dataset == "cifar10" else 100, **changes},
        epochs=300,
        batch_size=64,
        learning_rate=0.05,
        weight_decay=0.0,
        warmup=0.0,
        label_smoothing=0.0,
        average_decay=0.0,
        augmentation=augmentation.NONE,
        arch=arch,
        dataset=dataset,
        optimizer="sgd",
        schedule="step",
        crop_padding=4,
        flip=True,
        autoaugment=True,
        mixup=1.0,
    )


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _digits("digits", "sparse-n4-t1", levels=4, steps=1),
        _digits("digits-binary-t4", "binary-t4", levels=1, steps=4),
        _digits("digits-binary-t1", "binary-t1", levels=1, steps=1),
        _digits("digits-sew", "sew-n4-t1", block="sew", levels=4, steps=1),
        _digits("digits-ms", "ms-n4-t1", block="ms", levels=4, steps=1),
        _digits("digits-spiking", "spiking-n4-t1", block="spiking", levels=4, steps=1),
        _digits("digits-barrier", "barrier-surrogate-n4-t1", levels=4, steps=1, barrier_backward="surrogate"),
        _digits("digits-qann", "qann-3bit", neuron="quantized_relu", bits=3, steps=1),
        _event_digits("event-digits", "sparse-n4-t1", levels=4, steps=1, input_scale=1 / 4),
        _event_digits("event-digits-binary-t10", "binary-t10", levels=1, steps=10, input_scale=1.0),
        *(
            recipe
            for dataset in ("cifar10", "cifar100")
            for recipe in (
                _cifar(dataset, "resnet18", "resnet", block="sparse"),
                _cifar(dataset, "resnet19", "resnet19", block="sparse"),
                _cifar(dataset, "vgg16", "vgg16"),
            )
        ),
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
