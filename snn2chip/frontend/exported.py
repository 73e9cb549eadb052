"""Programs of ``torch.export`` as float graphs: their operators mean what torch's functions mean.

An exported program holds no modules: a neuron is its arithmetic (`snn2chip.frontend.dynamics`). Where the program runs
one step and changes its buffers, it is run for all steps, each with the buffers that the step before left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from snn2chip.errors import GraphError, UserError
from snn2chip.frontend.axes import BATCH, TIME, Axes, LayoutError, atoms
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.output import finish
from snn2chip.frontend.stepping import run_steps
from snn2chip.frontend.trace import Scope, Trace, input_value
from snn2chip.frontend.tracing import Traced, located, wrapped
from snn2chip.frontend.values import InitialState
from snn2chip.graph import Graph
from snn2chip.ops import Scale

#: Operators that only check.
_CHECKS = ("_assert", "sym_constrain", "_guards")
_ROOT = Scope("", ("exported program",))


def capture_exported(
    program: ExportedProgram,
    input_shape: tuple[int, ...] | None = None,
    largest: int = 255,
    steps: int | None = None,
    input_scale: float = 1.0,
    output: int | None = None,
) -> Graph:
    """The float graph of an exported program; arguments as in `snn2chip.frontend.capture.capture`.

    Args:
        input_shape: by default that of the program's input, without its first axis.
    Raises: UserError or GraphError naming the module's path and class where something is not understood.
    """
    given = tuple(length if isinstance(length, int) else None for length in _input_value(program).shape)
    shape = input_shape or tuple(length for length in given[1:] if length is not None)
    refusals: list[UserError] = []
    for lead, batch, found in _layouts(given, shape, steps):
        try:
            run = _Run(program, _trace(shape, largest, batch, found))
            graph = run.graph(lead, input_scale, output)
        except LayoutError as error:
            refusals.append(error)
            continue
        if changed := run.changed():
            again = _Run(program, _trace(shape, largest, batch, found), changed).graph(lead, input_scale, output)
            _check_same(graph, again, changed)
        return graph
    if not refusals:
        raise UserError(f"the program takes an input of {list(given)}, which is no batch of {list(shape)}")
    raise GraphError(str(refusals[0]))


def _trace(shape: tuple[int, ...], largest: int, batch: int, steps: int | None) -> Trace:
    trace = Trace(Builder(shape, largest), batch, scopes=[_ROOT])
    if steps is not None:
        trace.fix_steps(steps)
    return trace


def _check_same(graph: Graph, again: Graph, changed: Iterable[str]) -> None:
    if graph.digest != again.digest:
        names = ", ".join(map(repr, changed))
        raise GraphError(
            f"its second run means something else than the first, by what it keeps in the buffers {names}: "
            "a network means the same at every call"
        )


def _input_value(program: ExportedProgram) -> torch.Tensor:
    """What stands for the program's first input."""
    names = program.graph_signature.user_inputs
    node = next((n for n in program.graph.nodes if n.op == "placeholder" and n.name in names), None)
    value = None if node is None else node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        raise UserError("the program takes no tensor as its first input")
    return value


def _layouts(
    given: tuple[int | None, ...], shape: tuple[int, ...], steps: int | None
) -> Iterator[tuple[Axes, int, int | None]]:
    """(leading axes, batch, T) that an input of the lengths `given` may have, the likeliest first."""
    free = next(batch for batch in (101, 103, 107, 109, 113) if batch not in {*shape, steps})
    extra = len(given) - len(shape)
    if extra == 1:
        first = given[0] or free
        yield ((BATCH,),), first, steps
        if steps is not None and (given[0] is None or first % steps == 0):
            batch = free if given[0] is None else first // steps
            yield ((BATCH, TIME),), batch, steps
            yield ((TIME, BATCH),), batch, steps
    if extra == 2:
        orders: list[tuple[Axes, int | None, int | None]] = [
            (((TIME,), (BATCH,)), given[0], given[1]),
            (((BATCH,), (TIME,)), given[1], given[0]),
        ]
        for lead, time, length in orders:
            if (time or steps) and steps in (None, time or steps):
                yield lead, length or free, time or steps


