"""What may be chosen about an integer network: bits per layer, units, thresholds."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from snn2chip.errors import UserError
from snn2chip.graph import Array

FEWEST_BITS, MOST_BITS = 2, 8


def weight_limit(bits: int) -> int:
    """Largest magnitude of a signed, symmetric weight of so many bits."""
    return int(2 ** (bits - 1) - 1)


@dataclass(frozen=True)
class Precision:
    """What the integers may cost.

    Attributes:
        weight_bits: 2..8, signed and symmetric: weights lie in ``-(2**(bits-1)-1) .. 2**(bits-1)-1``.
        layer_bits: bits of the layers whose names match a pattern (``stem.*``); of several that match, the last counts.
    Raises: UserError where bits are out of range.
    """

    weight_bits: int = MOST_BITS
    layer_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_bits(f"--bits {self.weight_bits}", self.weight_bits)
        for pattern, bits in self.layer_bits.items():
            _check_bits(f"--layer-bits {pattern}={bits}", bits)

    def bits(self, layer: str, default: int | None = None) -> int:
        """Weight bits of the layer called `layer`; `default` instead of `weight_bits` where no pattern matches it."""
        matching = [bits for pattern, bits in self.layer_bits.items() if fnmatch.fnmatchcase(layer, pattern)]
        return matching[-1] if matching else default or self.weight_bits

    def names(self, layer: str) -> bool:
        """Whether a pattern matches the layer."""
        return any(fnmatch.fnmatchcase(layer, pattern) for pattern in self.layer_bits)

    def check_patterns(self, layers: Iterable[str]) -> None:
        """UserError where a pattern matches none of `layers`: it was mistyped."""
        names = list(layers)
        for pattern in self.layer_bits:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                raise UserError(f"--layer-bits {pattern!r}: no layer is called so: they are {', '.join(names)}")


def _check_bits(what: str, bits: int) -> None:
    if type(bits) is not int or not FEWEST_BITS <= bits <= MOST_BITS:
        raise UserError(f"{what}: weights take 2 to 8 bits")


@dataclass(frozen=True)
class Choices:
    """What calibration or training has decided, by node name; what is not named follows the rules of the semantics.

    Attributes:
        units: real value of one integer unit of the current that a `Conv2d` or `Linear` emits, float64 ``[O]``. Layers
            whose currents meet share their units: it is enough to name one of them. They are coarsened where a bias, a
            threshold or a membrane would leave its width: the unit of the integer graph's node is the one that holds.
        thetas: integer thresholds of neurons, ``[C]``, in units of the current that each reads, or in the finer ones of
            a `LIF` with fraction bits.
        fraction_bits: of leaky neurons and integrators.
        shift_thresholds: adapt units so that one level of every `MultiLevelIF`, and of every `LIF` that counts several,
            is a power of two: a shift then does what else takes a division. (A `LIF` of one level only compares.)
    """

    units: Mapping[str, Array] = field(default_factory=dict)
    thetas: Mapping[str, Array] = field(default_factory=dict)
    fraction_bits: Mapping[str, int] = field(default_factory=dict)
    shift_thresholds: bool = False
