"""Neurons that a forward computes by itself, recognised by their arithmetic.

A neuron is met where its potential is compared with a threshold. Unrolled over time, the potential at step t is a
weighted sum of what the neuron read at steps 0..t and of its own earlier spikes. It is one of the graph's neurons
where, for constants that are the same at every step,

    v(t) = decay * v(t-1) + g * (i(t) + fade * i(t-1) + fade**2 * i(t-2) + ...) - taken(t-1)

and what spikes took is a constant (reset by subtraction), ``decay * v(t-1)`` (reset to zero) or nothing. Each step is
held against this; what differs is refused. Exported programs hold all neurons in this form, and so do models that write
their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.frontend.combination import PotentialError, combination, materialised, scaled, times, total
from snn2chip.frontend.recurrence import ZERO, Potential, Recurrence, Terms, equal, recurrence, separated
from snn2chip.frontend.trace import Trace
from snn2chip.frontend.values import (
    EVERY,
    Chain,
    Combination,
    DynamicsError,
    NodeValue,
    Product,
    StateValue,
    Term,
    When,
    at,
)
from snn2chip.graph import Array, frozen
from snn2chip.ops import LIF, Add, LeakyIntegrator, MultiLevelIF, Scale

#: A threshold this close to a level counts as one: guards against rounding move it by less (`snn2chip.nn`: 2**-16).
_LEVEL_TOLERANCE = 2.0**-15

_UNKNOWN = (
    "a potential is compared with a threshold, or rounded, in a way that is no neuron that is known "
    "(docs/importing.md shows those that are)"
)


@dataclass(frozen=True)
class Threshold:
    """When a potential spikes: z counts ``k = 0 .. levels - 1`` with ``v >= first + k * step`` (``>`` if strict)."""

    first: Array
    step: Array
    levels: int
    strict: bool

    def equals(self, other: Threshold) -> bool:
        """Whether both are the same but for rounding."""
        same = (self.levels, self.strict) == (other.levels, other.strict)
        return same and equal(self.first, other.first) and equal(self.step, other.step)


@dataclass(eq=False)
class WrittenNeuron(Chain):
    """A neuron that is written out: what is known of it so far."""

    label: str = field(kw_only=True)
    threshold: Threshold = field(kw_only=True)
    potential: Potential = field(kw_only=True)
    recurrence: Recurrence | None = None

    @property
    def latest(self) -> int:
        """The step that it has reached."""
        return (self.calls or 1) - 1

    def op(self, channels: int) -> LIF | MultiLevelIF:
        """The neuron, in units of what drives it."""

        def each(values: Any) -> Array:
            return frozen(np.broadcast_to(np.asarray(values, dtype=np.float64), channels))

        gain, levels = self.potential.gain, self.threshold.levels
        one = self.threshold.first if levels == 1 else self.threshold.step  # what one spike takes, as a rule
        found = self.recurrence or Recurrence(np.ones(()), ZERO, "subtract", one)
        delayed = found.reset == "subtract" and not equal(found.taken, found.decay * one)
        if delayed:  # what a spike takes is another number, or not subject to the leak
            if levels > 1 and not equal(found.taken, one):
                raise DynamicsError(f"the neuron {self.label!r} subtracts another step than that of its levels")
            one, delayed = found.taken, bool(np.any(found.decay != 1))
        first, step, decay = each(self.threshold.first / gain), each(one / gain), each(found.decay)
        level = np.allclose(first, step, rtol=_LEVEL_TOLERANCE, atol=0) and not self.threshold.strict
        if level and found.reset == "subtract" and (decay == 1).all():
            return MultiLevelIF(step, levels)
        strict = self.threshold.strict
        return LIF(first, step, decay, levels=levels, reset=found.reset, delayed=delayed, strict=strict)


def spikes(trace: Trace, potential: Any, threshold: Threshold) -> NodeValue:
    """The spikes of a potential: those of the neuron that it belongs to, or of a new one."""
    value = _with_sums(trace, combination(trace, potential))
    # A constant in the potential moves the threshold.
    threshold = replace(threshold, first=threshold.first - value.offset)
    label = trace.neuron_label()
    numbers = tuple((term, np.asarray(factor).tobytes()) for term, factor in value.terms.items())
    key = (label, numbers, np.asarray(threshold.first).tobytes(), threshold.levels, threshold.strict)
    if key not in trace.spikes:  # some neurons ask twice whether they have spiked
        neuron = _continued(trace, value, threshold, label)
        neuron = neuron or _continued(trace, _without_doubles(trace, value), threshold, label)
        neuron = neuron or _begun(trace, value, threshold, label)
        trace.spikes[key] = (neuron.node, at(neuron.latest))
    node, time = trace.spikes[key]
    return NodeValue(node, value.axes, time)


def _with_sums(trace: Trace, value: Combination) -> Combination:
    """A potential in which terms that some node adds up stand as that node."""
    terms = dict(value.terms)
    if len(terms) < 2:
        return value
    moments = {term[1] for term in terms if not isinstance(term, Product)}
    nodes = {term[0] for term in terms if not isinstance(term, Product)}
    for name in trace.builder.names(Add):
        summed = [_unscaled(trace, source) for source in trace.builder.sources(name)]
        present = {node for node, _ in summed}
        if len(present) < len(summed) or not present <= nodes:
            continue
        for time in moments:
            shares = [terms.get((node, time), ZERO) / factor for node, factor in summed]
            if all(np.any(share) and equal(share, shares[0]) for share in shares):
                for node, _ in summed:
                    del terms[node, time]
                terms[name, time] = shares[0]
    return replace(value, terms=terms)


def _unscaled(trace: Trace, node: str) -> tuple[str, Array]:
    """(node, factor) of a product with a constant; the node itself otherwise."""
    op = trace.builder.op(node)
    return (trace.builder.sources(node)[0], np.asarray(op.factor)) if isinstance(op, Scale) else (node, np.ones(()))


def _without_doubles(trace: Trace, value: Combination) -> Combination:
    """A potential in which sums of one tensor, the same at every step, stand as multiples of it."""
    terms: dict[Term, Array] = {}
    for term, factor in value.terms.items():
        known, count = term, 1
        if not isinstance(term, Product) and term[1] == EVERY:
            node, count = _multiple(trace, term[0])
            known = (node, EVERY)
        terms[known] = terms.get(known, ZERO) + count * factor
    return replace(value, terms=terms)


def _multiple(trace: Trace, node: str) -> tuple[str, int]:
    """(node, count) of a sum of one tensor with itself; the node itself otherwise."""
    if not isinstance(trace.builder.op(node), Add):
        return node, 1
    found = [_multiple(trace, source) for source in trace.builder.sources(node)]
    if len({leaf for leaf, _ in found}) > 1:
        return node, 1
    trace.absorbed.add(node)
    return found[0][0], sum(count for _, count in found)


def _begun(trace: Trace, value: Combination, threshold: Threshold, label: str) -> WrittenNeuron:
    """A neuron at its first step: its potential is what it reads."""
    if len(value.terms) != 1:
        raise _unknown(trace, value, label)
    ((term, gain),) = value.terms.items()
    if isinstance(term, Product) or term[1].when not in (When.EVERY, When.STEP) or term[1].step:
        raise _unknown(trace, value, label)
    if not (gain > 0).all():
        raise DynamicsError("a neuron fires where its input is low, not where it is high")
    if not (np.asarray(threshold.first) > 0).all():
        raise DynamicsError(
            "a neuron fires without any input: its threshold, less what is added to it, is not positive"
        )
    potential = Potential(term[0], gain, value.terms)
    neuron = WrittenNeuron(label, "", term[0], 1, label=label, threshold=threshold, potential=potential)
    shape = trace.builder.shape(term[0])
    neuron.path = neuron.node = trace.builder.add(label, neuron.op(shape[0]), (term[0],))
    trace.chains.append(neuron)
    return neuron


def _unknown(trace: Trace, value: Combination, label: str) -> DynamicsError:
    """Why a potential is that of no neuron."""
    for chain in _written(trace):
        read = {t: c for t, c in value.terms.items() if isinstance(t, Product) or t[0] != chain.node}
        if chain.label == label:
            trace.check_forward(chain.node, replace(value, terms=read))
    return DynamicsError(_UNKNOWN)


def _continued(trace: Trace, value: Combination, threshold: Threshold, label: str) -> WrittenNeuron | None:
    """The neuron of whose next step this is the potential."""
    for chain in _written(trace):
        if chain.label != label:
            continue
        known = chain.recurrence
        fade = None if known is None else known.fade
        decay = known.decay if known is not None and np.any(known.fade) else None
        found = recurrence(chain.potential, value.terms, chain.latest + 1, chain.node, fade, decay)
        if chain.latest == 1 and (found is None or known is None or not known.equals(found)):
            apart = separated(chain.potential, value.terms, chain.node)
            known, found = (apart, apart) if apart is not None else (known, found)
        if found is None:
            continue
        if not chain.threshold.equals(threshold):
            raise DynamicsError("its threshold changes from step to step, or a constant is added to its potential")
        if known is not None and not known.equals(found):
            raise DynamicsError(
                f"step {chain.latest + 1} of the neuron {chain.node!r} differs from the steps before it"
            )
        chain.recurrence = known or found
        chain.potential = replace(chain.potential, terms=value.terms)
        chain.calls = (chain.calls or 0) + 1
        return chain
    return None


def _written(trace: Trace) -> list[WrittenNeuron]:
    return [chain for chain in trace.chains if isinstance(chain, WrittenNeuron)]


def product(trace: Trace, first: Combination, second: Combination) -> Combination:
    """The product of two tensors, which is understood where a neuron's spikes clear its potential."""
    for gate, value in ((first, second), (second, first)):
        neuron = _gating(trace, gate)
        ratio = None if neuron is None else _ratio(value.terms, neuron.potential.terms)
        if neuron is None or ratio is None:
            continue
        ((term, weight),) = gate.terms.items()
        gated: dict[Term, Array] = {Product(neuron.node, neuron.latest): ratio * weight, term: value.offset * weight}
        kept = {t: c for t, c in gated.items() if np.any(c)}
        return total(scaled(value, gate.offset), replace(value, terms=kept, offset=ZERO))
    raise GraphError("a product of two tensors that both depend on the input is not supported")


