"""What a model file, or a live module, does not say about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
        dt: seconds in one step, for formats that describe neurons in continuous time (NIR).
        allow_pickle: load pickled modules, which runs whatever code the file holds.
    """

    arch: str | None = None
    arch_kwargs: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None
    largest: int = 255
    input_scale: float = 1.0
    steps: int | None = None
    dt: float = 1e-4
    allow_pickle: bool = False
