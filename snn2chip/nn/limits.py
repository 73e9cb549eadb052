"""What a network may ask for: a model file can carry any number, and is refused before it costs time or memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from snn2chip.errors import UserError

LARGEST_WIDTH = 2**16
LARGEST_STAGES = 16
LARGEST_DEPTH = 1000
LARGEST_STRIDE = 16
#: 2**28 float32 weights take 1 GiB; the CIFAR ResNet-18 has 11 million, VGG-16 for ImageNet 138 million.
LARGEST_WEIGHTS = 2**28


def whole(name: str, value: Any, low: int, high: int) -> int:
    """``value`` if it is an int within ``low .. high``; UserError naming it where it is not."""
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"{name} is {_shown(value)}: it must be a whole number in {low}..{high}.")
    return value


def wholes(name: str, values: Sequence[Any], low: int, high: int, most: int) -> list[int]:
    """``values`` as a list of at most ``most`` ints, each within ``low .. high``; UserError naming what is not."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise UserError(f"{name} is {_shown(values)}: it must be a list of whole numbers.")
    if len(values) > most:
        raise UserError(f"{name} has {len(values)} entries: at most {most} are supported.")
    return [whole(f"{name}[{index}]", value, low, high) for index, value in enumerate(values)]


def positive(name: str, value: Any) -> float:
    """``value`` as a float if it is a positive finite number; UserError naming it where it is not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max:
        raise UserError(f"{name} is {_shown(value)}: it must be positive and finite.")
    return float(value)


def one_of(name: str, value: Any, choices: Sequence[str]) -> None:
    """UserError naming ``value`` where it is none of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise UserError(f"{name} must be one of {tuple(choices)}, not {_shown(value)}.")


def check_ends(in_channels: Any, hidden: Sequence[Any], classes: Any, input_scale: Any) -> None:
    """UserError where the first or the last layers of a network cannot be built."""
    whole("in_channels", in_channels, 1, LARGEST_WIDTH)
    wholes("hidden", hidden, 1, LARGEST_WIDTH, LARGEST_STAGES)
    whole("classes", classes, 1, LARGEST_WIDTH)
    positive("input_scale", input_scale)


def check_weights(network: str, weights: int) -> None:
    """UserError where a network would have more than `LARGEST_WEIGHTS` weights."""
    if weights > LARGEST_WEIGHTS:
        raise UserError(
            f"{network}: it would have {_shown(weights)} weights, more than the {LARGEST_WEIGHTS} that are supported: "
            "make it narrower or shallower."
        )


def _shown(value: Any) -> str:
    """At most about 60 characters, whatever a file holds."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    if not isinstance(value, (int, float, str)) and value is not None:
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}..."
