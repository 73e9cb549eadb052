"""One group of an HDF5 file as a record of named values, with errors that name it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array

#: Numbers that a dataset may hold, however little it takes in the file; and numbers for each of its bytes beyond that.
FREE_VALUES = 2**24
MOST_PER_BYTE = 32
#: Characters of a text that a message quotes.
_MOST_SHOWN = 80
#: Whole numbers beyond this are no sizes, strides or parameters of a network.
_LARGEST_INTEGER = 2**31
_FLOAT64_BYTES = 8


@dataclass(frozen=True)
class Record(ABC):
    """A group whose datasets are the values of one layer; the file behind it must be open while it is read."""

    group: h5py.Group

    @property
    @abstractmethod
    def label(self) -> str:
        """How messages call it."""

    def refusal(self, reason: str) -> GraphError:
        return GraphError(f"{self.label} {reason}")

    def check_fields(self, known: frozenset[str]) -> None:
        """GraphError for a value that is not among the known ones: it may change what the record means."""
        if unknown := sorted(set(self.group) - known):
            raise self.refusal(f"has a field {shown(unknown[0])}, which is not known: write the file without it")

    def value(self, name: str) -> Any:
        """A value as NumPy reads it, or None where it is absent or empty."""
        found = self.group.get(name)
        if found is None:
            return None
        if not isinstance(found, h5py.Dataset):
            raise self.refusal(f"holds a group {name!r} where a dataset belongs")
        return None if found.shape is None else found[()]

    def numbers(self, name: str) -> Array:
        """Finite numbers, in the type in which they are stored."""
        found = self.value(name)
        if found is None:
            raise self.refusal(f"lacks its field {name!r}")
        array = np.asarray(found)
        if array.dtype.kind not in "biuf":
            raise self.refusal(f"holds no numbers in its field {name!r}")
        with np.errstate(over="ignore"):  # wider floats may be finite there, and infinite in the type that counts
            narrow = array.astype(np.float64) if array.dtype.itemsize > _FLOAT64_BYTES else array
        if not np.isfinite(narrow).all():
            raise self.refusal(f"holds NaN or infinite numbers in its field {name!r}")
        return array

    def array(self, name: str) -> Array:
        """Finite numbers, float64; GraphError for so many in so few bytes that no training can have made them."""
        array = self.numbers(name)
        stored = self.group[name].id.get_storage_size()
        if array.size > max(FREE_VALUES, MOST_PER_BYTE * stored):
            raise self.refusal(
                f"holds {array.size} numbers in its field {name!r}, but {stored} bytes: use another file"
            )
        return array.astype(np.float64)

    def float_type(self, name: str) -> Any:
        """The float type in which a value is stored; float64 for integers."""
        dtype = getattr(self.value(name), "dtype", np.dtype(np.float64))
        return dtype if dtype.kind == "f" else np.dtype(np.float64)

    def whole(self, name: str) -> Array:
        """Whole numbers of any shape and of 32 bits, float64."""
        array = self.array(name)
        if (array != np.rint(array)).any() or (np.abs(array) > _LARGEST_INTEGER).any():
            raise self.refusal(f"needs whole numbers in its field {name!r}")
        return array

    def integers(self, name: str, count: int) -> tuple[int, ...]:
        """`count` whole numbers; a single one stands for all of them."""
        array = self.whole(name).reshape(-1)
        if array.size not in (1, count):
            raise self.refusal(f"needs {count} numbers in its field {name!r}, not {array.size}")
        return tuple(int(number) for number in np.broadcast_to(array, count))

    def pair(self, name: str) -> tuple[int, int]:
        """(vertical, horizontal); a single number stands for both."""
        vertical, horizontal = self.integers(name, 2)
        return vertical, horizontal

    def text(self, name: str) -> str | None:
        """A string, else None."""
        return as_text(self.value(name))


def shown(text: str) -> str:
    """A text of the file as messages show it: on one line, and not endless."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")


def check_features(count: int) -> None:
    """GraphError for so many flat features that their bounds, kept one by one, would fill the memory."""
    if count > FREE_VALUES:
        raise GraphError(f"it has {count} flat features: at most {FREE_VALUES} are supported")


def as_text(value: Any) -> str | None:
    """A string of an HDF5 dataset (a scalar, or of one element); None for what is no string."""
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "OS":
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None
