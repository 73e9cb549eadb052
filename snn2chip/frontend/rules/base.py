"""What rules are given and what they may do: the call of a layer that is understood as a whole."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

import numpy as np
import torch

from snn2chip.errors import GraphError
from snn2chip.frontend import axes as layout
from snn2chip.frontend.axes import Axes, LeadError
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.combination import materialised
from snn2chip.frontend.trace import Trace, array, check_pointwise
from snn2chip.frontend.values import (
    Build,
    Chain,
    Combination,
    InitialState,
    NodeValue,
    Opaque,
    StateValue,
    When,
    at,
)
from snn2chip.graph import Array, Op, Shape, frozen
from snn2chip.ops import Scale


@dataclass(frozen=True)
class Rule:
    """How a class of layers is understood.

    Attributes:
        apply: from a call to what the module returns (values in the place of tensors); GraphError where it is not
            understood, which capture completes with the path and class of the module.
        methods: a subclass that overrides one of these is another layer.
    """

    apply: Callable[[Call], Any]
    methods: tuple[str, ...] = ("forward",)


@dataclass(frozen=True)
class Stepped:
    """What one step of a neuron gives: its spikes, and the parts of its state by name."""

    spikes: NodeValue
    states: Mapping[str, StateValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One call of a layer. Tensors among the arguments are values, or real tensors where they are constants.

    `traced` makes of a value what the model's own code may see of it.
    """

    trace: Trace
    path: str
    module: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    traced: Callable[[Any], Any]

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments by the names of the module's forward, defaults included."""
        bound = inspect.signature(self.module.forward).bind(*self.args, **self.kwargs)
        bound.apply_defaults()
        return bound.arguments

    def steps(self, steps: int) -> None:
        """Say that the network runs `steps` steps."""
        self.trace.fix_steps(steps)

    def one_step(
        self,
        current: Any,
        build: Build,
        states: Mapping[str, Any] | None = None,
        membranes: Mapping[str, Build] | None = None,
        keeps: bool = True,
    ) -> Stepped:
        """One step of a neuron that is called once a step.

        Args:
            current: what it reads, ``[B, ...]``.
            build: adds its nodes.
            states: the parts of its state that it goes on from, by name: what an earlier step returned, or None or
                zeros for a fresh start; see `kept` for modules that keep it in an attribute. Without any, the module
                goes on from its own last call.
            membranes: how those parts of the state are built that the graph can express, by name.
            keeps: whether the state stays with the module, where a reset between two steps is refused; else it is
                passed in and returned, and the module may serve several neurons.
        """
        chain = self._chain(states, keeps)
        if chain is not None:
            self.trace.check_forward(chain.node, current)
        source = self._drive(current)
        if layout.split_lead(source.axes)[0] != ((layout.BATCH,),):
            raise LeadError(f"it runs one step and takes [B, ...], not {_described(source.axes)}")
        step = 0 if chain is None or chain.calls is None else chain.calls
        self._check_step(source, step)
        ops = self.trace.builder.rehearse(build, self.path, chain.source if chain else source.node)
        if chain is None:
            node = build(self.trace.builder, self.path, source.node)
            begun = Chain(self.path, node, source.node, 0, dict(membranes or {}), passed=not keeps, ops=ops)
            chain = self._begin(begun, states)
        elif chain.calls is None:
            raise GraphError("it was run over all steps before, and is called again")
        if chain.source != source.node:
            raise GraphError(
                f"it read {chain.source!r} at step 0 and reads {source.node!r} at step {step}: "
                "every step must compute the same, and a neuron is called once a step"
            )
        if not _same_ops(chain.ops, ops):
            raise GraphError(
                f"its parameters at step {step} are others than at step 0: every step must compute the same; keep "
                "thresholds, decays and resets constant over the steps"
            )
        chain.calls = step + 1
        parts = {part: StateValue(chain, part, source.axes, at(step)) for part in states or {}}
        return Stepped(NodeValue(chain.node, source.axes, at(step)), parts)

    def over_time(
        self,
        current: Any,
        build: Build,
        lead: tuple[str, ...] = ("T", "B"),
        restarts: bool = False,
        keeps: tuple[str, ...] = (),
    ) -> NodeValue:
        """All steps of a neuron that takes them in one call.

        Args:
            lead: the leading axes that it takes, such as ``("T", "B")``, ``("B", "T")`` or, merged, ``("TB",)``.
            restarts: whether every call starts from zero; else a second call would go on from the first.
            keeps: the attributes in which the module leaves its last state, ``[B, ...]``: reading one is refused.
        """
        source = self._drive(current)
        self._check_lead(source, lead)
        if source.time not in (self.trace.whole, at(0)) and self.trace.steps != 1:
            raise GraphError(f"it runs all steps at once, but reads {source.time}")
        if not restarts and id(self.module) in self.trace.kept:
            raise GraphError("it is called twice: a neuron's state belongs to one place in the network")
        node = build(self.trace.builder, self.path, source.node)
        chain = self._begin(Chain(self.path, node, source.node, None, dict.fromkeys(keeps, _unreadable)), {})
        last, axes = at((self.trace.steps or 1) - 1), self.trace.result(node, ((layout.BATCH,),), self.trace.whole).axes
        for name in keeps:
            self.keep(name, StateValue(chain, name, axes, last))
        return NodeValue(node, source.axes, self.trace.whole)

    def kept(self, attribute: str) -> Any:
        """The part of the state that the module keeps in `attribute`, for `one_step`; None before its first call."""
        state = getattr(self.module, attribute)
        if hasattr(state, "tracer"):
            return state.value
        return (
            state if id(self.module) in self.trace.kept else None
        )  # what an earlier run of the model left is no state

    def stateless(self, x: Any, build: Build, lead: tuple[str, ...] | None = None, affine: bool = False) -> NodeValue:
        """A layer without state that is understood as a whole, at whatever steps it is applied to.

        Args:
            lead: as for `over_time`; by default one leading axis, whatever it holds.
            affine: whether it may also follow a mean over time.
        """
        source = self._drive(x)
        leading, _ = layout.split_lead(source.axes)
        if lead is None and len(leading) != 1:
            raise LeadError(f"it takes one leading axis, not {_described(source.axes)}")
        if lead is not None:
            self._check_lead(source, lead)
        check_pointwise(source.time, "it", affine, offset=True)
        key = (self.path, id(self.module), source.node)
        node = self.trace.once(key, lambda: build(self.trace.builder, self.path, source.node))
        return self.trace.result(node, leading, source.time)

    def _drive(self, current: Any) -> NodeValue:
        if isinstance(current, torch.Tensor):
            raise GraphError("it reads a constant: nothing of the network's input reaches it")
        if isinstance(current, Combination):
            current = materialised(self.trace, current)
        if isinstance(current, StateValue) and current.part in current.chain.membranes:
            current = self.trace.membrane(current)
        if isinstance(current, Opaque):
            raise current.error
        if not isinstance(current, NodeValue):
            raise GraphError(f"it reads {_described_value(current)}")
        self.trace.whole_features(current)
        return current

    def _check_lead(self, source: NodeValue, lead: tuple[str, ...]) -> None:
        single = self.trace.steps in (None, 1)
        wanted = tuple(tuple(atom for atom in axis if not (single and atom == layout.TIME)) for axis in lead)
        behind = layout.LEADING.intersection(layout.atoms(source.axes[len(wanted) :]))
        if source.axes[: len(wanted)] != wanted or behind:
            raise LeadError(f"it takes [{', '.join(lead)}, ...], not {_described(source.axes)}")
        if self.trace.steps is None:
            self.trace.fix_steps(1)

    def _check_step(self, source: NodeValue, step: int) -> None:
        if source.time.when is When.EVERY or source.time == at(step):
            return
        raise GraphError(
            f"its call number {step + 1} reads {source.time}, not step {step}: each step may read its own values only"
        )

    def keep(self, attribute: str, state: StateValue) -> None:
        """Leave the new state where the module keeps it; a reset, or a look at it, then does what it should."""
        setattr(self.module, attribute, self.traced(state))

    def _chain(self, states: Mapping[str, Any] | None, keeps: bool) -> Chain | None:
        """The chain that this call goes on; None where it begins one."""
        if states is None:
            return self.trace.kept.get(id(self.module))
        chains = {id(chain): chain for state in states.values() if (chain := _owner(state)) is not None}
        begun = [state for state in states.values() if _owner(state) is None]
        if not chains and keeps and id(self.module) in self.trace.kept:
            raise GraphError(
                "its state is reset between two steps: samples start at zero, and nothing is reset within one"
            )
        if not chains and self.trace.repeated:
            return self._resumed(states)
        if not chains:
            return None
        if len(chains) > 1 or begun:
            raise GraphError("the parts of its state come from different neurons")
        (chain,) = chains.values()
        for part, state in states.items():
            if not isinstance(state, StateValue) or state.part != part:
                raise GraphError(f"its state {part!r} is given what is no state {part!r}")
            if chain.path != self.path or state.time != at((chain.calls or 0) - 1):
                raise GraphError(
                    f"its state {part!r} is that of {chain.path!r} after {state.time}, not its own latest: return "
                    "states in the order of the arguments that take them"
                )
        return chain

    def _resumed(self, states: Mapping[str, Any]) -> Chain | None:
        """The chain of an earlier call of the model, whose state it is given although it is not in sight."""
        same = (chain for chain in self.trace.chains if chain.path == self.path and chain.passed)
        chain = next((chain for chain in same if chain.calls == self.trace.repeated), None)
        for state in states.values():
            if chain is not None and isinstance(state, InitialState):
                state.chain = chain
        return chain

    def _begin(self, chain: Chain, states: Mapping[str, Any] | None) -> Chain:
        for state in (states or {}).values():
            if isinstance(state, InitialState):
                state.chain = chain
        self.trace.kept[id(self.module)] = chain
        self.trace.chains.append(chain)
        return chain


