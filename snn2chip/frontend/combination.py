"""Arithmetic that is put off: weighted sums of tensors, until it shows what they are.

A sum over time that grows step by step, and the potential of a neuron that a forward computes by itself, are no nodes
of the graph. Everything linear is therefore kept as a `Combination` and becomes nodes only where a layer reads it. The
one exception is the plain sum of two tensors at one step, which is a residual sum at once.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from snn2chip.errors import GraphError
from snn2chip.frontend import axes as layout
from snn2chip.frontend.axes import LayoutError
from snn2chip.frontend.trace import Trace, array, check_pointwise
from snn2chip.frontend.values import (
    EVERY,
    Combination,
    Floored,
    InitialState,
    NodeValue,
    Opaque,
    Product,
    Shaped,
    StateValue,
    StaticTotalError,
    Term,
    Time,
    When,
    same_time,
)
from snn2chip.graph import Array, Kind, frozen
from snn2chip.ops import Add, BatchNorm2d, Scale

_ZERO = frozen(np.zeros(()))


class PotentialError(GraphError):
    """A potential is used, which is no tensor of the graph."""


def is_constant(value: Any) -> bool:
    """Whether `value` is a number or a real tensor."""
    return isinstance(value, (int, float, torch.Tensor))


def combination(trace: Trace, value: Any, name: str = "") -> Combination:
    """A tensor as a weighted sum of one term."""
    if isinstance(value, Combination):
        return replace(value, name=name or value.name)
    if isinstance(value, (StateValue, InitialState)):
        value = trace.membrane(value)
    if isinstance(value, Opaque):
        raise value.error
    if isinstance(value, Floored):
        raise value.error()
    if not isinstance(value, NodeValue):
        raise GraphError("it works on what is no tensor")
    return Combination({(value.node, value.time): frozen(np.ones(()))}, _ZERO, value.axes, value.node, name)


def channel_values(trace: Trace, constant: Any, value: Combination) -> Array:
    """A constant that torch broadcasts to `value`, as one number for all (``[]``) or one a channel (``[C]``)."""
    real = array(constant)
    if real.ndim > len(value.axes):
        raise LayoutError("a constant has more axes than the tensor that it meets")
    lengths = trace.lengths(value)
    _check_fits(real.shape, lengths)
    found = _without_copies(real.reshape((1,) * (len(lengths) - real.ndim) + real.shape))
    varied = [k for k, length in enumerate(found.shape) if length != 1]
    if not varied:
        return frozen(found.reshape(()))
    channels = trace.builder.shape(value.like)[0]
    if len(varied) != 1 or value.axes[varied[0]] != (0,) or found.size != channels:
        raise GraphError(f"a constant of shape {real.shape} meets {lengths}: only one number, or one a channel, can")
    return frozen(found.reshape(-1))


def _without_copies(values: Array) -> Array:
    """Every axis along which the values are all the same, with a length of 1."""
    for axis in range(values.ndim):
        one = values.take([0], axis) if values.size else values
        values = one if (values == one).all() else values
    return values


def _check_fits(constant: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    """LayoutError where a tensor would have to be repeated to meet a constant."""
    padded = (1,) * (len(lengths) - len(constant)) + constant
    if any(size != length == 1 for size, length in zip(padded, lengths, strict=True)):
        raise LayoutError(
            f"a constant of shape {constant} meets a tensor of shape {lengths}, which would be repeated to fit"
        )


def scaled(value: Combination, factor: Array) -> Combination:
    """``factor * value``."""
    terms = {term: factor * coefficient for term, coefficient in value.terms.items() if factor.any()}
    return replace(value, terms=terms, offset=factor * value.offset)


def shifted(value: Combination, offset: Array) -> Combination:
    """``value + offset``."""
    return replace(value, offset=value.offset + offset)


def total(first: Combination, second: Combination) -> Combination:
    """``first + second``, of equal axes."""
    if first.axes != second.axes:
        axes = f"{layout.described(first.axes)} and {layout.described(second.axes)}"
        raise LayoutError(f"tensors of the axes {axes} meet: only equal ones do")
    terms = dict(first.terms)
    for term, coefficient in second.terms.items():
        terms[term] = terms.get(term, _ZERO) + coefficient
    return replace(first, terms={t: c for t, c in terms.items() if c.any()}, offset=first.offset + second.offset)


def simplified(value: Combination) -> Combination | NodeValue:
    """A tensor of the graph where it is nothing but one."""
    if len(value.terms) == 1 and not value.offset.any():
        ((term, coefficient),) = value.terms.items()
        if not isinstance(term, Product) and (coefficient == 1).all():
            return NodeValue(term[0], value.axes, term[1])
    return value


def times(value: Combination) -> set[Time]:
    """All times of its terms; GraphError where it holds the potential of a neuron."""
    if any(isinstance(term, Product) for term in value.terms):
        raise PotentialError("it uses the potential of a neuron, which stays inside it: use its spikes")
    return {term[1] for term in value.terms if not isinstance(term, Product)}


def time_of(value: Shaped) -> Time:
    """When a value holds; GraphError where its terms belong to different steps."""
    if not isinstance(value, Combination):
        return value.time
    found = sorted(times(value), key=str)  # so that an error says the same every time
    return functools.reduce(same_time, found) if found else EVERY


def retimed(value: Shaped, time: Time) -> Shaped:
    """`value`, which held at one time, at another: a step of a sequence, or its mean."""
    if not isinstance(value, Combination):
        return replace(value, time=time)
    time_of(value)
    terms: dict[Term, Array] = {
        (term[0], time): factor for term, factor in value.terms.items() if not isinstance(term, Product)
    }
    return replace(value, terms=terms)


def materialised(trace: Trace, value: Combination) -> NodeValue:
    """The nodes of a weighted sum, all of whose terms belong to one step."""
    simple = simplified(value)
    if isinstance(simple, NodeValue):
        return simple
    if not value.terms:
        raise GraphError("nothing of the network's input is left in it")
    time = time_of(value)
    if value.offset.any():
        check_pointwise(time, "an offset", affine=True, offset=True)
    terms = [(term, factor) for term, factor in value.terms.items() if not isinstance(term, Product)]
    nodes = [_term(trace, value, term[0], factor, f"{value.name}.{k}") for k, (term, factor) in enumerate(terms)]
    if len(nodes) == 1:
        node = _affine(trace, terms[0][0][0], terms[0][1], value.offset, value.name)
        return NodeValue(node, value.axes, time)
    node = added(trace, tuple(nodes), value.name)
    if value.offset.any():
        node = _affine(trace, node, frozen(np.ones(())), value.offset, f"{value.name}.offset")
    return NodeValue(node, value.axes, time)


def _term(trace: Trace, value: Combination, node: str, factor: Array, name: str) -> str:
    return node if len(value.terms) == 1 else _affine(trace, node, factor, _ZERO, name)


def _affine(trace: Trace, node: str, factor: Array, offset: Array, name: str) -> str:
    """``factor * node + offset``."""
    if not offset.any() and (factor == 1).all():
        return node
    if not offset.any() and (factor > 0).all():
        uniform = (factor == factor.reshape(-1)[0]).all()
        scale = Scale(float(factor.reshape(-1)[0]) if uniform else frozen(factor, np.float64))
        return trace.emit(name, scale, (node,))
    if trace.builder.kind(node) is Kind.SPIKE and (factor < 0).any():
        raise GraphError("spikes with a minus sign are not supported: give the layer behind them negative weights")
    channels = trace.builder.shape(node)[0]
    gain, shift = (frozen(np.broadcast_to(values, channels)) for values in (factor, offset))
    return trace.emit(name, BatchNorm2d(gain, shift), (node,))


def added(trace: Trace, nodes: tuple[str, ...], name: str) -> str:
    """A residual sum; spikes that meet currents become currents."""
    if len({trace.builder.kind(node) for node in nodes}) > 1:
        nodes = tuple(trace.as_current(node, name) for node in nodes)
    return trace.emit(name, Add(), nodes)


def plain_sum(trace: Trace, first: NodeValue, second: NodeValue, name: str) -> NodeValue | None:
    """The sum of two tensors at one step, as a node; None where they belong to different steps."""
    try:
        time = same_time(first.time, second.time)
    except StaticTotalError:
        raise
    except GraphError:
        return None
    long, short = (first, second) if len(first.axes) >= len(second.axes) else (second, first)
    extra = len(long.axes) - len(short.axes)
    broadcast = extra == 0 or (short.time.when is When.EVERY and layout.atoms(long.axes[:extra]) == (layout.TIME,))
    if not broadcast or long.axes[extra:] != short.axes or trace.lengths(long)[extra:] != trace.lengths(short):
        raise LayoutError(f"tensors of {trace.lengths(first)} and {trace.lengths(second)} meet: only equal shapes do")
    nodes = (first.node, second.node)
    if trace.builder.shape(nodes[0]) != trace.builder.shape(nodes[1]):
        nodes = (trace.flat_operand(first)[0], trace.flat_operand(second)[0])
    return NodeValue(added(trace, nodes, name), long.axes, time)
