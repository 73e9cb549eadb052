"""Functions that move nothing: other shapes, other orders of axes, copies, types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from snn2chip.errors import GraphError
from snn2chip.frontend import axes as layout
from snn2chip.frontend.axes import TIME, Axes, Axis
from snn2chip.frontend.combination import retimed, time_of
from snn2chip.frontend.trace import Trace
from snn2chip.frontend.values import (
    SEQUENCE,
    Combination,
    Floored,
    InitialState,
    NodeValue,
    Opaque,
    Shaped,
    StateValue,
    When,
)
from snn2chip.ops import Concat


def shaped(x: Any) -> Shaped:
    """`x`, where its axes are known."""
    if isinstance(x, (NodeValue, StateValue, Combination)):
        return x
    if isinstance(x, Opaque):
        raise x.error
    if isinstance(x, Floored):
        raise x.error()
    if isinstance(x, InitialState):
        raise GraphError(f"it changes the shape of the state {x.name!r}: leave it as it is")
    raise GraphError("it works on a constant in the place of a tensor that depends on the network's input")


def arranged(trace: Trace, value: Shaped, axes: Axes) -> Shaped:
    """`value` with other axes; a map whose features end up in one axis is flattened at once."""
    value = replace(value, axes=axes)
    if not isinstance(value, NodeValue):
        return value
    lead, features = layout.split_lead(axes)
    rank = len(trace.builder.shape(value.node))
    if rank == 1 or len(features) != 1 or layout.BATCH not in layout.atoms(lead):
        return value
    trace.whole_features(value)
    return trace.result(trace.flattened(value.node, trace.label("flatten", nn.Flatten)), lead, value.time)


def _sizes_of(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes or axis numbers as torch takes them: one sequence, or one number an argument."""
    flat = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    if not all(isinstance(size, int) for size in flat):
        raise GraphError(f"sizes {tuple(flat)} are no whole numbers")
    return tuple(flat)


def reshape(trace: Trace, input: Any, *shape: Any) -> Shaped:
    """``view``, ``reshape``."""
    value = shaped(input)
    if len(shape) == 1 and isinstance(shape[0], torch.dtype):
        raise GraphError("it reads the bits of a tensor as another type")
    return arranged(trace, value, layout.regroup(value.axes, trace.sizes(value), _sizes_of(shape)))


def flatten(trace: Trace, input: Any, start_dim: int = 0, end_dim: int = -1) -> Shaped:
    """``flatten``."""
    value = shaped(input)
    first, last = (layout.position(dim, len(value.axes)) for dim in (start_dim, end_dim))
    merged: Axis = layout.atoms(value.axes[first : last + 1])
    return arranged(trace, value, (*value.axes[:first], merged, *value.axes[last + 1 :]))


def like(trace: Trace, input: Any, other: Any) -> Shaped:
    """``view_as``, ``reshape_as``."""
    return reshape(trace, input, *_lengths(trace, other))


def expand_as(trace: Trace, input: Any, other: Any) -> Shaped:
    """``expand_as``."""
    return expand(trace, input, *_lengths(trace, other))


def _lengths(trace: Trace, other: Any) -> tuple[int, ...]:
    return tuple(other.shape) if isinstance(other, torch.Tensor) else trace.lengths(shaped(other))


def unflatten(trace: Trace, input: Any, dim: int, sizes: Any) -> Shaped:
    """``unflatten``."""
    value = shaped(input)
    at = layout.position(dim, len(value.axes))
    found = layout.regroup((value.axes[at],), trace.sizes(value), _sizes_of((sizes,)))
    return arranged(trace, value, (*value.axes[:at], *found, *value.axes[at + 1 :]))


def squeeze(trace: Trace, input: Any, dim: Any = None) -> Shaped:
    """``squeeze``: axes of length 1 go."""
    value = shaped(input)
    dims = layout.positions(list(dim) if isinstance(dim, (tuple, list)) else dim, len(value.axes))
    kept = tuple(axis for k, axis in enumerate(value.axes) if axis or k not in dims)
    return arranged(trace, value, kept)