def _unreadable(builder: Builder, name: str, source: str) -> str:
    raise GraphError(
        f"{name!r}, the state that a neuron keeps after running all steps, is read: it stays inside the neuron, so use "
        "what the neuron returns"
    )


def _owner(state: Any) -> Chain | None:
    """The chain that a state belongs to; None for a fresh start. GraphError where it is no state."""
    if isinstance(state, StateValue):
        return state.chain
    if isinstance(state, InitialState):
        if state.chain is not None:
            raise GraphError(f"the state {state.name!r} goes to two neurons, or to one twice")
        return None
    if state is None or (isinstance(state, (int, float, torch.Tensor)) and not torch.as_tensor(state).any()):
        return None
    if isinstance(state, (int, float, torch.Tensor)):
        raise GraphError("its state does not start at zero")
    raise GraphError(f"its state is {_described_value(state)}")


def _described(axes: Axes) -> str:
    return layout.described(layout.split_lead(axes)[0]).replace("]", ", ...]")


def _described_value(value: Any) -> str:
    if isinstance(value, StateValue):
        return f"the state {value.part!r} of {value.chain.path!r}"
    if isinstance(value, InitialState):
        return f"the state {value.name!r}"
    if isinstance(value, NodeValue):
        return f"the output of {value.node!r}"
    return f"a {type(value).__name__}"