def _gating(trace: Trace, gate: Combination) -> WrittenNeuron | None:
    """The neuron whose latest spikes are all that `gate` holds beside a constant."""
    if len(gate.terms) != 1:
        return None
    (term,) = gate.terms
    found = (c for c in _written(trace) if term == (c.node, at(c.latest)) and c.threshold.levels == 1)
    return next(found, None)


def _ratio(terms: Terms, other: Terms) -> Array | None:
    """The number that `other` has to be multiplied with to be `terms`."""
    if terms.keys() != other.keys():
        return None
    term = next(iter(terms))
    ratio: Array = terms[term] / other[term]
    return ratio if all(equal(terms[t], ratio * other[t]) for t in terms) else None


def as_steps(trace: Trace, values: Sequence[Any]) -> list[NodeValue | StateValue]:
    """Values that are joined along time, each as a tensor of the graph at its step."""
    if not any(isinstance(value, Combination) and len(times(value)) > 1 for value in values):
        return [value if isinstance(value, StateValue) else _tensor(trace, value) for value in values]
    found = [combination(trace, value) for value in values]
    node = _integrator(trace, found)
    return [NodeValue(node, value.axes, at(step)) for step, value in enumerate(found)]


def _tensor(trace: Trace, value: Any) -> NodeValue:
    return materialised(trace, combination(trace, value))


