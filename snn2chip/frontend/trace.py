"""The graph of one step, as it grows while a model runs on traced tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from snn2chip.errors import GraphError
from snn2chip.frontend import axes as layout
from snn2chip.frontend.axes import Atom, Axes, LayoutError
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.values import (
    EVERY,
    SEQUENCE,
    Chain,
    Combination,
    DynamicsError,
    Floored,
    InitialState,
    NodeValue,
    Opaque,
    Product,
    StateValue,
    Time,
    Value,
    When,
    at,
)
from snn2chip.graph import LARGEST_STEPS, Array, Kind, Op, attributes, frozen, parameters
from snn2chip.ops import Flatten


@dataclass(frozen=True)
class Scope:
    """A module whose forward is running; `kinds` are the qualified names of its class and base classes."""

    path: str
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, path: str, module: nn.Module) -> Scope:
        return cls(path, tuple(map(qualified_name, type(module).__mro__)))

    def __str__(self) -> str:
        name = self.kinds[0].rpartition(".")[2]
        return f"module {self.path!r} ({name})" if self.path else f"forward of {name}"


@dataclass
class Trace:
    """What one run of a model has shown so far.

    Attributes:
        builder: the graph of one step.
        batch: the length of the batch axis, which no other axis has.
        steps: T, once it is known.
        scopes: the modules whose forwards are running, the innermost last.
        chains: neuron layers, in the order in which they were met.
        kept: the latest chain of every neuron module, by its id.
        spikes: what comparisons of potentials with thresholds have been found to be.
        repeated: which call of a model that runs one step this is, from 0.
        absorbed: nodes that turned out to be part of a neuron.
        carried: which of the tensors that a call returned were passed to the next as its states.
        owned: what the model calls the memory that its tensors lie in, by address.
    """

    builder: Builder
    batch: int
    steps: int | None = None
    scopes: list[Scope] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    kept: dict[int, Chain] = field(default_factory=dict)
    repeated: int = 0
    absorbed: set[str] = field(default_factory=set)
    carried: Collection[int] = ()
    owned: Mapping[int, str] = field(default_factory=dict)
    spikes: dict[Hashable, tuple[str, Time]] = field(default_factory=dict)
    _interned: dict[Hashable, str] = field(default_factory=dict)

    def fix_steps(self, steps: int) -> None:
        """Say that the network runs `steps` steps; GraphError where it was said otherwise before."""
        if type(steps) is not int or not 1 <= steps <= LARGEST_STEPS:
            raise GraphError(f"it runs {steps} steps: T must be a whole number in 1..{LARGEST_STEPS}")
        if self.steps is not None and self.steps != steps:
            raise GraphError(f"it runs {steps} steps, but the network runs T = {self.steps}")
        self.steps = steps
        self.builder.steps = steps

    @property
    def whole(self) -> Time:
        """The time of a value that holds all steps along an axis, which is no axis of its own where T = 1."""
        return at(0) if self.steps == 1 else SEQUENCE

    def sizes(self, value: Value) -> dict[Atom, int]:
        """The length of every atom of the axes of `value`."""
        return layout.atom_sizes(self.builder.shape(self.node_of(value)), self.batch, self.steps)

    @staticmethod
    def node_of(value: Value) -> str:
        """A node of the shape of `value`."""
        if isinstance(value, NodeValue):
            return value.node
        if isinstance(value, StateValue):
            return value.chain.node
        if isinstance(value, (Combination, Opaque)):
            return value.like
        if isinstance(value, Floored):
            return value.value.like
        raise _used(value)

    def lengths(self, value: Value) -> tuple[int, ...]:
        """The shape of the tensor."""
        return () if isinstance(value, InitialState) else layout.lengths(value.axes, self.sizes(value))

    def label(self, function: str, layer: type[nn.Module] | None = None) -> str:
        """The name of the node that a call makes: the module's own path where the call is all that its class does."""
        scope = self.scopes[-1]
        if layer is not None and qualified_name(layer) in scope.kinds and scope.path:
            return scope.path
        return f"{scope.path}.{function}" if scope.path else function

    def neuron_label(self) -> str:
        """The name of a neuron that the innermost module computes."""
        return self.scopes[-1].path or "neuron"

    def emit(self, name: str, op: Op, sources: tuple[str, ...], key: Hashable = None) -> str:
        """The node for this call, which a later step of a loop finds again; `key` tells operations apart by value."""
        if key is None:
            key = (repr(attributes(op)), *((n, values.tobytes()) for n, values in parameters(op).items()))
        key = (name, sources, type(op), key)
        return self.once(key, lambda: self.builder.add(name, op, sources))

    def once(self, key: Hashable, build: Callable[[], str]) -> str:
        """The node that `build` adds, which is called at most once for a key."""
        if key not in self._interned:
            self._interned[key] = build()
        return self._interned[key]

    def membrane(self, state: StateValue | InitialState) -> NodeValue:
        """A state as a tensor of the graph, where it is one; GraphError for potentials that are reset."""
        if isinstance(state, InitialState):
            raise _used(state)
        chain, build = state.chain, state.chain.membranes.get(state.part)
        if build is None:
            raise GraphError(
                f"the state {state.part!r} of {chain.path!r} is used as a tensor, but a potential that spikes reset "
                "stays inside its neuron: use the spikes, or a neuron without reset"
            )
        name = f"{chain.path}.{state.part}"
        node = self.once((name, id(chain)), lambda: build(self.builder, name, chain.source))
        chain.read = True
        return NodeValue(node, state.axes, state.time)

    def check_forward(self, neuron: str, given: Value) -> None:
        """DynamicsError where what a neuron is given at one step depends on its own spikes of another."""
        nodes = [given.node] if isinstance(given, NodeValue) else []
        if isinstance(given, Combination):
            nodes = [term[0] for term in given.terms if not isinstance(term, Product)]
        for node in nodes:
            if self.builder.depends(node, neuron):
                raise DynamicsError(
                    f"the neuron {neuron!r} reads {node!r}, which depends on what {neuron!r} gave before: a recurrent "
                    "network, or a neuron that is called twice a step, is not supported"
                )

    @staticmethod
    def digest(tensor: torch.Tensor | None) -> bytes:
        """Tells parameters apart by their bits, read anew at each use.

        An effective weight is a new tensor at every call, and ``weight.data`` changes without a new tensor or version.
        """
        if tensor is None:
            return b""
        state = hashlib.blake2b(repr((tensor.dtype, tuple(tensor.shape))).encode())
        state.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return state.digest()

    def whole_features(self, value: NodeValue) -> tuple[Axes, Axes]:
        """(leading axes, feature axes); LayoutError unless there is a batch, and all features are there, in order."""
        lead, features = layout.split_lead(value.axes)
        if layout.BATCH not in layout.atoms(lead):
            raise LayoutError("it works on a tensor without a batch axis")
        expected = tuple(k for k, size in enumerate(self.builder.shape(value.node)) if size > 1)
        if layout.atoms(features) != expected:
            found = layout.described(value.axes)
            raise LayoutError(f"the axes of its input are in another order than channels, rows, columns: {found}")
        return lead, features

    def map_operand(self, value: NodeValue) -> tuple[str, Axes]:
        """(node, leading axes) of a ``[..., C, H, W]`` tensor; GraphError where it is none."""
        self.whole_features(value)
        lead, features = value.axes[:-3], value.axes[-3:]
        shape = self.builder.shape(value.node)
        if len(shape) != 3 or features != layout.standard((), 3, self.sizes(value)):
            raise LayoutError(f"its input has shape {self.lengths(value)}, but it needs [B, channels, height, width]")
        return value.node, lead

    def flat_operand(self, value: NodeValue) -> tuple[str, Axes]:
        """(node, leading axes) of a ``[..., F]`` tensor, flattened where its node is a map."""
        _, features = self.whole_features(value)
        lead = value.axes[:-1]
        if layout.atoms(value.axes[-1:]) != layout.atoms(features):
            raise LayoutError(
                f"its input has shape {self.lengths(value)}, but it needs [B, features]: flatten it first"
            )
        return self.flattened(value.node), lead

    def flattened(self, node: str, name: str | None = None) -> str:
        """`node`, or its `Flatten` where it yields a map."""
        if len(self.builder.shape(node)) == 1:
            return node
        return self.emit(name or self.label("flatten"), Flatten(), (node,))

    def result(self, node: str, lead: Axes, time: Time) -> NodeValue:
        """The value of a node whose features stand behind `lead`, one axis each."""
        shape = self.builder.shape(node)
        sizes = layout.atom_sizes(shape, self.batch, self.steps)
        return NodeValue(node, layout.standard(lead, len(shape), sizes), time)

    def as_current(self, node: str, name: str) -> str:
        """Spikes as a current, through synapses of weight 1; a current as it is."""
        if self.builder.kind(node) is Kind.CURRENT:
            return node
        return self.once((name, node, "current"), lambda: self.builder.as_current(node, f"{name}.current"))


