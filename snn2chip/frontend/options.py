"""What a model file, or a live module, does not say about itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from snn2chip.errors import UserError
from snn2chip.graph import LARGEST_STEPS


@dataclass(frozen=True)
class ImportOptions:
    """How a network from elsewhere is to be read. Networks that this project wrote need none of it.

    Attributes:
        arch: ``package.module:factory``, called to build the module that a state_dict is loaded into.
        arch_kwargs: keyword arguments of the factory.
        input_shape: ``(C, H, W)`` or ``(F,)`` of one frame.
        largest: the largest input value, 1..255.
        input_scale: real input per unit of the uint8 input, such as 1/255 for images in 0..1.
        steps: T, where the network itself does not say it.
        output: which of the tensors that the network returns is read, where there are several.
        dt: seconds in one step, for formats that describe neurons in continuous time (NIR).
        allow_pickle: load pickled modules, which runs whatever code the file holds.
    Raises: UserError naming the option that is out of range.
    """

    arch: str | None = None
    arch_kwargs: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None
    largest: int = 255
    input_scale: float = 1.0
    steps: int | None = None
    output: int | None = None
    dt: float = 1e-4
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        if self.input_shape is not None:
            check_shape(self.input_shape, "--input-shape")
        if not 1 <= self.largest <= 255:
            raise UserError(f"--input-largest {self.largest}: inputs are uint8, so give 1 to 255")
        if not 0 < self.input_scale < math.inf or not 0 < self.dt < math.inf:
            raise UserError("--input-scale and --dt: give positive numbers")
        if self.steps is not None and not 1 <= self.steps <= LARGEST_STEPS:
            raise UserError(f"--steps {self.steps}: give 1 to {LARGEST_STEPS}")


def check_shape(shape: object, name: str) -> None:
    """UserError that begins with `name` unless `shape` is a sequence ``(C, H, W)`` or ``(F,)`` of whole numbers."""
    sizes = shape if isinstance(shape, (tuple, list)) else ()
    whole = all(isinstance(size, Integral) and not isinstance(size, bool) and int(size) >= 1 for size in sizes)
    if len(sizes) not in (1, 3) or not whole:
        raise UserError(f"{name} {shape!r:.60}: give C,H,W or F, each at least 1, such as 3,32,32")
