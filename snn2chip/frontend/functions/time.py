"""The time axis: stacking steps, taking them apart, and sums and means over time or space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from snn2chip.errors import GraphError
from snn2chip.frontend import axes as layout
from snn2chip.frontend.axes import TIME, Axes, Axis, LayoutError, LeadError
from snn2chip.frontend.combination import PotentialError, retimed, time_of
from snn2chip.frontend.dynamics import as_steps
from snn2chip.frontend.functions.arithmetic import where
from snn2chip.frontend.functions.shapes import arranged, shaped
from snn2chip.frontend.functions.synapses import signal_value
from snn2chip.frontend.trace import Trace, check_pointwise
from snn2chip.frontend.values import MEAN, TOTAL, Combination, NodeValue, Opaque, Shaped, StateValue, Time, When, at
from snn2chip.graph import Op
from snn2chip.ops import AvgPool2d, MaxPool2d, SumPool2d

_SPACE = frozenset({1, 2})


def stack(trace: Trace, tensors: Any, dim: int = 0) -> Shaped | Opaque:
    """``torch.stack``: the steps of one tensor, or the same tensor again and again, along a new time axis."""
    values = [shaped(value) for value in tensors]
    position = layout.position(dim, len(values[0].axes) + 1)
    lifted = [replace(v, axes=(*v.axes[:position], (), *v.axes[position:])) for v in values]
    return joined_steps(trace, lifted, position, (TIME,))


def joined_steps(trace: Trace, values: Sequence[Shaped], position: int, axis: Axis) -> Shaped | Opaque:
    """One value with `axis` at `position`, from its steps."""
    first = values[0]
    try:
        values = as_steps(trace, values)
    except PotentialError as error:  # a record of potentials, which may well be left unused
        return Opaque(error, (*first.axes[:position], (), *first.axes[position + 1 :]), trace.node_of(first))
    first = values[0]
    if any(replace(value, time=first.time) != first for value in values):
        raise GraphError("it joins different tensors along a new axis: only the steps of one tensor can be joined")
    times = [value.time for value in values]
    if times != [at(k) for k in range(len(times))] and any(time.when is not When.EVERY for time in times):
        raise GraphError(f"it joins {', '.join(map(str, times))}: all steps are needed, each once and in order")
    trace.fix_steps(len(values))
    axis = () if len(values) == 1 else axis
    time = first.time if len(values) == 1 else trace.whole
    return replace(first, axes=(*first.axes[:position], axis, *first.axes[position + 1 :]), time=time)


def getitem(trace: Trace, input: Any, index: Any) -> Shaped:
    """``x[...]``: steps along the time axis, new axes, and slices of everything."""
    value = shaped(input)
    given = list(index) if isinstance(index, tuple) else [index]
    taken = sum(entry is not None and entry is not Ellipsis for entry in given)
    if Ellipsis in [entry for entry in given if entry is Ellipsis]:
        at_ellipsis = next(k for k, entry in enumerate(given) if entry is Ellipsis)
        given[at_ellipsis : at_ellipsis + 1] = [slice(None)] * (len(value.axes) - taken)
    position = 0
    for entry in given:
        if entry is None:
            value = replace(value, axes=(*value.axes[:position], (), *value.axes[position:]))
            position += 1
        elif isinstance(entry, slice):
            _check_whole(entry, trace, value, position)
            position += 1
        else:
            value = select(trace, value, position, entry, settle=False)
    return arranged(trace, value, value.axes)


def _check_whole(entry: slice, trace: Trace, value: Shaped, position: int) -> None:
    length = trace.lengths(value)[position]
    if entry.indices(length) != (0, length, 1):
        ends = ("" if end is None else str(end) for end in (entry.start, entry.stop))
        part = ":".join([*ends, *([] if entry.step in (None, 1) else [str(entry.step)])])
        raise _misplaced(value, position)(
            f"it takes the part {part} of an axis of {length}: only whole axes, or one step, can be taken"
        )


def _misplaced(value: Shaped, position: int) -> type[LayoutError]:
    """What is wrong where an axis is taken apart: the batch is where the forward looks for time, or nothing."""
    return LeadError if layout.BATCH in value.axes[position] else LayoutError


def select(trace: Trace, input: Any, dim: int, index: Any, settle: bool = True) -> Shaped:
    """``x.select(dim, index)``: one step."""
    value = shaped(input)
    position = layout.position(dim, len(value.axes))
    axis, length = value.axes[position], trace.lengths(value)[position]
    if isinstance(index, (NodeValue, Combination)):
        raise GraphError("it selects elements by a mask: use torch.where, or multiply by the spikes")
    if not isinstance(index, int) or axis not in ((), (TIME,)):
        raise _misplaced(value, position)(
            "it selects some of the batch or features: only a step along the time axis can be taken"
        )
    if not -length <= index < length:
        raise LayoutError(f"step {index} is taken from an axis of {length}")
    axes = (*value.axes[:position], *value.axes[position + 1 :])
    value = replace(value, axes=axes)
    value = retimed(value, at(index % length)) if axis else value
    return arranged(trace, value, axes) if settle else value


def unbind(trace: Trace, input: Any, dim: int = 0) -> tuple[Shaped, ...]:
    """``unbind``: all steps."""
    value = shaped(input)
    length = trace.lengths(value)[layout.position(dim, len(value.axes))]
    return tuple(select(trace, value, dim, k) for k in range(length))


def split(trace: Trace, input: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Shaped, ...]:
    """``split`` into single steps, each with a time axis of length 1."""
    value = shaped(input)
    position = layout.position(dim, len(value.axes))
    if split_size_or_sections != 1:
        raise GraphError("it splits a tensor into parts: only single steps can be taken")
    return tuple(
        replace(step, axes=(*step.axes[:position], (), *step.axes[position:])) for step in unbind(trace, value, dim)
    )


def chunk(trace: Trace, input: Any, chunks: int, dim: int = 0) -> tuple[Shaped, ...]:
    """``chunk`` into single steps."""
    value = shaped(input)
    length = trace.lengths(value)[layout.position(dim, len(value.axes))]
    return split(trace, value, 1 if chunks == length else length, dim)


def setitem(trace: Trace, target: Any, index: Any, value: Any) -> Shaped:
    """``record[t] = spikes``: a tensor that was made for T steps is filled with them, one after the other."""
    if isinstance(index, (NodeValue, Combination)):  # x[mask] = number
        return where(trace, index, value, target)  # type: ignore[no-any-return]
    if isinstance(value, (bool, int, float)):
        raise GraphError(
            "it sets a part of a tensor to a number: only record[t] = step t, and x[mask] = number, can be"
        )
    step = value if isinstance(value, StateValue) else signal_value(trace, value)
    index = _whole_index(trace, index, len(step.axes))
    if isinstance(target, (NodeValue, StateValue)):
        filled, axes = target.time.step + 1, target.axes[1:]
        if target.time.when is not When.RECORD or replace(target, axes=axes, time=step.time) != step:
            raise GraphError("a record is given other tensors than at the steps before")
        length = trace.steps
    else:
        filled, length = 0, len(target)
        if tuple(target.shape[1:]) != trace.lengths(step):
            raise GraphError(f"a record of {tuple(target.shape[1:])} at each step is given {trace.lengths(step)}")
        trace.fix_steps(length)
    if index != filled or step.time != at(filled):
        raise GraphError(
            f"a record is given {step.time} at [{index}]: only record[t] = step t, in order, can be followed"
        )
    if length == 1:
        return replace(step, axes=((), *step.axes))
    done = filled + 1 == length
    time = trace.whole if done else Time(When.RECORD, filled)
    return replace(step, axes=((TIME,), *step.axes), time=time)


def _whole_index(trace: Trace, index: Any, rank: int) -> Any:
    """The step in ``record[t, :, :]``."""
    if isinstance(index, tuple) and all(entry in (slice(None), Ellipsis) for entry in index[1:]):
        return index[0]
    return index


def mean(trace: Trace, input: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> Shaped | Opaque:
    """``mean`` over time or over the whole map."""
    _check_options("mean", options)
    return _reduced(trace, input, dim, keepdim, MEAN, "mean", lambda size: AvgPool2d(size, size))


def total(trace: Trace, input: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> Shaped | Opaque:
    """``sum`` over time or over the whole map."""
    _check_options("sum", options)
    return _reduced(trace, input, dim, keepdim, TOTAL, "sum", lambda size: SumPool2d(size, size))


def _check_options(name: str, options: dict[str, Any]) -> None:
    """Such as a dtype, which may cut real numbers to whole ones."""
    if given := sorted(key for key, value in options.items() if value is not None):
        raise GraphError(f"{name} with {', '.join(given)} is not supported: leave it out")


def amax(trace: Trace, input: Any, dim: Any = None, keepdim: bool = False) -> Shaped | Opaque:
    """``amax`` over the whole map."""
    return _reduced(trace, input, dim, keepdim, None, "amax", lambda size: MaxPool2d(size, size))


def _reduced(
    trace: Trace, input: Any, dim: Any, keepdim: bool, time: Time | None, name: str, pool: Any
) -> Shaped | Opaque:
    value: Any = shaped(input)
    dims = layout.positions(list(dim) if isinstance(dim, (tuple, list)) else dim, len(value.axes))
    gone = frozenset(layout.atoms(value.axes[k] for k in dims))
    if layout.BATCH in gone or 0 in gone:
        error = f"{name} is taken over the batch or channels: it can be over time, or over rows and columns"
        kind = LeadError if layout.BATCH in gone else LayoutError
        return Opaque(kind(error), (), trace.node_of(value))
    if gone & _SPACE:
        value = _pooled(trace, value, gone, name, pool)
    if TIME in gone:
        if time is None or time_of(value).when is not When.SEQUENCE:
            raise GraphError(f"{name} over time is not supported here")
        value = retimed(signal_value(trace, value) if isinstance(value, Combination) else value, time)
    kept = [() if k in dims else axis for k, axis in enumerate(value.axes) if keepdim or k not in dims]
    return arranged(trace, value, tuple(kept))


def _pooled(trace: Trace, value: Shaped, gone: frozenset[Any], name: str, pool: Any) -> Shaped:
    """The whole map in one window."""
    value = signal_value(trace, value)
    _, height, width = trace.builder.map_shape(value.node)
    whole = {k for k, size in ((1, height), (2, width)) if size > 1}
    if gone & _SPACE != whole:
        raise GraphError(f"{name} is taken over rows or columns alone: over both it can be")
    check_pointwise(value.time, name, affine=name != "amax")
    op: Op = pool((height, width))
    node = trace.emit(trace.label(name, nn.AdaptiveAvgPool2d), op, (value.node,))
    axes: Axes = tuple(tuple(atom for atom in axis if atom not in _SPACE) for axis in value.axes)
    return NodeValue(node, axes, value.time)


def narrow(trace: Trace, input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Shaped:
    """``x[start:end:step]`` of an exported program: all of an axis."""
    value = shaped(input)
    _check_whole(slice(start, end, step), trace, value, layout.position(dim, len(value.axes)))
    return value


def length(trace: Trace, input: Any, dim: int) -> int:
    """The length of an axis."""
    return trace.lengths(shaped(input))[dim]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "stack": stack,
    "__getitem__": getitem,
    "__setitem__": setitem,
    "select": select,
    "slice": narrow,
    "sym_size": length,
    "unbind": unbind,
    "split": split,
    "chunk": chunk,
    "mean": mean,
    "sum": total,
    "amax": amax,
}
VIEWS = frozenset({"__getitem__", "select", "slice", "unbind", "split", "chunk"})
