"""Sums, products with constants, and comparisons: what residual sums and neurons are written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from snn2chip.errors import GraphError
from snn2chip.frontend.combination import (
    channel_values,
    combination,
    is_constant,
    materialised,
    plain_sum,
    scaled,
    shifted,
    simplified,
    total,
)
from snn2chip.frontend.dynamics import Threshold, product, spikes
from snn2chip.frontend.functions.spiking import is_binary, of_spikes
from snn2chip.frontend.functions.synapses import signal_value
from snn2chip.frontend.trace import Trace
from snn2chip.frontend.values import Combination, Floored, NodeValue, Product
from snn2chip.graph import frozen

Number = int | float
_ONE = frozen(np.ones(()))


def add(trace: Trace, input: Any, other: Any, alpha: Number = 1) -> Any:
    """``a + alpha * b``."""
    if is_constant(input) and is_constant(other):
        return input + alpha * other
    name = trace.label("add")
    if alpha != 1:
        other = mul(trace, other, alpha)
    if is_constant(other):
        return _with_constant(trace, input, other, name)
    if is_constant(input):
        return _with_constant(trace, other, input, name)
    if isinstance(input, NodeValue) and isinstance(other, NodeValue):
        summed = plain_sum(trace, input, other, name)
        if summed is not None:
            return summed
    first, second = combination(trace, input, name), combination(trace, other, name)
    if _are_tensors(first, second):
        return add(trace, materialised(trace, first), materialised(trace, second))
    return simplified(total(first, second))


def _are_tensors(*values: Combination) -> bool:
    """Whether values are scaled tensors of one step, whose sum is a residual sum and no potential."""
    terms = [next(iter(value.terms.items())) for value in values if len(value.terms) == 1]
    if len(terms) < len(values) or any(isinstance(term, Product) or not (factor > 0).all() for term, factor in terms):
        return False
    moments = {term[1] for term, _ in terms if not isinstance(term, Product)}
    nodes = {term[0] for term, _ in terms if not isinstance(term, Product)}
    return len(moments) == 1 and len(nodes) == len(values)


def _with_constant(trace: Trace, value: Any, constant: Any, name: str) -> Any:
    found = combination(trace, value, name)
    return simplified(shifted(found, channel_values(trace, constant, found)))


def sub(trace: Trace, input: Any, other: Any, alpha: Number = 1) -> Any:
    """``a - alpha * b``."""
    return add(trace, input, mul(trace, other, -alpha) if not is_constant(other) else -alpha * other)


def rsub(trace: Trace, input: Any, other: Any, alpha: Number = 1) -> Any:
    """``other - alpha * input``."""
    return sub(trace, other, input, alpha)


def mul(trace: Trace, input: Any, other: Any) -> Any:
    """``a * b``, of which one is a constant; or a neuron's spikes, which clear its potential."""
    if is_constant(input) and is_constant(other):
        return input * other
    name = trace.label("mul")
    value, constant = (other, input) if is_constant(input) else (input, other)
    found = combination(trace, value, name)
    if is_constant(constant):
        return simplified(scaled(found, channel_values(trace, constant, found)))
    other_found = combination(trace, constant, name)
    for first, second in ((found, other_found), (other_found, found)):
        if not second.terms:  # a difference that is a constant
            return simplified(scaled(first, second.offset))
    return simplified(product(trace, found, other_found))


