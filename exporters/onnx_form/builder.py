"""Collects ONNX nodes and constants for one time step of a graph, keeping names unique and types known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from snn2chip.exporters.onnx_form.names import DOMAIN, FRAMES, INPUT, LOGITS
from snn2chip.graph import Array, Graph, Shape, Signal

BYTE_BITS = 8


@dataclass(frozen=True)
class Value:
    """A tensor of the ONNX graph: its name, and whether it holds uint8 (else the builder's wide type)."""

    name: str
    narrow: bool


@dataclass(frozen=True)
class State:
    """A potential or fading current that is carried from step to step: before, after, and the shape of one sample."""

    before: str
    after: str
    shape: Shape


@dataclass(frozen=True)
class StoredWeight:
    """Where a convolution's or linear layer's weights stand.

    Attributes:
        tensor: the initializer.
        transposed: whether as ``[inputs, outputs]``.
        place: where they are a part of it, its first input channel, row and column; other groups than theirs are zero.
    """

    tensor: str
    transposed: bool = False
    place: tuple[int, int, int] | None = None


@dataclass
class Builder:
    """What has been emitted so far.

    Attributes:
        carried: whether states are carried from step to step.
        stacked: whether the nodes stand in a loop over the steps, whose logits are not yet the file's.
        wide: the ONNX type of currents, potentials and wide counts: int32 or float32.
        nodes: the ONNX nodes, in order.
        constants: the initializers.
        values: the tensor of every node of ours that has been emitted.
        states: what is carried, in graph order.
        functions: the functions that nodes call, by name.
        weights: where the weights of each node of ours stand.
    """

    graph: Graph
    carried: bool
    stacked: bool = False
    wide: int = TensorProto.INT32
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    functions: dict[str, FunctionProto] = field(default_factory=dict)
    weights: dict[str, StoredWeight] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _shared: dict[str, str] = field(default_factory=dict)
    _integers: dict[str, str] = field(default_factory=dict)
    _bytes: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._taken |= {INPUT, FRAMES, LOGITS, *(node.name for node in self.graph.nodes)}

    def signal(self, ours: str) -> Signal:
        return self.graph.signals[ours]

    def fresh(self, wanted: str) -> str:
        """`wanted`, or the first of ``wanted.2``, ``wanted.3``, ... that nothing bears yet."""
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}.{count}"
        self._taken.add(name)
        return name

    def constant(self, wanted: str, values: Array) -> str:
        """A new initializer; returns its name."""
        name = self.fresh(wanted)
        self.constants.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def weight(self, ours: str, values: Array, transposed: bool = False) -> str:
        """The weights of our node `ours` as an initializer; returns its name."""
        name = self.constant(f"{ours}/weight", values)
        self.weights[ours] = StoredWeight(name, transposed)
        return name

    def shared(self, wanted: str, values: Array) -> str:
        """An initializer that is made once, however often it is asked for."""
        if wanted not in self._shared:
            self._shared[wanted] = self.constant(wanted, values)
        return self._shared[wanted]

    def emit(self, op_type: str, inputs: list[str], wanted: str, **attributes: Any) -> str:
        """A helper node and its only output, both called what `fresh` makes of `wanted`; returns that name."""
        name = self.fresh(wanted)
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def emit_as(self, ours: str, op_type: str, inputs: list[str], *more: str, **attributes: Any) -> str:
        """The ONNX node that yields what our node `ours` yields, and bears its name. `more` names further outputs."""
        output = self._output_of(ours)
        self.nodes.append(helper.make_node(op_type, inputs, [output, *more], name=ours, **attributes))
        return output

    def call(self, ours: str, function: FunctionProto, inputs: list[str], *more: str, **attributes: Any) -> str:
        """`emit_as` for a function, which becomes part of the file."""
        self.functions.setdefault(function.name, function)
        return self.emit_as(ours, function.name, inputs, *more, domain=DOMAIN, **attributes)

    def _output_of(self, ours: str) -> str:
        if ours == self.graph.output.name and not self.stacked:
            return LOGITS
        return self.fresh(ours) if ours in (INPUT, FRAMES, LOGITS) else ours

    def integer(self, ours: str) -> str:
        """The tensor of our node `ours` in the wide type."""
        value = self.values[ours]
        if not value.narrow:
            return value.name
        if ours not in self._integers:
            self._integers[ours] = self.emit("Cast", [value.name], f"{ours}/int32", to=self.wide)
        return self._integers[ours]

    def bytes_of(self, ours: str) -> list[str]:
        """The tensor of our node `ours`, which is never negative, as uint8 digits to base 256, lowest first."""
        value = self.values[ours]
        if value.narrow:
            return [value.name]
        if ours not in self._bytes:
            count = max(1, -(-self.signal(ours).interval.max.bit_length() // BYTE_BITS))
            self._bytes[ours] = [self._byte(value.name, place, count) for place in range(count)]
        return self._bytes[ours]

    def _byte(self, tensor: str, place: int, count: int) -> str:
        """ONNX's truncating division is the floor here, since nothing is negative."""
        digit = tensor
        if place:
            digit = self.emit("Div", [digit, self.power(place)], f"{tensor}/above{place}")
        if place < count - 1:
            digit = self.emit("Mod", [digit, self.power(1)], f"{tensor}/digit{place}")
        return self.emit("Cast", [digit], f"{tensor}/byte{place}", to=TensorProto.UINT8)

    def power(self, place: int) -> str:
        """The constant ``256 ** place``, int32."""
        base = 2**BYTE_BITS
        return self.shared(f"{base}**{place}", np.array(base**place, np.int32))
