"""Runs a model's own forward on traced tensors: symbols that know shape, axes and time, and grow the graph.

torch hands every function that meets a `Traced` tensor to ``__torch_function__`` (torch's protocol for tensor-like
objects), which looks its meaning up in `snn2chip.frontend.functions`. Python runs as it does otherwise: loops,
conditions on shapes, wrappers, weights that are computed from other weights. What depends on a tensor's values fails by
name, for there are none.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_modules
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from snn2chip.errors import GraphError, UserError
from snn2chip.frontend.dtypes import CONVERSIONS, converted, result_type, target_type
from snn2chip.frontend.functions import ARITHMETIC, FUNCTIONS, SETTERS, VIEWS
from snn2chip.frontend.rules import Call, rule_for
from snn2chip.frontend.trace import Scope, Trace
from snn2chip.frontend.values import Combination, Floored, InitialState, NodeValue, Opaque, StateValue

#: What asks for metadata, and is answered by the tensor itself.
_METADATA = frozenset(
    {
        *("shape", "ndim", "dtype", "device", "layout", "size", "dim", "ndimension", "numel", "nelement", "__len__"),
        *("is_cuda", "is_cpu", "is_sparse", "is_quantized", "is_meta", "is_mps", "is_xpu", "is_nested", "is_mkldnn"),
        *("is_leaf", "requires_grad", "grad_fn", "grad", "names", "is_floating_point", "is_complex", "is_inference"),
        *("is_contiguous", "get_device", "element_size", "itemsize", "is_same_size", "is_signed", "__hash__"),
    }
)
#: What makes tensors: inside a forward they may be filled step by step, so that they are traced, too.
_FACTORIES = frozenset(
    {
        *("zeros", "ones", "full", "empty", "tensor", "zeros_like", "ones_like", "full_like", "empty_like"),
        *("new_zeros", "new_ones", "new_full", "new_empty"),
    }
)
#: What draws numbers: a network means the same at every call.
_RANDOM = frozenset(
    {
        *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli", "normal"),
        *("poisson", "multinomial", "uniform_", "normal_", "bernoulli_", "random_", "exponential_", "cauchy_"),
        *("geometric_", "log_normal_"),
    }
)
#: What asks for a tensor's values.
_VALUES = frozenset(
    {"__bool__", "item", "tolist", "numpy", "__int__", "__float__", "__index__", "__array__", "__complex__"}
)
#: What hands a tensor's memory to others.
_SHARED = frozenset({"numpy", "__array__", "__dlpack__", "data_ptr", "untyped_storage", "storage"})

#: What stands for a tensor without values.
SYMBOLS = (NodeValue, StateValue, InitialState, Combination, Floored, Opaque)
_ZERO = torch.zeros(())


class BelowError(UserError):
    """An operator reached a traced tensor without the function that it belongs to."""


class _Memory:
    """What shares memory: changing one tensor in place changes all its views."""

    def __init__(self) -> None:
        self.version = 0
        self.elsewhere = False  # whether NumPy shares it as well


class Traced(torch.Tensor):
    """A tensor without values; `value` says what it stands for, or is a real tensor: a constant."""

    tracer: Trace
    value: Any
    memory: _Memory
    version: int

    @staticmethod
    def make(trace: Trace, value: Any, memory: _Memory | None = None, dtype: torch.dtype | None = None) -> Traced:
        constant = isinstance(value, torch.Tensor)
        shape, dtype = (value.shape, value.dtype) if constant else (trace.lengths(value), dtype or torch.float32)
        made: Traced = torch.Tensor._make_wrapper_subclass(Traced, shape, dtype=dtype, device=torch.device("cpu"))
        made.tracer, made.value = trace, value
        made.memory = memory or _Memory()
        made.version = made.memory.version
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function_name(func)
        if name in _METADATA:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        traced = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Traced)]
        trace = traced[0].tracer
        try:
            if torch.is_autocast_enabled("cpu"):
                raise GraphError("torch.autocast is on, which rounds: leave it out in evaluation")
            return _Dispatch(trace, func, name).run(args, kwargs, traced)
        except GraphError as error:
            raise located(trace, error) from None

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise BelowError(f"{func} reached a traced tensor below torch's functions: use plain PyTorch in its place")

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Traced({self.value})"


def function_name(func: Any) -> str:
    """The name of a torch function, method, property or ``aten`` operator, without its overload."""
    if isinstance(func, torch._ops.OpOverload):
        return str(func._schema.name).replace("::", ".")
    name = str(getattr(func, "__name__", None) or type(func).__name__)
    if name in ("__get__", "__set__"):  # a property
        return str(func.__self__.__name__) + ("=" if name == "__set__" else "")
    return name


class _Dispatch:
    """One call of a torch function."""

    def __init__(self, trace: Trace, func: Any, name: str) -> None:
        self._trace, self._func, self._name = trace, func, name

    def run(self, args: Any, kwargs: Any, traced: list[Traced]) -> Any:
        self._check_fresh(traced)
        plain_args, plain_kwargs = pytree.tree_map(_plain, (args, kwargs))
        base = self._name.removeprefix("aten.")
        symbols = [leaf.value for leaf in traced if isinstance(leaf.value, SYMBOLS)]
        if base in CONVERSIONS and symbols:
            return self._convert(base, args, kwargs)
        if base in ARITHMETIC and any(isinstance(value, InitialState) for value in symbols):
            # A state that arithmetic goes on from is zero at first.
            plain_args, plain_kwargs = pytree.tree_map_only(InitialState, lambda _: _ZERO, (plain_args, plain_kwargs))
            symbols = [value for value in symbols if not isinstance(value, InitialState)]
        if base in ARITHMETIC and symbols:
            plain_args, plain_kwargs = _rounded((plain_args, plain_kwargs), traced)
        if not symbols:
            return self._constant(args, plain_args, plain_kwargs, traced)
        if self._name in SETTERS:
            return self._assign(args[0], self._evaluate(self._name, plain_args, plain_kwargs, symbols), args[2])
        if self._name.endswith("_") and not self._name.endswith("__"):
            result_type(base[:-1], args, kwargs, traced[0].dtype)
            value = self._evaluate(self._name[:-1], plain_args, plain_kwargs, symbols)
            target = args[0] if args else kwargs["input"]
            return self._assign(target, value, args[1] if base == "copy_" else target)
        value = self._evaluate(self._name, plain_args, plain_kwargs, symbols)
        return self._new(base, value, args, kwargs, traced)

    def _new(self, base: str, value: Any, args: Any, kwargs: Any, traced: list[Traced]) -> Any:
        """What a function returns, in the type that torch gives it."""
        if isinstance(value, torch.Tensor):  # a constant that is made in the likeness of a tensor
            return wrapped(self._trace, value.to(kwargs.get("dtype") or traced[0].dtype))
        dtype = result_type(base, args, kwargs, traced[0].dtype)
        return wrapped(self._trace, value, traced[0].memory if base in VIEWS else None, dtype)

    def _convert(self, name: str, args: Any, kwargs: Any) -> Any:
        """A change of type."""
        tensor, target = args[0], target_type(name, args[1:], kwargs)
        if name == "type" and len(args) == 1 and not kwargs:
            return torch.empty(0, dtype=tensor.dtype).type()
        target = target or tensor.dtype
        value = _plain(tensor)
        if isinstance(value, torch.Tensor):
            return wrapped(self._trace, value.to(target))
        shared = target == tensor.dtype and name != "_to_copy" and not kwargs.get("copy")
        value = converted(self._trace, value, tensor.dtype, target)
        return wrapped(self._trace, value, tensor.memory if shared else None, target)

    def _check_fresh(self, traced: list[Traced]) -> None:
        for tensor in traced:
            if tensor.version != tensor.memory.version:
                raise GraphError(
                    f"{self._name} reads a view of a tensor that was changed in place: use + instead of +="
                )

    def _constant(self, args: Any, plain_args: Any, plain_kwargs: Any, traced: list[Traced]) -> Any:
        """A function of constants alone is computed."""
        result = self._func(*plain_args, **plain_kwargs)
        for tensor in traced if self._name in _SHARED else ():
            tensor.memory.elsewhere = True
        if args and isinstance(args[0], Traced) and result is args[0].value:  # changed in place
            if result.shape != args[0].shape:
                raise GraphError(f"{self._name} changes the shape of a tensor in place: use its result")
            return args[0]
        memories = {_storage(leaf.value): leaf.memory for leaf in traced if _is_constant(leaf.value)}
        return pytree.tree_map_only(
            torch.Tensor, lambda made: Traced.make(self._trace, made, memories.get(_storage(made))), result
        )

    def _evaluate(self, name: str, args: Any, kwargs: Any, symbols: list[Any]) -> Any:
        opaque = next((value for value in symbols if isinstance(value, Opaque)), None)
        if name in _VALUES:
            raise GraphError(f"{name.strip('_')} depends on the values of a tensor, which are known at run time only")
        if opaque is not None and name.removeprefix("aten.") in ARITHMETIC:
            return opaque  # what depends on it is no tensor of the graph either
        if kwargs.pop("out", None) is not None:
            raise GraphError("out= is not supported: use the result")
        handler = FUNCTIONS.get(name) or FUNCTIONS.get(name.removeprefix("aten."))
        if handler is None:
            why = ": recurrent networks are not" if name.startswith(("lstm", "gru", "rnn_")) else ""
            raise GraphError(f"{name} is not supported{why}")
        try:
            bound = _signature(handler).bind(self._trace, *args, **kwargs)
        except TypeError as error:
            raise GraphError(f"{name} is called in a way that is not supported: {error}") from None
        return handler(*bound.args, **bound.kwargs)

    def _assign(self, target: Any, value: Any, source: Any) -> Any:
        """Give `target`, and everything that is another name for it, a new value, which has the type of `source`."""
        owner = self._trace.owned.get(_storage(_plain(target))) if isinstance(_plain(target), torch.Tensor) else None
        if owner is not None or not isinstance(target, Traced):
            raise GraphError(
                f"{self._name} changes {owner or 'a tensor that the forward did not make'} in place: "
                "use an out-of-place function"
            )
        if target.memory.elsewhere:
            raise GraphError(f"{self._name} changes a tensor in place that NumPy shares: use an out-of-place function")
        if isinstance(source, torch.Tensor):
            value = converted(self._trace, value, source.dtype, target.dtype)
        lengths = value.shape if isinstance(value, torch.Tensor) else self._trace.lengths(value)
        if tuple(lengths) != tuple(target.shape):
            raise GraphError(f"{self._name} changes the shape of a tensor in place: use its result")
        target.memory.version += 1
        target.value, target.version = value, target.memory.version
        return target


def _is_constant(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.numel() > 0


def _storage(tensor: torch.Tensor) -> int:
    """Tells apart what memory tensors lie in."""
    return tensor.untyped_storage().data_ptr()


def wrapped(trace: Trace, result: Any, memory: _Memory | None = None, dtype: torch.dtype | None = None) -> Any:
    """`result`, with all values and constants in it as traced tensors."""
    return pytree.tree_map_only(
        (*SYMBOLS, torch.Tensor), lambda value: Traced.make(trace, value, memory, dtype), result
    )


def _plain(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, Traced) else leaf


def _rounded(arguments: Any, traced: list[Traced]) -> Any:
    """Python's numbers as PyTorch computes with them: rounded to the precision of the tensors that they meet."""
    dtype = torch.float64 if any(tensor.dtype == torch.float64 for tensor in traced) else torch.float32
    return pytree.tree_map_only(float, lambda number: torch.as_tensor(number, dtype=dtype), arguments)