def div(trace: Trace, input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    """``x / constant``, rounded down or not at all."""
    if rounding_mode not in (None, "floor") or not is_constant(other):
        raise GraphError("only a division by a constant, rounded down or not at all, is supported")
    quotient = mul(trace, input, 1.0 / torch.as_tensor(other).double())
    return quotient if rounding_mode is None else floor(trace, quotient)


def floor_divide(trace: Trace, input: Any, other: Any) -> Any:
    """``x // constant``."""
    return div(trace, input, other, "floor")


def lerp(trace: Trace, input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``."""
    return add(trace, input, mul(trace, sub(trace, end, input), weight))


def addcmul(trace: Trace, input: Any, tensor1: Any, tensor2: Any, value: Number = 1) -> Any:
    """``input + value * tensor1 * tensor2``, of which one is a constant."""
    return add(trace, input, mul(trace, tensor1, tensor2), alpha=value)


def neg(trace: Trace, input: Any) -> Any:
    """``-x``."""
    return mul(trace, input, -1)


def gt(trace: Trace, input: Any, other: Any) -> Any:
    """``a > b``: the spikes of a neuron that fires above its threshold; of spikes, whether there is one."""
    excess = sub(trace, input, other)
    spiked = of_spikes(trace, excess, lambda found: found > 0)
    return _fires(trace, excess, strict=True) if spiked is None else spiked


def ge(trace: Trace, input: Any, other: Any) -> Any:
    """``a >= b``: the spikes of a neuron that fires at its threshold; of spikes, whether there is one."""
    excess = sub(trace, input, other)
    spiked = of_spikes(trace, excess, lambda found: found >= 0)
    return _fires(trace, excess, strict=False) if spiked is None else spiked


def lt(trace: Trace, input: Any, other: Any) -> Any:
    """``a < b``."""
    return gt(trace, other, input)


def le(trace: Trace, input: Any, other: Any) -> Any:
    """``a <= b``."""
    return ge(trace, other, input)


def eq(trace: Trace, input: Any, other: Any) -> Any:
    """``z == 1`` and ``z == 0`` of binary spikes; ``x == None``, which some forwards ask."""
    if other is None:
        return False
    spiked = of_spikes(trace, sub(trace, input, other), lambda found: found == 0)
    if spiked is None:
        raise GraphError("a comparison for equality is no neuron that is known")
    return spiked


def ne(trace: Trace, input: Any, other: Any) -> Any:
    """``x != y``."""
    found = eq(trace, input, other)
    return not found if isinstance(found, bool) else logical_not(trace, found)


def heaviside(trace: Trace, input: Any, values: Any) -> NodeValue:
    """``heaviside(x, values)``: `values` says whether 0 spikes."""
    if not is_constant(values) or set(torch.as_tensor(values).reshape(-1).tolist()) not in ({0.0}, {1.0}):
        raise GraphError("heaviside is supported with values 0 or 1")
    return _fires(trace, input, strict=not torch.as_tensor(values).any())


def _fires(trace: Trace, excess: Any, strict: bool) -> NodeValue:
    zero = frozen(np.zeros(()))
    return spikes(trace, excess, Threshold(zero, _ONE, 1, strict))


def floor(trace: Trace, input: Any) -> Any:
    """``floor``, of a multi-level neuron."""
    if isinstance(input, Floored):
        return _graded(trace, input) if input.levels is not None else input
    found = combination(trace, input)
    return Floored(found, found.axes)


def clamp(trace: Trace, input: Any, min: Any = None, max: Any = None) -> Any:
    """``clamp`` to ``0 .. N``, before or after `floor`: the spike counts of a multi-level neuron."""
    low, high = (None if bound is None else float(bound) for bound in (min, max))
    if low != 0 or high is None or not high.is_integer() or not 1 <= high <= 255:
        bounds = "..".join("" if bound is None else f"{bound:g}" for bound in (low, high))
        raise GraphError(f"clamp to {bounds} is supported for spike counts only, 0..N with a whole number N")
    if isinstance(input, Floored):
        return _graded(trace, replace(input, levels=int(high)))
    found = combination(trace, input)
    return Floored(found, found.axes, int(high))


def _graded(trace: Trace, floored: Floored) -> NodeValue:
    """``clip(floor(x), 0, N)``."""
    assert floored.levels is not None
    return spikes(trace, floored.value, Threshold(_ONE, _ONE, floored.levels, strict=False))


def where(trace: Trace, condition: Any, input: Any, other: Any) -> Any:
    """``where(spikes, a, b)``: ``b + spikes * (a - b)``."""
    both_constant = is_constant(input) and is_constant(other)
    change = torch.as_tensor(input) - torch.as_tensor(other) if both_constant else sub(trace, input, other)
    return add(trace, mul(trace, condition, change), other)


def masked_fill(trace: Trace, input: Any, mask: Any, value: Any) -> Any:
    """``masked_fill``."""
    return where(trace, mask, value, input)


def logical_not(trace: Trace, input: Any) -> Any:
    """``not spikes``, of binary ones."""
    if isinstance(input, NodeValue) and not is_binary(trace, input.node):
        raise GraphError("logical_not of what is not proven to be 0 or 1 is not supported")
    return rsub(trace, input, 1)


def copied(trace: Trace, input: Any, source: Any, non_blocking: bool = False) -> Any:
    """``copy_``: the new value."""
    if isinstance(source, (int, float, torch.Tensor)):
        return torch.as_tensor(source).expand(trace.lengths(input)).clone()
    return source


def pad(trace: Trace, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Refused."""
    raise GraphError(f"padding in mode {mode!r} is not supported: pad with zeros, in the convolution or pooling itself")


def relu(trace: Trace, input: Any, inplace: bool = False) -> Any:
    """``relu`` of what is never negative: the same."""
    value = signal_value(trace, input)
    if (trace.builder.signal(value.node).interval.low < 0).any():
        raise GraphError("relu is not supported: a spiking network has neurons in its place")
    return value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("add", "__radd__"), add),
    **dict.fromkeys(("sub", "subtract"), sub),
    **dict.fromkeys(("rsub", "__rsub__"), rsub),
    **dict.fromkeys(("mul", "__rmul__", "multiply"), mul),
    **dict.fromkeys(("div", "divide", "true_divide"), div),
    **dict.fromkeys(("floor_divide", "__floordiv__"), floor_divide),
    **dict.fromkeys(("neg", "negative"), neg),
    **dict.fromkeys(("gt", "greater"), gt),
    **dict.fromkeys(("ge", "greater_equal"), ge),
    **dict.fromkeys(("lt", "less"), lt),
    **dict.fromkeys(("le", "less_equal"), le),
    **dict.fromkeys(("clamp", "clip"), clamp),
    **dict.fromkeys(("logical_not", "bitwise_not", "__invert__"), logical_not),
    **dict.fromkeys(("eq", "__eq__"), eq),
    **dict.fromkeys(("ne", "__ne__"), ne),
    "lerp": lerp,
    "addcmul": addcmul,
    "pad": pad,
    "constant_pad_nd": pad,
    "heaviside": heaviside,
    "floor": floor,
    "where": where,
    "masked_fill": masked_fill,
    "copy": copied,
    "relu": relu,
}