@dataclass
class _Run:
    """Runs the nodes of a program on traced tensors."""

    program: ExportedProgram
    trace: Trace
    memories: Mapping[str, torch.Tensor] = field(default_factory=dict)
    _buffers: dict[str, Any] = field(default_factory=dict)

    def graph(self, lead: Axes, input_scale: float, output: int | None) -> Graph:
        builder, signature = self.trace.builder, self.program.graph_signature
        node = builder.input(str(signature.user_inputs[0]))
        if input_scale != 1:
            node = builder.add("input_scale", Scale(input_scale), (node,))
        dtype = _input_value(self.program).dtype
        image = Traced.make(self.trace, input_value(node, lead, self.trace), dtype=dtype)
        states = [InitialState(str(name)) for name in signature.user_inputs[1:]]
        try:
            returned = run_steps(self.trace, lambda given: self._step(image, given), states, TIME in atoms(lead))
            return finish(self.trace, returned, output)
        except GraphError as error:
            raise located(self.trace, error) from None

    def changed(self) -> dict[str, torch.Tensor]:
        """The buffers that the program has changed, other than to the states of neurons."""
        found = {name: value.value for name, value in self._buffers.items() if isinstance(value.value, torch.Tensor)}
        return {name: value for name, value in found.items() if not torch.equal(value, self._stored(name))}

    def _stored(self, name: str) -> Any:
        stores = (self.memories, self.program.state_dict, self.program.constants)
        return next((store[name] for store in stores if name in store), None)

    def _step(self, image: Traced, states: Sequence[Any]) -> list[Any]:
        """One run of the program, from the buffers as they are to what it returns."""
        given = iter([image, *(wrapped(self.trace, state) for state in states)])
        values: dict[fx.Node, Any] = {}
        kinds = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs if hasattr(spec.arg, "name")}
        for node in _needed(self.program.graph):
            if node.op == "placeholder":
                values[node] = self._input(kinds[node.name], given)
            elif node.op == "call_function":
                values[node] = self._call(node, values)
            elif node.op == "output":
                return self._returned(pytree.tree_map_only(fx.Node, values.__getitem__, node.args[0]))
            else:
                raise GraphError(f"the program holds a {node.op} of {node.target}, which is not supported")
        raise GraphError("the program returns nothing")

    def _input(self, spec: Any, given: Iterator[Any]) -> Any:
        if spec.kind is InputKind.USER_INPUT:
            return next(given)
        if spec.target in self._buffers:
            return self._buffers[spec.target]
        found = self._stored(spec.target)
        if not isinstance(found, torch.Tensor):
            raise GraphError(f"the program needs {spec.target!r}, a {spec.kind.name}, which is not supported")
        if spec.kind is not InputKind.BUFFER:
            return found.detach()
        self._buffers[spec.target] = Traced.make(self.trace, found.detach().clone())  # it may be changed
        return self._buffers[spec.target]

    def _call(self, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
        name = getattr(node.target, "__name__", str(node.target))
        if name.startswith(_CHECKS):
            return None
        if str(getattr(node.target, "__module__", "")).startswith("torch._functorch"):
            raise GraphError(
                f"{_scope(node)}: {name} belongs to torch.vmap, which cannot be followed: write the loop out"
            )
        if _draws(node):
            raise GraphError(f"{_scope(node)}: {name} draws random numbers: a network means the same at every call")
        args, kwargs = pytree.tree_map_only(fx.Node, values.__getitem__, (node.args, node.kwargs))
        self.trace.scopes.append(_scope(node))
        try:
            with torch.no_grad():
                return node.target(*args, **kwargs)  # type: ignore[operator]
        except GraphError as error:
            raise located(self.trace, error) from None
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise GraphError(f"{_scope(node)}: {name} of the program cannot be carried out: {error}") from None
        finally:
            self.trace.scopes.pop()

    def _returned(self, results: Sequence[Any]) -> list[Any]:
        """What the program returns to its user; buffers that it changes are kept for the next step."""
        returned = []
        for spec, result in zip(self.program.graph_signature.output_specs, results, strict=True):
            if spec.kind is OutputKind.BUFFER_MUTATION:
                self._buffers[str(spec.target)] = result
            elif spec.kind is OutputKind.USER_OUTPUT:
                returned += [result.value] if isinstance(result, Traced) else []
            else:
                raise GraphError(f"the program changes its input or its parameters ({spec.kind.name})")
        return returned


def _draws(node: fx.Node) -> bool:
    """Whether an operator draws random numbers; dropout does so in training alone."""
    if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
        return False
    return "dropout" not in str(node.target)


def _needed(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that the output needs, and those that change a tensor; what only training used is left out."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        schema = getattr(node.target, "_schema", None)
        changes = node.op == "call_function" and schema is not None and schema.is_mutable
        if node.op in ("output", "placeholder") or changes or not needed.isdisjoint(node.users):
            needed.add(node)
    return [node for node in graph.nodes if node in needed]


def _scope(node: fx.Node) -> Scope:
    """The module that a node came from."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return _ROOT
    path, kind = stack[-1]
    return Scope(str(path), (kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}",))
