"""A live PyTorch module as a float graph: its forward runs on traced tensors. What is not understood is an error."""

from __future__ import annotations

import contextlib
import inspect
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from snn2chip.errors import GraphError, UserError
from snn2chip.frontend.axes import BATCH, TIME, Axes, LayoutError, atoms
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.exported import capture_exported
from snn2chip.frontend.output import finish
from snn2chip.frontend.snapshot import unchanged
from snn2chip.frontend.stepping import run_steps
from snn2chip.frontend.trace import Scope, Trace, input_value
from snn2chip.frontend.tracing import Traced, located, tracing, users_line, wrapped
from snn2chip.frontend.values import InitialState
from snn2chip.graph import Graph
from snn2chip.ops import Scale

#: How an input is given to a network, in the order in which it is tried: the leading axes.
LAYOUTS: tuple[Axes, ...] = (
    ((BATCH,),),
    ((TIME,), (BATCH,)),
    ((BATCH,), (TIME,)),
    ((BATCH, TIME),),
    ((TIME, BATCH),),
)
#: Wrappers around a model, and where they keep it.
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
#: Lengths of the batch axis to choose from: primes that no other axis is likely to have.
_BATCHES = (101, 103, 107, 109, 113, 127)


def capture(
    model: nn.Module,
    input_shape: tuple[int, ...],
    largest: int = 255,
    steps: int | None = None,
    input_scale: float = 1.0,
    output: int | None = None,
) -> Graph:
    """The float graph of `model` in evaluation mode.

    The model is called with ``[B, *input_shape]``, or, where it wants a time axis, with ``[T, B, ...]``,
    ``[B, T, ...]``, ``[B*T, ...]`` or ``[T*B, ...]``: the first of these that it takes. It comes back as it was.

    Args:
        model: any module of PyTorch's layers and of neurons that are known (`snn2chip.frontend.rules`).
        input_shape: ``(C, H, W)`` or ``(F,)`` of one frame.
        largest: the largest input value, 1..255.
        steps: T, where the network does not say it: it is called step by step, or takes a time axis.
        input_scale: real input per unit of the uint8 input, such as 1/255.
        output: which of the returned tensors to read, where there are several.
    Raises: UserError or GraphError naming the module's path and class where something is not understood.
    """
    model = _unwrapped(model)
    if not isinstance(model, nn.Module):
        raise UserError(f"this is a {type(model).__name__}: give a torch.nn.Module")
    refusals: list[UserError] = []
    for lead in LAYOUTS if steps is not None else LAYOUTS[:1]:
        trace = _trace(input_shape, largest, steps, model)
        try:
            return _run(trace, model, lead, input_scale, output)
        except (LayoutError, _ForwardError) as error:
            refusals.append(error)
    if isinstance(refusals[0], _ForwardError):
        program = _exported(model, input_shape, steps)
        if program is not None:
            return capture_exported(program, input_shape, largest, steps, input_scale, output)
    raise _explained(refusals[0], steps)


def _exported(model: nn.Module, input_shape: tuple[int, ...], steps: int | None) -> ExportedProgram | None:
    """The model by torch.export, which follows some code that traced tensors cannot; None where neither can."""
    for lead in ((), (steps or 1,)):
        with unchanged(model), contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.eval()
            return torch.export.export(model, (torch.zeros(*lead, 2, *input_shape, dtype=_dtype(model)),), strict=False)
    return None


class _ForwardError(UserError):
    """The model's own code failed, perhaps because it wants its input in another layout."""


def _explained(refusal: UserError, steps: int | None) -> UserError:
    """What the first layout met; where the steps are missing that another layout needs, that, too."""
    if not isinstance(refusal, LayoutError):
        return UserError(str(refusal))
    mend = " (if it takes a time axis, say how many steps it runs: steps=T, --steps T)" if steps is None else ""
    return GraphError(f"{refusal}{mend}")


def _unwrapped(model: Any) -> Any:
    while (attribute := _WRAPPERS.get(type(model).__name__)) and hasattr(model, attribute):
        model = getattr(model, attribute)
    return model


def _trace(input_shape: tuple[int, ...], largest: int, steps: int | None, model: nn.Module) -> Trace:
    builder = Builder(input_shape, largest)
    taken = {steps, *input_shape}
    trace = Trace(builder, next(batch for batch in _BATCHES if batch not in taken), scopes=[Scope.of("", model)])
    if steps is not None:
        trace.fix_steps(steps)
    return trace


def _run(trace: Trace, model: nn.Module, lead: Axes, input_scale: float, output: int | None) -> Graph:
    names, needed = _parameters(model)
    node = trace.builder.input(names[0] if names else "input")
    if input_scale != 1:
        node = trace.builder.add("input_scale", Scale(input_scale), (node,))
    image = Traced.make(trace, input_value(node, lead, trace), dtype=_dtype(model))
    states = [InitialState(name) for name in names[1:needed]]
    with unchanged(model):
        model.eval()
        try:
            returned = run_steps(trace, lambda given: _forward(trace, model, image, given), states, TIME in atoms(lead))
            return finish(trace, returned, output)
        except GraphError as error:
            raise located(trace, error) from None


def _forward(trace: Trace, model: nn.Module, image: Traced, states: Sequence[Any]) -> list[Any]:
    """What one call of the model returns: the values of all tensors in it."""
    try:
        with tracing(trace, model):
            returned = model(image, *(wrapped(trace, state) for state in states))
            return [leaf.value for leaf in pytree.tree_leaves(returned) if isinstance(leaf, Traced)]
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever the model's own code raises
        line = users_line(inspect_frames(error))
        kind = "" if isinstance(error, (RuntimeError, ValueError)) else f"{type(error).__name__}: "
        raise _ForwardError(f"{type(model).__name__}{line}: its forward cannot be traced: {kind}{error}") from None


def inspect_frames(error: BaseException) -> Any:
    """The frames that an exception passed."""
    return traceback.extract_tb(error.__traceback__)


def _parameters(model: nn.Module) -> tuple[list[str], int]:
    """The names of the positional arguments of forward, and how many have no default."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p for p in inspect.signature(model.forward).parameters.values() if p.kind in kinds]
    return [p.name for p in found], sum(p.default is p.empty for p in found)


def _dtype(model: nn.Module) -> torch.dtype:
    """The type of the model's floating-point parameters."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
