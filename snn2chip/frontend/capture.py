"""A live PyTorch module as a float graph: its forward runs on traced tensors. What is not understood is an error."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from snn2chip.errors import GraphError, UserError
from snn2chip.frontend.axes import BATCH, TIME, Axes, LayoutError, LeadError, atoms
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.dynamics import WrittenNeuron
from snn2chip.frontend.exported import capture_exported
from snn2chip.frontend.options import check_shape
from snn2chip.frontend.output import finish
from snn2chip.frontend.snapshot import Snapshot, unchanged
from snn2chip.frontend.stepping import run_steps
from snn2chip.frontend.trace import Scope, Trace, input_value, qualified_name
from snn2chip.frontend.tracing import BelowError, Traced, check_hooks, located, tracing, users_line, wrapped
from snn2chip.frontend.values import DynamicsError, InitialState, StateValue
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
#: PyTorch's own wrappers around a model, and where they keep it.
_WRAPPERS = {
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
}
#: Lengths of the batch axis to choose from: primes that no other axis is likely to have.
_BATCHES = (101, 103, 107, 109, 113, 127)


_OF_THE_BATCH = (
    "what it computes depends on the length of the batch, or on random numbers: a network means the same at every call"
)


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
    check_shape(input_shape, "input_shape")
    refusals: list[UserError] = []
    given = _Given(tuple(input_shape), largest, steps, input_scale, output)
    for lead in LAYOUTS if steps is not None else LAYOUTS[:1]:
        try:
            with unchanged(model) as before:
                model.eval()
                return _confirmed(given, model, lead, before)
        except (LayoutError, _ForwardError) as error:
            refusals.append(error)
            if not isinstance(error, LeadError) and _takes(model, given, lead):
                refusals = [error]  # this is how it is meant: another layout would mean something else
                break
    if isinstance(refusals[0], _ForwardError):
        graph = _exported(model, given, batch=2)
        if graph is not None:
            again = _exported(model, given, batch=3)
            if again is None or again.digest != graph.digest:
                raise GraphError(f"forward of {type(model).__name__}: {_OF_THE_BATCH}")
            return graph
    raise _explained(refusals[0], steps)


def _takes(model: nn.Module, given: _Given, lead: Axes) -> bool:
    """Whether the model returns something for each sample of an input with the leading axes `lead`."""
    with unchanged(model), contextlib.suppress(Exception), torch.no_grad():
        model.eval()
        returned = model(given.example(lead, batch=3).to(_dtype(model)))
        batches = {3, 3 * (given.steps or 1)}
        leaves = [leaf for leaf in pytree.tree_leaves(returned) if isinstance(leaf, torch.Tensor)]
        return any(leaf.ndim >= 2 and not batches.isdisjoint(leaf.shape[:2]) for leaf in leaves)
    return False


def _exported(model: nn.Module, given: _Given, batch: int) -> Graph | None:
    """The graph by torch.export, which follows some code that traced tensors cannot; None where neither can."""
    program = _program(model, given, batch)
    if program is None:
        return None
    return capture_exported(program, given.input_shape, given.largest, given.steps, given.input_scale, given.output)


def _program(model: nn.Module, given: _Given, batch: int) -> ExportedProgram | None:
    for lead in LAYOUTS[:1] if _takes(model, given, LAYOUTS[0]) else LAYOUTS[:2]:
        with unchanged(model), contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.eval()
            return torch.export.export(model, (given.example(lead, batch).to(_dtype(model)),), strict=False)
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
    """The model in PyTorch's wrappers, which change nothing but by hooks; a class derived from one may do anything."""
    while attribute := _WRAPPERS.get(qualified_name(type(model))):
        try:
            check_hooks(model)
        except GraphError as error:
            raise GraphError(f"the wrapper {type(model).__name__}: {error}") from None
        model = getattr(model, attribute)
    return model


@dataclass(frozen=True)
class _Given:
    """The arguments of `capture`."""

    input_shape: tuple[int, ...]
    largest: int
    steps: int | None
    input_scale: float
    output: int | None

    def batches(self) -> list[int]:
        """Lengths of the batch axis that no other axis is likely to have."""
        return [batch for batch in _BATCHES if batch not in {self.steps, *self.input_shape}]

    def builder(self) -> Builder:
        """A graph that is still empty."""
        return Builder(self.input_shape, self.largest)

    def example(self, lead: Axes, batch: int) -> torch.Tensor:
        """An input of the leading axes `lead`, all zeros."""
        sizes = {BATCH: batch, TIME: self.steps or 1}
        return torch.zeros(*(math.prod(sizes[str(atom)] for atom in axis) for axis in lead), *self.input_shape)