def _used(state: InitialState) -> GraphError:
    return GraphError(
        f"the state {state.name!r} is used for something else than as the state of a neuron: layers that read what an "
        "earlier step gave make a network recurrent, which is not supported"
    )


def qualified_name(kind: type) -> str:
    """The name that classes are known by, such as ``snntorch._neurons.leaky.Leaky``."""
    return f"{kind.__module__}.{kind.__qualname__}"


def check_pointwise(time: Time, what: str, affine: bool = False, offset: bool = False) -> None:
    """GraphError where `what` cannot be applied step by step to a value of that time.

    After a mean over time only affine maps mean the same as before it, and after a sum only those without an offset.
    """
    if time.when is When.RECORD:
        raise GraphError(f"{what} is applied to {time}: fill it first")
    if time.reduced and not (affine and (time.when is When.MEAN or not offset)):
        raise GraphError(f"{what} is applied to {time}: it would have to come before the mean or sum over time")


def array(tensor: Any) -> Array:
    """The values of a tensor, float64 and read-only."""
    values = frozen(torch.as_tensor(tensor).detach().cpu().double().numpy(), np.float64)
    if not np.isfinite(values).all():
        raise GraphError("it holds NaN or infinite values: the training diverged, train again")
    return values


def input_value(node: str, lead: Axes, trace: Trace) -> NodeValue:
    """The network's input: shown at every step, or one frame a step where it has a time axis."""
    timed = layout.TIME in layout.atoms(lead)
    return trace.result(node, lead, trace.whole if timed and trace.steps != 1 else EVERY)