def _integrator(trace: Trace, values: Sequence[Combination]) -> str:
    """The node of ``y(t) = decay * y(t-1) + i(t)``, from y at every step."""
    ((term, gain),) = values[0].terms.items() if len(values[0].terms) == 1 else [(Product("", 0), ZERO)]
    steps: list[Recurrence | None] = []
    for step in range(1, len(values)):
        before = Potential("" if isinstance(term, Product) else term[0], gain, values[step - 1].terms)
        steps.append(recurrence(before, values[step].terms, step, "", ZERO))
    first = steps[0]
    if first is None or any(found is None or np.any(found.fade) or not found.equals(first) for found in steps):
        raise PotentialError("a membrane that is read is no leaky integrator of one current")
    driven = materialised(trace, values[0])
    decay = frozen(np.broadcast_to(first.decay, trace.builder.shape(driven.node)[0]), np.float64)
    return trace.emit(trace.label("integrator"), LeakyIntegrator(decay), (driven.node,))


def settle(trace: Trace) -> None:
    """Give every written-out neuron its final operation; GraphError where its steps were not all seen."""
    for chain in _written(trace):
        if chain.calls == 1 and trace.steps != 1:
            raise DynamicsError(
                f"the neuron {chain.node!r} is computed by the forward itself, which runs one step and keeps no state "
                "that can be followed: run all steps inside the forward"
            )
        shape, source = trace.builder.shape(chain.node), chain.source
        fade = ZERO if chain.recurrence is None else chain.recurrence.fade
        if np.any(fade):
            decay = frozen(np.broadcast_to(fade, shape[0]), np.float64)
            source = trace.builder.insert(f"{chain.node}.current", LeakyIntegrator(decay), source, before=chain.node)
        try:
            trace.builder.replace(chain.node, chain.op(shape[0]), (source,))
        except GraphError as error:
            raise DynamicsError(
                f"the neuron {chain.label!r}, which the forward computes, is no known one: {error}"
            ) from None