def unsqueeze(trace: Trace, input: Any, dim: int) -> Shaped:
    """``unsqueeze``."""
    value = shaped(input)
    at = layout.position(dim, len(value.axes) + 1)
    return arranged(trace, value, (*value.axes[:at], (), *value.axes[at:]))


def permute(trace: Trace, input: Any, *dims: Any) -> Shaped:
    """``permute``."""
    value = shaped(input)
    order = [layout.position(dim, len(value.axes)) for dim in _sizes_of(dims)]
    if sorted(order) != list(range(len(value.axes))):
        raise GraphError(f"axes {tuple(dims)} are no order of a tensor of {len(value.axes)} axes")
    return arranged(trace, value, tuple(value.axes[k] for k in order))


def transpose(trace: Trace, input: Any, dim0: int, dim1: int) -> Shaped:
    """``transpose``."""
    rank = len(shaped(input).axes)
    order = list(range(rank))
    first, second = layout.position(dim0, rank), layout.position(dim1, rank)
    order[first], order[second] = second, first
    return permute(trace, input, order)


def movedim(trace: Trace, input: Any, source: int, destination: int) -> Shaped:
    """``movedim`` of one axis."""
    rank = len(shaped(input).axes)
    order = [k for k in range(rank) if k != layout.position(source, rank)]
    order.insert(layout.position(destination, rank), layout.position(source, rank))
    return permute(trace, input, order)


def expand(trace: Trace, input: Any, *sizes: Any, implicit: bool = False) -> Shaped:
    """``expand``: an axis of length 1, repeated, is the time axis."""
    value = shaped(input)
    wanted = _sizes_of(sizes)
    new = len(wanted) - len(value.axes)
    axes: Axes = ((),) * new + value.axes
    if new < 0:
        raise GraphError(f"{len(value.axes)} axes cannot expand to {len(wanted)}")
    present = layout.lengths(axes, trace.sizes(value))
    counts = [1 if size in (-1, length) else size for size, length in zip(wanted, present, strict=True)]
    if any(count != 1 and length != 1 for count, length in zip(counts, present, strict=True)):
        raise GraphError(f"a tensor of shape {present} cannot expand to {wanted}")
    return _repeated(trace, value, axes, counts)


def repeat(trace: Trace, input: Any, *repeats: Any) -> Shaped:
    """``repeat``: of an axis of length 1, the time axis; of the batch, time and batch merged; of channels, copies."""
    value = shaped(input)
    counts = _sizes_of(repeats)
    return _repeated(trace, value, ((),) * (len(counts) - len(value.axes)) + value.axes, counts)


def repeat_interleave(trace: Trace, input: Any, repeats: int, dim: int | None = None) -> Shaped:
    """``repeat_interleave`` of the batch: every sample T times in a row."""
    value = shaped(input)
    if dim is None or value.axes[layout.position(dim, len(value.axes))] != (layout.BATCH,):
        raise GraphError("repeat_interleave is supported along the batch only")
    at = layout.position(dim, len(value.axes))
    return _over_time(trace, value, value.axes, at, repeats, lambda axis: (*axis, TIME))


def _repeated(trace: Trace, value: Shaped, axes: Axes, counts: Sequence[int]) -> Shaped:
    repeated = [k for k, count in enumerate(counts) if count != 1]
    value = replace(value, axes=axes)
    if not repeated:
        return arranged(trace, value, axes)
    if len(repeated) > 1:
        raise GraphError("it repeats several axes at once")
    (at,) = repeated
    lead, features = layout.split_lead(axes)
    if at < len(lead) and axes[at] in ((), (layout.BATCH,)):
        return _over_time(trace, value, axes, at, counts[at], lambda axis: (TIME, *axis))
    if isinstance(value, NodeValue) and at == len(lead) and len(features) == len(trace.builder.shape(value.node)):
        trace.whole_features(value)
        joined = trace.emit(trace.label("repeat"), Concat(), (value.node,) * counts[at])
        return trace.result(joined, lead, value.time)
    raise GraphError("it repeats what is neither time nor channels")


