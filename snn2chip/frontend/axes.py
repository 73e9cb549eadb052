"""What each axis of a traced tensor stands for: batch, time, channels, rows, columns, or several of them merged.

An axis is a tuple of *atoms* in row-major order: ``"B"`` (batch), ``"T"`` (time), and 0, 1, 2 for the axes of the
tensor that a graph node yields for one sample. ``("T", "B")`` is a merged time-and-batch axis, ``(0, 1, 2)`` a
flattened map, and ``()`` an axis of length 1. Atoms of length 1 are left out, so that equal layouts compare equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from snn2chip.errors import GraphError
from snn2chip.graph import Shape

Atom = str | int
Axis = tuple[Atom, ...]
Axes = tuple[Axis, ...]

BATCH, TIME = "B", "T"
LEADING = frozenset({BATCH, TIME})


class LayoutError(GraphError):
    """A tensor has other axes than what it meets expects: the network may want its input in another layout."""


class LeadError(LayoutError):
    """A layer, or the forward itself, takes an axis for time where the batch is, or the other way round."""


def atom_sizes(shape: Shape, batch: int, steps: int | None) -> dict[Atom, int]:
    """The length of every atom of a tensor whose node yields `shape`."""
    return {**dict(enumerate(shape)), BATCH: batch, TIME: steps or 1}


def axis_size(axis: Axis, sizes: Mapping[Atom, int]) -> int:
    return math.prod(sizes[atom] for atom in axis)


def lengths(axes: Axes, sizes: Mapping[Atom, int]) -> tuple[int, ...]:
    """The shape of a tensor with these axes."""
    return tuple(axis_size(axis, sizes) for axis in axes)


def standard(lead: Axes, rank: int, sizes: Mapping[Atom, int]) -> Axes:
    """The leading axes, and then the node's own, one each."""
    axes = (*lead, *((k,) for k in range(rank)))
    return tuple(tuple(atom for atom in axis if sizes[atom] > 1 or atom == BATCH) for axis in axes)


def split_lead(axes: Axes) -> tuple[Axes, Axes]:
    """The leading axes (batch, time), and those that follow; a length-1 axis before the batch leads, too."""
    leading = [k for k, axis in enumerate(axes) if LEADING.intersection(axis)]
    count = max(leading) + 1 if leading else 0
    return axes[:count], axes[count:]


def atoms(axes: Iterable[Axis]) -> tuple[Atom, ...]:
    """All atoms, in row-major order."""
    return tuple(atom for axis in axes for atom in axis)


def regroup(axes: Axes, sizes: Mapping[Atom, int], shape: Sequence[int]) -> Axes:
    """The axes after a reshape to `shape` (-1 for one length that follows from the rest).

    Raises: LayoutError where an axis would have to be cut.
    """
    shape = _complete(lengths(axes, sizes), shape)
    rest, grouped = list(atoms(axes)), []
    for k, length in enumerate(shape):
        group: list[Atom] = []
        while axis_size(tuple(group), sizes) < length and rest:
            group.append(rest.pop(0))
        if axis_size(tuple(group), sizes) != length:
            raise LayoutError(f"a reshape from {lengths(axes, sizes)} to {tuple(shape)} would cut an axis in pieces")
        if (
            rest and sizes[rest[0]] == 1 and tuple(shape[k + 1 : k + 2]) != (1,)
        ):  # a batch of 1: in the last axis it can be
            group.append(rest.pop(0))
        grouped.append(tuple(group))
    return tuple(grouped)


def _complete(old: Sequence[int], new: Sequence[int]) -> tuple[int, ...]:
    total, known = math.prod(old), math.prod(length for length in new if length != -1)
    if list(new).count(-1) == 1 and known and total % known == 0:
        return tuple(total // known if length == -1 else int(length) for length in new)
    if -1 in new or known != total:
        raise LayoutError(f"a tensor of shape {tuple(old)} cannot take the shape {tuple(new)}")
    return tuple(map(int, new))


def described(axes: Axes) -> str:
    """Axes as a reader knows them, such as ``[B, channels, rows, columns]``."""
    names: dict[Atom, str] = {0: "channels", 1: "rows", 2: "columns"}
    return "[" + ", ".join("*".join(names.get(atom, str(atom)) for atom in axis) or "1" for axis in axes) + "]"


def position(dim: int, rank: int) -> int:
    """A non-negative axis number; LayoutError where there is no such axis."""
    if not isinstance(dim, int) or not -rank <= dim < rank:
        raise LayoutError(f"there is no axis {dim} in a tensor of {rank} axes")
    return dim % rank


def positions(dims: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Non-negative axis numbers in ascending order; all axes for None."""
    if dims is None:
        return tuple(range(rank))
    listed = (dims,) if isinstance(dims, int) else tuple(dims)
    return tuple(sorted({position(dim, rank) for dim in listed}))
