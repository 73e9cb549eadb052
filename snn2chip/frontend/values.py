"""What flows through a network while it is traced.

A traced tensor is the output of one graph node together with the meaning of its axes (`snn2chip.frontend.axes`) and of
time. The graph describes ONE step; that a loop over T inside ``forward`` repeats the same step is checked as it runs:
each value knows the step that it belongs to, and the k-th call of a neuron must read values of step k.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from snn2chip.errors import GraphError
from snn2chip.frontend.axes import Axes
from snn2chip.frontend.builder import Builder
from snn2chip.graph import Array, Op

#: Adds the nodes of a layer: (builder, name, source node) to the node that holds what the layer emits.
Build = Callable[[Builder, str, str], str]


class When(enum.Enum):
    """Which steps a value covers."""

    EVERY = "every step alike"
    STEP = "one step"
    RECORD = "a record that is being filled"
    SEQUENCE = "all steps, along a time axis"
    MEAN = "the mean over all steps"
    TOTAL = "the sum over all steps"


@dataclass(frozen=True)
class Time:
    """When a value holds: at `step`, or, for a record, up to and including it."""

    when: When
    step: int = 0

    def __str__(self) -> str:
        if self.when is When.RECORD:
            return f"a record that holds steps 0..{self.step} so far"
        return f"step {self.step}" if self.when is When.STEP else str(self.when.value)

    @property
    def reduced(self) -> bool:
        return self.when in (When.MEAN, When.TOTAL)


EVERY, SEQUENCE, MEAN, TOTAL = (Time(when) for when in (When.EVERY, When.SEQUENCE, When.MEAN, When.TOTAL))


def at(step: int) -> Time:
    return Time(When.STEP, step)


@dataclass(frozen=True)
class NodeValue:
    """The output of graph node `node`."""

    node: str
    axes: Axes
    time: Time


@dataclass(eq=False)
class Chain:
    """One neuron layer as it is called step after step, each call reading the state that the one before it left.

    Attributes:
        path: of the module.
        node: what it emits.
        source: what it reads.
        calls: how many steps it has run; None where one call runs them all.
        membranes: how those parts of its state are built that the graph can express: membranes that are never reset.
        passed: whether the state is passed in and returned, not kept by the module.
        read: whether one of the membranes is used.
        ops: what its first step added to the network: every later one must be the same.
    """

    path: str
    node: str
    source: str
    calls: int | None
    membranes: Mapping[str, Build] = field(default_factory=dict)
    passed: bool = False
    read: bool = False
    ops: tuple[Op, ...] = ()


@dataclass(frozen=True)
class StateValue:
    """The part `part` (such as ``mem``) of a neuron's state after a step."""

    chain: Chain
    part: str
    axes: Axes
    time: Time


@dataclass(eq=False)
class InitialState:
    """A state that the model takes as an argument: zero at the start of a sample.

    It adapts to whatever shape the neuron wants that it is passed to, and belongs to that neuron from then on.
    """

    name: str
    chain: Chain | None = None


@dataclass(frozen=True)
class Product:
    """The potential of a written-out neuron where it spikes, and 0 elsewhere; `step` is when."""

    neuron: str
    step: int


#: What a `Combination` is made of: the output of a node at some time, or a neuron's cleared potential.
Term = tuple[str, Time] | Product


@dataclass(frozen=True, eq=False)
class Combination:
    """A weighted sum that is not (yet) part of the graph: ``sum of coefficient * term + offset``.

    Constants are 0-d or one a channel (``[C]``), float64. It becomes nodes where a layer reads it; until then it may be
    a sum over time that is growing, or the potential of a neuron that a forward computes by itself.

    Attributes:
        like: a node of the same shape.
        name: what its nodes are called.
    """

    terms: Mapping[Term, Array]
    offset: Array
    axes: Axes
    like: str
    name: str


@dataclass(frozen=True, eq=False)
class Floored:
    """``floor(value)``, or with `levels` N ``clip(value, 0, N)``: half of what makes a multi-level neuron."""

    value: Combination
    axes: Axes
    levels: int | None = None

    def error(self) -> GraphError:
        """What a layer that reads it meets."""
        if self.levels is None:
            return GraphError("it is rounded down, but not clamped to 0..N: clamp it, for a neuron's spike counts")
        return GraphError(
            f"it is clamped to 0..{self.levels}, but not rounded down: floor it, for a neuron's spike counts"
        )


@dataclass(frozen=True)
class Opaque:
    """What is no tensor of the graph: it may be kept, but a layer that reads it meets `error`."""

    error: GraphError
    axes: Axes
    like: str


Value = NodeValue | StateValue | InitialState | Combination | Floored | Opaque
#: Values whose axes can be changed.
Shaped = NodeValue | StateValue | Combination


class StaticTotalError(GraphError):
    """A sum over all steps meets what is the same at every step, and counts once."""


class DynamicsError(GraphError):
    """A neuron that a forward computes by itself, or a memory that it keeps, is none that is known."""


def same_time(first: Time, second: Time) -> Time:
    """When a value that is computed from two others holds; GraphError where they belong to different steps."""
    if {first.when, second.when} == {When.TOTAL, When.EVERY}:
        raise StaticTotalError(
            "it combines the sum over all steps with what is the same at every step, which the readout would count "
            "once a step: take the mean over the steps, or divide that by T inside the sum"
        )
    if first == second or second.when is When.EVERY:
        return first
    if first.when is When.EVERY:
        return second
    raise DynamicsError(
        f"it combines {first} with {second}: only values of one step can meet (no delays, no recurrence)"
    )
