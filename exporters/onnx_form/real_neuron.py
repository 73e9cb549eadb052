"""Neurons and fading currents in float32 that holds integers, as plain operators.

What makes the quotients exact: for integers d < k * step <= 2**24, ``d / step <= k - 1 / step``, which is further
below k than half of float32's spacing there (less than ``k * 2**-24``), so that a correctly rounded quotient reaches k
only where ``d >= k * step``. Quotients beyond the last level, and below zero, are clipped.
"""

from __future__ import annotations

import numpy as np

from snn2chip.exporters.onnx_form.builder import Builder, State, Value
from snn2chip.graph import Array, Node
from snn2chip.kernels import DECAY_ONE
from snn2chip.ops import LIF, LeakyIntegrator, MultiLevelIF


class _Scribe:
    """Writes the operators of one neuron layer: all of its helper nodes are called ``<node>/<what>``."""

    def __init__(self, builder: Builder, node: Node) -> None:
        self.builder, self.node = builder, node
        self.rank = len(builder.signal(node.name).shape)

    def do(self, op_type: str, *inputs: str, what: str) -> str:
        return self.builder.emit(op_type, list(inputs), f"{self.node.name}/{what}")

    def channelwise(self, what: str, values: Array) -> str:
        """``[C]`` as a constant that broadcasts over ``[B, C, ...]``."""
        shaped = values.astype(np.float32).reshape(-1, *(1,) * (self.rank - 1))
        return self.builder.constant(f"{self.node.name}/{what}", shaped)

    def number(self, value: int) -> str:
        return self.builder.shared(f"float_{value}", np.array(value, np.float32))

    def state(self, what: str) -> str:
        """The name of what a step is given from the step before."""
        return self.builder.fresh(f"{self.node.name}/{what}")

    def keep(self, before: str, value: str, what: str) -> None:
        """Carry `value` to the next step, where it is called `before`."""
        after = self.do("Identity", value, what=what)
        self.builder.states.append(State(before, after, self.builder.signal(self.node.name).shape))

    def fire(self, count: list[str]) -> Value:
        """The layer's own node: the Clip that ends `count`."""
        return Value(self.builder.emit_as(self.node.name, "Clip", count), narrow=False)

    def count(self, potential: str, below: str | None, step: str, levels: int, what: str) -> list[str]:
        """The inputs of the Clip that gives ``clip(floor((potential - below) / step), 0, levels)``."""
        above = potential if below is None else self.do("Sub", potential, below, what=f"{what}_above")
        quotient = self.do("Div", above, step, what=f"{what}_quotient")
        return self.within(self.do("Floor", quotient, what=f"{what}_floor"), levels)

    def within(self, count: str, levels: int) -> list[str]:
        """The inputs of the Clip that gives ``clip(count, 0, levels)``."""
        return [count, self.number(0), self.number(levels)]

    def leak(self, value: str, decay: Array, toward_zero: bool) -> str:
        """``value * decay / 4096``, rounded down or toward zero, in factors that float32 holds: with ``value = 4096 *
        high + low``, it is ``high * decay`` (at most 2**23) plus ``low * decay / 4096`` (of a product below 2**24)."""
        share, one = self.channelwise("decay", decay), self.number(DECAY_ONE)
        size = self.do("Abs", value, what="size") if toward_zero else value
        parts = self.do("Div", size, one, what="parts")
        high = self.do("Floor", parts, what="high")
        low = self.do("Sub", size, self.do("Mul", high, one, what="high_part"), what="low")
        low_share = self.do("Div", self.do("Mul", low, share, what="low_product"), one, what="low_share")
        whole = self.do("Mul", high, share, what="high_share")
        left = self.do("Add", whole, self.do("Floor", low_share, what="low_left"), what="left")
        if not toward_zero:
            return left
        return self.do("Mul", left, self.do("Sign", value, what="sign"), what="signed_left")


def multi_level_if(builder: Builder, node: Node, op: MultiLevelIF) -> Value:
    write, current = _Scribe(builder, node), builder.integer(node.inputs[0])
    if not builder.carried and (op.theta == 1).all():  # a barrier
        return write.fire(write.within(current, op.levels))
    theta = write.channelwise("theta", op.theta)
    if not builder.carried:
        return write.fire(write.count(current, None, theta, op.levels, "fired"))
    before = write.state("potential")
    v = write.do("Add", before, current, what="v")
    spikes = write.fire(write.count(v, None, theta, op.levels, "fired"))
    spent = write.do("Mul", spikes.name, theta, what="spent")
    write.keep(before, write.do("Sub", v, spent, what="left"), "next_potential")
    return spikes


def lif(builder: Builder, node: Node, op: LIF) -> Value:
    write = _Scribe(builder, node)
    current = _entering(write, builder.integer(node.inputs[0]), op)
    step, below = write.channelwise("step_size", op.step_size), write.channelwise("below", op.theta - op.step_size)
    if not builder.carried:
        return write.fire(write.count(current, below, step, op.levels, "fired"))
    before = write.state("potential")
    kept = write.leak(before, op.decay, op.toward_zero) if op.leaks else before
    v = write.do("Add", kept, current, what="charged")
    delayed = op.delayed and op.reset != "none"
    if delayed:
        earlier = write.do("Clip", *write.count(before, below, step, op.levels, "earlier"), what="earlier")
        v = _reset(write, op, earlier, v, step)
    spikes = write.fire(write.count(v, below, step, op.levels, "fired"))
    if op.reset != "none" and not delayed:
        v = _reset(write, op, spikes.name, v, step)
    if op.floor is not None:
        v = write.do("Max", v, write.channelwise("floor", op.floor), what="held_up")
    write.keep(before, v, "next_potential")
    return spikes


def leaky_integrator(builder: Builder, node: Node, op: LeakyIntegrator) -> Value:
    write = _Scribe(builder, node)
    current = _finer(write, builder.integer(node.inputs[0]), op.fraction_bits)
    if not builder.carried:  # from zero, nothing is left of before
        return Value(builder.emit_as(node.name, "Identity", [current]), narrow=False)
    before = write.state("value")
    left = before if (op.decay == DECAY_ONE).all() else write.leak(before, op.decay, op.toward_zero)
    value = builder.emit_as(node.name, "Add", [left, current])
    write.keep(before, value, "next_value")
    return Value(value, narrow=False)


def _entering(write: _Scribe, current: str, op: LIF) -> str:
    current = _finer(write, current, op.fraction_bits)
    if op.drive is None:
        return current
    return write.do("Add", current, write.channelwise("drive", op.drive), what="driven")


def _finer(write: _Scribe, current: str, fraction_bits: int) -> str:
    if not fraction_bits:
        return current
    return write.do("Mul", current, write.number(2**fraction_bits), what="finer")


def _reset(write: _Scribe, op: LIF, fired: str, before: str, step: str) -> str:
    if op.reset == "subtract":
        return write.do("Sub", before, write.do("Mul", fired, step, what="spent"), what="reset")
    silent = write.do("Equal", fired, write.number(0), what="silent")
    return write.do("Where", silent, before, write.number(0), what="reset")
