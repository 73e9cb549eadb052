"""Which type a traced tensor has in PyTorch, and where a change of type would change its values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from snn2chip.errors import GraphError
from snn2chip.frontend.functions.arithmetic import floor
from snn2chip.frontend.trace import Trace
from snn2chip.frontend.values import Combination, Floored, InitialState, NodeValue, Product, Term, When
from snn2chip.graph import Kind
from snn2chip.ops import Scale

#: Methods that convert to one type.
_TARGETS = {
    "float": torch.float32,
    "double": torch.float64,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "bool": torch.bool,
    "int": torch.int32,
    "long": torch.int64,
    "short": torch.int16,
    "char": torch.int8,
    "byte": torch.uint8,
    "cfloat": torch.complex64,
    "cdouble": torch.complex128,
    "chalf": torch.complex32,
}
#: Functions that convert.
CONVERSIONS = frozenset(_TARGETS) | {"to", "type", "type_as", "_to_copy"}
#: The names of ``torch.FloatTensor`` and its like.
_LEGACY = re.compile(r"torch\.(?:cuda\.)?([A-Z][A-Za-z0-9]*)Tensor")
_COMPARISONS = frozenset(
    {
        *("gt", "ge", "lt", "le", "eq", "ne", "greater", "greater_equal", "less", "less_equal", "__eq__", "__ne__"),
        *("logical_not", "logical_and", "logical_or", "logical_xor"),
    }
)
_ELEMENTWISE = frozenset(
    {
        *("add", "sub", "mul", "multiply", "subtract", "rsub", "floor_divide", "clamp", "clip"),
        *("__radd__", "__rsub__", "__rmul__", "__floordiv__"),
    }
)
_QUOTIENTS = frozenset({"div", "divide", "true_divide"})
_JOINS = frozenset({"stack", "cat", "concat", "concatenate"})
_BOOLEAN_SUMS = frozenset({"add", "__radd__", "mul", "multiply", "__rmul__"})
#: Types whose sums do not wrap: no count comes near 2**31.
_WIDE = (torch.int32, torch.int64)


def result_type(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], first: torch.dtype) -> torch.dtype:
    """The type that torch gives the result of a function.

    Args:
        name: of the function, without ``aten`` and overload.
        first: the type of its first tensor.
    Raises: GraphError where truth values are added, which in PyTorch gives a truth value.
    """
    if name in _COMPARISONS:
        return torch.bool
    if name in ("bitwise_not", "__invert__") and args[0].dtype != torch.bool:
        raise GraphError(f"~ of {args[0].dtype} flips bits: compare first, as in ~(x > 0)")
    given = list(args) + [kwargs[key] for key in ("condition", "input", "other", "tensors") if key in kwargs]
    if name == "where" and len(given) == 3:
        return _promoted(given[1:])
    if name in _ELEMENTWISE | _QUOTIENTS | _JOINS:
        found = _promoted(given if name not in _JOINS else [leaf for entry in given for leaf in _listed(entry)])
        if name in _BOOLEAN_SUMS and found == torch.bool:
            raise GraphError(f"{name} of truth values is no sum of spikes: convert them with .float() first")
        return torch.get_default_dtype() if name in _QUOTIENTS and not found.is_floating_point else found
    return torch.int64 if name == "sum" and not first.is_floating_point else first


def _listed(entry: Any) -> Sequence[Any]:
    return entry if isinstance(entry, (list, tuple)) else ()


def _promoted(operands: Sequence[Any]) -> torch.dtype:
    """What torch promotes tensors and numbers to."""
    stand_ins = [
        torch.empty((1,) * value.ndim, dtype=value.dtype) if isinstance(value, torch.Tensor) else value
        for value in operands
        if isinstance(value, (torch.Tensor, bool, int, float))
    ]
    found = torch.result_type(stand_ins[0], stand_ins[-1])
    for other in stand_ins[1:-1]:
        found = torch.promote_types(found, torch.result_type(other, other))
    return found


def target_type(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> torch.dtype | None:
    """The type that a conversion asks for, from its arguments behind the tensor; None where it keeps it."""
    if name in _TARGETS:
        return _TARGETS[name]
    for given in (*args, *kwargs.values()):
        if isinstance(given, torch.dtype):
            return given
        if isinstance(given, torch.Tensor):
            return given.dtype
        legacy = _LEGACY.fullmatch(given if isinstance(given, str) else _class_name(given))
        if legacy is not None:
            return _TARGETS.get(legacy[1].lower()) or _legacy(legacy[1])
    return None


def _class_name(given: Any) -> str:
    return f"{given.__module__}.{given.__name__}" if isinstance(given, type(torch.FloatTensor)) else ""


def _legacy(name: str) -> torch.dtype:
    if name == "BFloat16":
        return torch.bfloat16
    raise GraphError(f"it converts to torch.{name}Tensor, which is not supported")


def converted(trace: Trace, value: Any, source: torch.dtype, target: torch.dtype) -> Any:
    """`value` as another type, where that leaves it what it is; GraphError where it would be cut or may wrap."""
    if target == source:
        return value
    if target.is_complex:
        raise GraphError(f"it converts to {target}: only real numbers can be traced")
    if target.is_floating_point:
        return _as_float(trace, value, source, target)
    if isinstance(value, Floored) and value.levels is not None and target in _WIDE:
        return floor(trace, value)  # numbers are cut towards zero, and what is clamped is not below it
    if target == torch.bool and _largest(trace, value) > 1:
        raise GraphError("it converts to torch.bool what is not proven to be 0 or 1: compare it, as in x > 0")
    if target not in (*_WIDE, torch.bool):
        raise GraphError(f"it converts to {target}, whose sums wrap: use torch.int32 or a floating-point type")
    if not is_whole(trace, value):
        raise GraphError(f"it converts to {target}, which cuts what is not proven to be a whole number of spikes")
    return value


def _as_float(trace: Trace, value: Any, source: torch.dtype, target: torch.dtype) -> Any:
    exact = 2 / torch.finfo(target).eps  # all whole numbers up to here are numbers of the type
    narrower = not source.is_floating_point or torch.finfo(target).eps > torch.finfo(source).eps
    if target.itemsize < 4 and narrower and not _largest(trace, value) <= exact:
        raise GraphError(f"it converts to {target}, which rounds: convert the whole network, or leave it out")
    return value


def _largest(trace: Trace, value: Any) -> float:
    """The largest magnitude of what is proven to be whole; infinity for everything else."""
    if not is_whole(trace, value):
        return float("inf")
    if isinstance(value, InitialState):
        return 0.0
    if not isinstance(value, NodeValue) or value.time.when is When.TOTAL:
        return float("inf")
    return float(trace.builder.signal(value.node).interval.max)


def is_whole(trace: Trace, value: Any) -> bool:
    """Whether `value` is proven to hold whole numbers: counts of spikes, and weighted sums of them by whole numbers."""
    if isinstance(value, (Floored, InitialState)):
        return not isinstance(value, Floored) or value.levels is None
    if isinstance(value, NodeValue):
        return _counts_at(trace, (value.node, value.time))
    if not isinstance(value, Combination) or not _integral(value.offset):
        return False
    return all(_integral(factor) and _counts_at(trace, term) for term, factor in value.terms.items())


def _integral(numbers: Any) -> bool:
    return bool((np.asarray(numbers) % 1 == 0).all())


def _counts_at(trace: Trace, term: Term) -> bool:
    return not isinstance(term, Product) and term[1].when is not When.MEAN and _counts(trace, term[0])


def _counts(trace: Trace, node: str) -> bool:
    """Whether a node emits whole counts, also where they were scaled by a whole number."""
    signal, op = trace.builder.signal(node), trace.builder.op(node)
    if isinstance(op, Scale):
        return _integral(op.factor) and _counts(trace, trace.builder.sources(node)[0])
    return signal.kind is Kind.SPIKE and signal.interval.high.dtype.kind != "f"