def _over_time(trace: Trace, value: Shaped, axes: Axes, at: int, count: int, merge: Any) -> Shaped:
    if time_of(value).when is not When.EVERY:
        raise GraphError(f"it repeats {time_of(value)} along time: only what is the same at every step can be repeated")
    trace.fix_steps(count)
    return retimed(replace(value, axes=(*axes[:at], merge(axes[at]), *axes[at + 1 :])), SEQUENCE)


def same(trace: Trace, input: Any, *ignored: Any, **options: Any) -> Any:
    """Copies, and moves between devices: the same values."""
    return input


def dropout(
    trace: Trace, input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, train: bool = False
) -> Any:
    """Dropout, which does nothing in evaluation."""
    if (training or train) and p > 0:
        raise GraphError("dropout is on in evaluation: its result is random")
    return input


def _aten_dropout(trace: Trace, input: Any, p: float, train: bool) -> Any:
    return dropout(trace, input, p, train)


def transposed(trace: Trace, input: Any) -> Shaped:
    """The property ``T`` or ``mT``."""
    return transpose(trace, input, -2, -1)


def full_like(trace: Trace, input: Any, fill_value: Any, *ignored: Any, **options: Any) -> torch.Tensor:
    """A constant of the same shape."""
    return torch.full(() if isinstance(input, InitialState) else trace.lengths(input), fill_value)


def zeros_like(trace: Trace, input: Any, *ignored: Any, **options: Any) -> torch.Tensor:
    """Zeros of the same shape."""
    return full_like(trace, input, 0.0)


def ones_like(trace: Trace, input: Any, *ignored: Any, **options: Any) -> torch.Tensor:
    """Ones of the same shape."""
    return full_like(trace, input, 1.0)


def empty_like(trace: Trace, input: Any, *ignored: Any, **options: Any) -> torch.Tensor:
    """A constant of the same shape, to be filled: NaN, so that what is not filled is found."""
    return full_like(trace, input, float("nan"))


def new_full(trace: Trace, input: Any, size: Any, fill_value: Any, **options: Any) -> torch.Tensor:
    """A constant."""
    return torch.full(_sizes_of((size,)), fill_value)


def new_zeros(trace: Trace, input: Any, *size: Any, **options: Any) -> torch.Tensor:
    """Zeros."""
    return torch.zeros(_sizes_of(size))


def new_ones(trace: Trace, input: Any, *size: Any, **options: Any) -> torch.Tensor:
    """Ones."""
    return torch.ones(_sizes_of(size))


_SAME = (
    *("contiguous", "detach", "clone", "cpu", "cuda"),
    *("data", "requires_grad", "alias", "lift_fresh_copy", "detach_copy"),
)

#: Constants in the likeness of a tensor.
_MADE: dict[str, Callable[..., Any]] = {
    "full_like": full_like,
    "zero": zeros_like,
    "zeros_like": zeros_like,
    "ones_like": ones_like,
    "empty_like": empty_like,
    "new_full": new_full,
    "new_zeros": new_zeros,
    "new_ones": new_ones,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_SAME, same),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout"), dropout),
    **dict.fromkeys(("aten.dropout", "aten.feature_dropout"), _aten_dropout),
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "_reshape_alias"), reshape),
    **dict.fromkeys(("view_as", "reshape_as"), like),
    "flatten": flatten,
    "unflatten": unflatten,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "permute": permute,
    "transpose": transpose,
    "swapaxes": transpose,
    "swapdims": transpose,
    "movedim": movedim,
    "moveaxis": movedim,
    "T": transposed,
    "mT": transposed,
    "t": transposed,
    "expand": expand,
    "broadcast_to": expand,
    "expand_as": expand_as,
    "repeat": repeat,
    "tile": repeat,
    "repeat_interleave": repeat_interleave,
    **_MADE,
}
#: Their results share memory with what they read; a copy does not.
VIEWS = frozenset(FUNCTIONS) - {"clone", "repeat", "tile", "repeat_interleave", *_MADE}