def _confirmed(given: _Given, model: nn.Module, lead: Axes, before: Snapshot) -> Graph:
    """The graph, once a second call with another batch has been seen to mean the same."""
    first, second, *_ = given.batches()
    graph = _run(given, model, lead, before, Trace(given.builder(), first))
    changed = before.changed()
    before.restore(memories=False)
    try:
        again: str = _run(given, model, lead, before, Trace(given.builder(), second)).digest
    except UserError as error:
        again = str(error)
    if again == graph.digest:
        return graph
    kept = f"by what it keeps in {_listed(changed)}: a network means the same at every call"
    why = f"its second call means something else than the first, {kept}" if changed else _OF_THE_BATCH
    raise GraphError(f"forward of {type(model).__name__}: {why}")


def _run(given: _Given, model: nn.Module, lead: Axes, before: Snapshot, trace: Trace) -> Graph:
    builder = trace.builder
    trace.scopes, trace.owned = [Scope.of("", model)], before.owners()
    if given.steps is not None:
        trace.fix_steps(given.steps)
    names, needed, omitted = _parameters(model)
    node = builder.input(names[0] if names else "input")
    if given.input_scale != 1:
        node = builder.add("input_scale", Scale(given.input_scale), (node,))
    image = Traced.make(trace, input_value(node, lead, trace), dtype=_dtype(model))
    states = [InitialState(name) for name in names[1:needed]]
    try:
        returned = run_steps(trace, _Calls(trace, model, image, len(omitted)), states, TIME in atoms(lead), omitted)
        if trace.steps is None and not states and not omitted and _is_stateless(trace) and not before.changed():
            trace.fix_steps(1)
        return finish(trace, returned, given.output)
    except GraphError as error:
        if isinstance(error, DynamicsError) and (kept := before.changed()):
            error.args = (f"{error} (between calls it keeps {_listed(kept)})",)
        raise located(trace, error) from None


def _is_stateless(trace: Trace) -> bool:
    """Whether all its neurons are written out and ran once: what they leave has nowhere to go but attributes."""
    return all(isinstance(chain, WrittenNeuron) and chain.calls == 1 for chain in trace.chains)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


@dataclass
class _Calls:
    """Calls of the model; what one returned as the new states is passed to the next, where arguments were None before.

    A model returns ``output, state`` or ``output, state, state``, one for each of its `omitted` arguments.
    """

    trace: Trace
    model: nn.Module
    image: Traced
    omitted: int
    _returned: Any = None

    def __call__(self, states: Sequence[Any]) -> list[Any]:
        """What one call of the model returns: the values of all tensors in it."""
        given = [wrapped(self.trace, state) for state in states]
        try:
            with tracing(self.trace, self.model):
                self._returned = self.model(self.image, *given, *self._carried())
                return _values(self._returned)
        except BelowError as error:
            raise _ForwardError(f"{type(self.model).__name__}: {error}") from None
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the model's own code raises
            line = users_line(inspect_frames(error))
            kind = "" if isinstance(error, (RuntimeError, ValueError)) else f"{type(error).__name__}: "
            name = type(self.model).__name__
            raise _ForwardError(f"{name}{line}: its forward cannot be traced: {kind}{error}") from None

    def _carried(self) -> Sequence[Any]:
        """The states that the last call returned; nothing before the first, and where it is unclear what they are."""
        if not self.omitted or not isinstance(self._returned, (tuple, list)):
            return ()
        first, *rest = self._returned
        if len(rest) == 1 and self.omitted > 1 and isinstance(rest[0], (tuple, list)):
            rest = list(rest[0])
        elif len(rest) > 1 and self.omitted == 1:
            rest = [tuple(rest)]
        if len(rest) != self.omitted or _holds_states(first):
            return ()
        self.trace.carried = range(len(_values(first)), len(_values(self._returned)))
        return rest


def _values(returned: Any) -> list[Any]:
    return [leaf.value for leaf in pytree.tree_leaves(returned) if isinstance(leaf, Traced)]


def _holds_states(returned: Any) -> bool:
    return any(isinstance(getattr(leaf, "value", None), StateValue) for leaf in pytree.tree_leaves(returned))


def inspect_frames(error: BaseException) -> Any:
    """The frames that an exception passed."""
    return traceback.extract_tb(error.__traceback__)


def _parameters(model: nn.Module) -> tuple[list[str], int, list[str]]:
    """The names of the positional arguments of forward, how many have no default, and those behind that are None."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p for p in inspect.signature(model.forward).parameters.values() if p.kind in kinds]
    needed = sum(p.default is p.empty for p in found)
    omitted = itertools.takewhile(lambda p: p.default is None, found[max(needed, 1) :])
    return [p.name for p in found], needed, [p.name for p in omitted]


def _dtype(model: nn.Module) -> torch.dtype:
    """The type of the model's floating-point parameters."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