@functools.cache
def _signature(handler: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(handler)


class _Factories(TorchFunctionMode):
    """Makes the tensors that a forward creates traced constants."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function_name(func) in _RANDOM:
            raise GraphError(f"{function_name(func)} draws random numbers: a network means the same at every call")
        result = func(*args, **(kwargs or {}))
        made = isinstance(result, torch.Tensor) and not isinstance(result, Traced)
        return Traced.make(self._trace, result) if made and function_name(func) in _FACTORIES else result


def located(trace: Trace, error: GraphError) -> GraphError:
    """The error with the module, and the line of its forward, in front; once."""
    if getattr(error, "located", False):
        return error
    scope = trace.scopes[-1]
    line = "" if scope.kinds[0].startswith(("torch.nn.", "snn2chip.nn.")) else users_line()
    found = type(error)(f"{scope}{line}: {error}")
    found.located = True  # type: ignore[attr-defined]
    return found


def users_line(frames: traceback.StackSummary | None = None) -> str:
    """``, file.py line 12``: the innermost line that is neither torch's nor ours."""
    here, installed = Path(__file__).parent, Path(torch.__file__).parent
    for frame in reversed(frames or traceback.extract_stack()):
        path = Path(frame.filename)
        if path == here / "capture.py":
            break
        if here not in path.parents and installed not in path.parents and not frame.filename.startswith("<"):
            return f", {path.name} line {frame.lineno}"
    return ""


@contextlib.contextmanager
def tracing(trace: Trace, model: nn.Module) -> Iterator[None]:
    """While this holds, calls of modules are noted, and known neurons are replaced by their rules."""
    paths = {id(module): path for path, module in model.named_modules()}
    original = nn.Module.__call__

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = paths.get(id(module), f"<{type(module).__name__}>")
        trace.scopes.append(Scope.of(path, module))
        try:
            check_hooks(module)
            rule = rule_for(module)
            if rule is None:
                return original(module, *args, **kwargs)
            traced = functools.partial(wrapped, trace, dtype=_given_type((args, kwargs)))
            args, kwargs = pytree.tree_map(_plain, (args, kwargs))
            return traced(rule.apply(Call(trace, path, module, args, kwargs, traced)))
        except GraphError as error:
            raise located(trace, error) from None
        finally:
            trace.scopes.pop()

    nn.Module.__call__ = call  # type: ignore[method-assign]
    try:
        with torch.no_grad(), _Factories(trace):
            yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]


def _given_type(arguments: Any) -> torch.dtype:
    """The type of the first tensor that a layer is given, which is that of what it returns."""
    found = (leaf.dtype for leaf in pytree.tree_leaves(arguments) if isinstance(leaf, Traced))
    return next((dtype for dtype in found if dtype.is_floating_point), torch.float32)


def check_hooks(module: nn.Module) -> None:
    """GraphError where the module does more than its forward."""
    if isinstance(module, torch.jit.ScriptModule):
        raise GraphError("it is TorchScript, which cannot be traced: give the module that it was made from")
    before, after = module._forward_pre_hooks, module._forward_hooks
    if any(not _recomputes_weights(hook) for hook in before.values()):
        raise GraphError("it has forward pre-hooks, which may change its input: remove them first")
    if after:
        raise GraphError("it has forward hooks, which may change its output: remove them first")
    if torch_modules._global_forward_hooks or torch_modules._global_forward_pre_hooks:
        raise GraphError("there are global forward hooks, which may change its output: remove them first")


def _recomputes_weights(hook: Any) -> bool:
    """Whether a pre-hook is one of torch's own that derive a weight from others, such as the older ``weight_norm``."""
    return type(hook).__module__.startswith("torch.nn.utils.")
