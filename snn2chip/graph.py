"""The network as data: nodes, edges and the proven interval of every value.

A `Graph` is immutable and topologically ordered; each node yields one tensor, named after the node. What an operation
means stands in its own file under `snn2chip.ops`; this module knows operations only through the `Op` protocol.
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import GraphError

Array = NDArray[Any]
Shape = tuple[int, ...]

#: Most values that one tensor of one sample may hold: a file that asks for more is refused, not tried.
LARGEST_TENSOR = 2**28
LARGEST_STEPS = 2**16


class Kind(str, enum.Enum):
    """What an edge carries: unsigned spike counts, or signed currents."""

    SPIKE = "spike"
    CURRENT = "current"


@dataclass(frozen=True)
class Interval:
    """Proven bounds, per channel: `low` and `high` are read-only ``[C]`` (``[F]`` for flat tensors), both inclusive."""

    low: Array
    high: Array

    @property
    def min(self) -> int:
        return int(np.floor(self.low.min(initial=0)))

    @property
    def max(self) -> int:
        return int(np.ceil(self.high.max(initial=0)))

    @property
    def bits(self) -> int:
        """Payload bits that hold every value: unsigned where nothing is negative, else two's complement."""
        if self.min >= 0:
            return max(1, self.max.bit_length())
        return max((-self.min - 1).bit_length(), self.max.bit_length()) + 1


