"""A live PyTorch module as a float graph, by torch.fx with neurons as leaves. What is not understood is an error."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from snn2chip.errors import GraphError, UserError
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.rules import rule_for
from snn2chip.graph import Graph
from snn2chip.nn import LEAF_MODULES
from snn2chip.ops import Add

#: Ways to spell a residual sum.
_SUMS: tuple[Callable[..., Any], ...] = (operator.add, operator.iadd, torch.add)


class _Proxy(fx.Proxy):
    """Records ``a += b`` as what it is; torch's own proxy takes it for ``a = a + b``."""

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})


class _Tracer(fx.Tracer):
    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAF_MODULES) or super().is_leaf_module(m, module_qualified_name)


def capture(model: nn.Module, input_shape: tuple[int, ...], largest: int = 255) -> Graph:
    """The float graph of `model` in evaluation mode.

    Args:
        model: a network of `snn2chip.nn` layers and torch's own; its input is ``[B, C, H, W]``.
        input_shape: ``(C, H, W)``.
        largest: the largest input value, 1..255.
    Raises: UserError or GraphError naming the module's path and class where something is not understood.
    """
    model.eval()
    try:
        traced = _Tracer().trace(model)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AttributeError, NameError) as error:
        raise UserError(f"{type(model).__name__}: its forward cannot be traced: {error}") from None
    modules = dict(model.named_modules())
    builder = Builder(input_shape, largest)
    values: dict[fx.Node, str] = {}
    for node in traced.nodes:
        _add(builder, node, modules, values)
    return builder.graph()


def _add(builder: Builder, node: fx.Node, modules: dict[str, nn.Module], values: dict[fx.Node, str]) -> None:
    if node.op == "output":
        _check_output(builder, node, values)
        return
    if node.op == "placeholder":
        if values:
            raise UserError(f"the network takes a second input, {node.name!r}: one input is supported")
        values[node] = builder.input(node.name)
        return
    sources = tuple(values[argument] for argument in node.all_input_nodes)
    if node.op == "call_module":
        target = str(node.target)
        values[node] = _module(builder, target, modules[target], sources)
    elif node.op == "call_function" and node.target in _SUMS and len(node.args) == 2 and not node.kwargs:
        operands = tuple(values[argument] for argument in node.args if isinstance(argument, fx.Node))
        if len(operands) != 2:
            raise UserError(
                f"{_scope(node)}forward: {node.name} adds a constant: only the network's tensors are summed"
            )
        _check_in_place(node)
        values[node] = builder.add(_scope(node) + "add", Add(), operands)
    else:
        called = getattr(node.target, "__name__", node.target)
        raise UserError(f"{_scope(node)}forward: {called} ({node.op}) is not supported: use a module instead")


def _check_output(builder: Builder, node: fx.Node, values: dict[fx.Node, str]) -> None:
    """What is returned must be the last value that is computed: all else would silently be left out."""
    (returned,) = node.args
    if not isinstance(returned, fx.Node) or values[returned] != builder.last:
        raise UserError(f"the network must return one tensor, the last that it computes ({builder.last!r}): {returned}")


def _check_in_place(node: fx.Node) -> None:
    """After ``a += b`` every other name of `a` has changed, too: tracing does not see that."""
    target = node.args[0]
    if node.target is not operator.iadd or not isinstance(target, fx.Node):
        return
    nodes = list(node.graph.nodes)
    if not target.users.keys().isdisjoint(nodes[nodes.index(node) + 1 :]):
        raise UserError(f"{_scope(node)}forward: {target.name} is changed by += and read again later: use + instead")


def _module(builder: Builder, target: str, module: nn.Module, sources: tuple[str, ...]) -> str:
    rule = rule_for(module)
    if rule is None:
        raise UserError(f"module {target!r} ({type(module).__name__}) is not supported by this version")
    if module._forward_pre_hooks:  # such as the older weight_norm, whose weight is stale until it has run
        raise UserError(f"module {target!r} ({type(module).__name__}) has forward pre-hooks: remove them first")
    try:
        return rule(builder, target, module, sources)
    except GraphError as error:
        raise GraphError(f"module {target!r} ({type(module).__name__}): {error}") from None


def _scope(node: fx.Node) -> str:
    """The path of the module in whose forward a call stands, with a trailing dot."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [str(entry[0] if isinstance(entry, tuple) else entry) for entry in stack.values()]
    return f"{path[-1]}." if path and path[-1] else ""