def per_channel(values: Any, shape: Shape, name: str) -> Array:
    """A parameter that torch broadcasts over ``[B, *shape]``, as one number a channel, float64 ``[C]``.

    Raises: GraphError where it differs inside a channel: the neurons of a channel share their parameters here.
    """
    real = array(values)
    if real.size == 1:
        return frozen(np.full(shape[0], float(real.reshape(()))))
    try:
        spread = np.broadcast_to(real[0] if real.ndim > len(shape) and len(real) == 1 else real, shape)
    except ValueError:
        raise GraphError(f"its {name} of shape {real.shape} does not fit neurons of shape {shape}") from None
    flat = spread.reshape(shape[0], -1)
    if (flat != flat[:, :1]).any():
        raise GraphError(f"its {name} differs between the neurons of a channel: one value a channel is supported")
    return frozen(flat[:, 0])


def scalar(value: Any, name: str) -> float:
    """A parameter that is one number."""
    real = array(value)
    if real.size != 1:
        raise GraphError(f"its {name} has shape {real.shape}: one number is supported")
    return float(real.reshape(()))


def counted(builder: Builder, name: str, spikes: str, unit: float) -> str:
    """`spikes` as the real values ``unit * count`` that a layer emits."""
    return spikes if unit == 1 else builder.add(f"{name}.value", Scale(unit), (spikes,))


def _same_ops(first: tuple[Op, ...], second: tuple[Op, ...]) -> bool:
    """Whether two steps of a neuron are the same operations, number by number."""
    return len(first) == len(second) and all(
        type(a) is type(b)
        and all(np.array_equal(getattr(a, item.name), getattr(b, item.name)) for item in fields(cast(Any, a)))
        for a, b in zip(first, second, strict=True)
    )