@dataclass(frozen=True)
class Signal:
    """What flows on an edge: shape without the batch axis (``(C, H, W)`` or ``(F,)``), kind and proven interval."""

    shape: Shape
    kind: Kind
    interval: Interval

    def __post_init__(self) -> None:
        check_size(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def check_size(shape: Shape) -> None:
    """GraphError where a tensor of `shape` would hold more than `LARGEST_TENSOR` values."""
    if math.prod(shape) > LARGEST_TENSOR:
        raise GraphError(f"a tensor of shape {shape} is too large: at most {LARGEST_TENSOR} values a sample")


@dataclass(frozen=True)
class Region:
    """A box of an output tensor: a range of channels (or features) and, for maps, a range of rows."""

    channels: range
    rows: range

    @classmethod
    def whole(cls, shape: Shape) -> Region:
        return cls(range(shape[0]), range(shape[1] if len(shape) > 1 else 1))

    def mask(self, shape: Shape) -> Array:
        """1 inside the region, 0 outside: int64 of `shape`."""
        inside = np.zeros(shape, dtype=np.int64)
        channels = slice(self.channels.start, self.channels.stop)
        if len(shape) == 1:
            inside[channels] = 1
        else:
            inside[channels, self.rows.start : self.rows.stop] = 1
        return inside


class Op(Protocol):
    """What every operation says about itself. Operations are frozen dataclasses; arrays among their fields are
    parameters (stored as tensors), all other fields are attributes (stored as JSON)."""

    arity: ClassVar[range]

    def signal(self, sources: tuple[Signal, ...], steps: int) -> Signal:
        """Shape, kind and proven interval of the output over `steps` steps; GraphError where inputs do not fit."""

    def initial_state(self, source: Signal, batch: int) -> Array | None:
        """State at the start of a sample (None where the operation has none)."""

    def step(self, inputs: tuple[Array, ...], state: Array | None) -> tuple[Array, Array | None]:
        """One time step: inputs ``[B, *shape]`` to (output ``[B, *shape]``, next state)."""

    def fan_out(self, source: Shape, target: Region, effective: bool = False) -> Array:
        """Targets in `target` that one event at each source position reaches: int64 of shape `source`.

        In-bounds targets only, zero weights included unless `effective`.
        """


@dataclass(frozen=True)
class Node:
    """One operation and where its inputs come from.

    `unit` is the real value of one integer unit of the output (scalar or per channel, None in a float graph): it says
    how integers relate to the trained network and has no part in the integer meaning, nor in the digest.
    """

    name: str
    op: Op
    inputs: tuple[str, ...] = ()
    unit: Array | None = None

    @property
    def kind(self) -> str:
        """The name of the operation, such as ``Conv2d``."""
        return type(self.op).__name__


@dataclass(frozen=True)
class Edge:
    """One connection, as derived from the nodes."""

    source: str
    target: str
    port: int
    signal: Signal


def parameters(op: Op) -> dict[str, Array]:
    """The array fields of an operation, by name; absent ones (None) are left out."""
    values = {f.name: getattr(op, f.name) for f in fields(op)}  # type: ignore[arg-type]  # ops are dataclasses
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def attributes(op: Op) -> dict[str, Any]:
    """The other fields of an operation: numbers, strings, tuples, None."""
    values = {f.name: getattr(op, f.name) for f in fields(op)}  # type: ignore[arg-type]  # ops are dataclasses
    return {name: value for name, value in values.items() if not isinstance(value, np.ndarray)}


@dataclass(frozen=True)
class Graph:
    """A whole network. `nodes` are in topological order: the first is the input, the last the output.

    `steps` is T: ranges are proven over exactly T steps. Raises GraphError where names clash, an input is not defined
    before its use, or an operation refuses what reaches it.
    """

    nodes: tuple[Node, ...]
    steps: int
    _by_name: Mapping[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= LARGEST_STEPS:
            raise GraphError(f"the graph has steps={self.steps}: T must lie in 1..{LARGEST_STEPS}")
        object.__setattr__(self, "_by_name", MappingProxyType(_index(self.nodes)))

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def input(self) -> Node:
        return self.nodes[0]

    @property
    def output(self) -> Node:
        return self.nodes[-1]

    @cached_property
    def signals(self) -> Mapping[str, Signal]:
        """Shape, kind and proven interval of every node's output, by name."""
        known: dict[str, Signal] = {}
        for node in self.nodes:
            sources = tuple(known[name] for name in node.inputs)
            try:
                known[node.name] = node.op.signal(sources, self.steps)
            except GraphError as error:
                raise GraphError(f"node {node.name!r} ({node.kind}): {error}") from None
        return MappingProxyType(known)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """For every node, the nodes that read it, in graph order (twice where it is read twice)."""
        readers: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                readers[source].append(node.name)
        return MappingProxyType({name: tuple(found) for name, found in readers.items()})

    @property
    def edges(self) -> tuple[Edge, ...]:
        signals = self.signals
        return tuple(
            Edge(source, node.name, port, signals[source])
            for node in self.nodes
            for port, source in enumerate(node.inputs)
        )

    def of_kind(self, *kinds: type[Any]) -> tuple[Node, ...]:
        """The nodes whose operation is one of `kinds`, in graph order."""
        return tuple(node for node in self.nodes if isinstance(node.op, kinds))

    @cached_property
    def digest(self) -> str:
        """sha256 over everything that has a part in the integer meaning (not over units)."""
        state = hashlib.sha256(f"snn2chip-graph-1 T={self.steps}\n".encode())
        for node in self.nodes:
            header = {"name": node.name, "op": node.kind, "inputs": node.inputs, "attributes": attributes(node.op)}
            state.update(json.dumps(header, sort_keys=True).encode())
            for name, array in sorted(parameters(node.op).items()):
                state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
                state.update(np.ascontiguousarray(array).tobytes())
        return state.hexdigest()

    def show(self) -> str:
        """The graph as a table: node, operation, shape, kind, interval, inputs."""
        rows = [("node", "op", "shape", "kind", "interval", "inputs")]
        for node in self.nodes:
            signal = self.signals[node.name]
            shape = "x".join(map(str, signal.shape))
            interval = f"[{signal.interval.min}, {signal.interval.max}]"
            rows.append((node.name, node.kind, shape, signal.kind.value, interval, ", ".join(node.inputs)))
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def _index(nodes: tuple[Node, ...]) -> dict[str, Node]:
    if not nodes:
        raise GraphError("the graph has no nodes")
    known: dict[str, Node] = {}
    for node in nodes:
        if node.name in known:
            raise GraphError(f"two nodes are called {node.name!r}: names must be unique")
        if missing := [name for name in node.inputs if name not in known]:
            raise GraphError(f"node {node.name!r} reads {missing[0]!r}, which is not defined before it")
        if len(node.inputs) not in node.op.arity:
            raise GraphError(f"node {node.name!r} ({node.kind}) has {len(node.inputs)} inputs")
        known[node.name] = node
    return known


def frozen(values: Any, dtype: Any = None) -> Array:
    """A read-only, contiguous copy: what operations keep as parameters."""
    array = np.array(values, dtype=dtype, order="C", copy=True)
    array.setflags(write=False)
    return array
