"""Models that are called once a step: they are called for every step, for what they keep shows from the second on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from snn2chip.errors import GraphError, UserError
from snn2chip.frontend.dynamics import WrittenNeuron
from snn2chip.frontend.functions.time import stack
from snn2chip.frontend.recurrence import equal
from snn2chip.frontend.trace import Trace
from snn2chip.frontend.values import (
    Combination,
    DynamicsError,
    Floored,
    InitialState,
    NodeValue,
    Opaque,
    Product,
    StateValue,
    When,
    at,
)

#: One call of the model: the states that it is given, to what it returns.
Step = Callable[[Sequence[Any]], Sequence[Any]]


def run_steps(
    trace: Trace, step: Step, states: Sequence[InitialState], timed: bool, omitted: Sequence[str] = ()
) -> Sequence[Any]:
    """What the model returns; over all steps where its neurons are written out and it was called for each.

    Args:
        omitted: arguments that are None at first, and may be states.
        timed: whether the input has a time axis, so that one call runs all steps.
    Raises: GraphError where a call differs from the first, because of a memory that no neuron accounts for.
    """
    returned = [step(states)]
    if trace.steps in (None, 1) or not _is_single_step(trace, timed):
        return returned[0]
    _check_carried(trace, returned[0])
    chains, written = len(trace.chains), any(isinstance(chain, WrittenNeuron) for chain in trace.chains)
    for number in range(1, trace.steps or 1):
        trace.repeated = number
        returned.append(_repeated(step, _carried(trace, returned[-1], states), number))
        if len(trace.chains) != chains or any(chain.calls != number + 1 for chain in trace.chains):
            raise DynamicsError(f"its call number {number + 1} runs other neurons than the first: {_mend(omitted)}")
        if not written:
            _check_same(returned[0], returned[-1], number)
    trace.repeated = 0
    if written:
        each = list(zip(*returned, strict=True))
        plain = any(_is_stepped(values) for values in each)
        return [_over_time(trace, values, plain) for values in each]
    for chain in trace.chains:
        chain.calls = 1  # the calls are alike, and the graph is one of them
    return returned[0]


_MEND = "keep no memory outside of neurons, or run all steps inside the forward"


def _mend(omitted: Sequence[str]) -> str:
    states = ", ".join(map(repr, omitted))
    return (
        f"return a new state for each of its arguments {states}, or run all steps inside the forward"
        if states
        else _MEND
    )


def _is_single_step(trace: Trace, timed: bool) -> bool:
    """Whether the model ran one step."""
    calls = [chain.calls for chain in trace.chains]
    return all(called == 1 for called in calls) and (bool(calls) or not timed)


def _check_carried(trace: Trace, returned: Sequence[Any]) -> None:
    """A model that runs one step has to return the states that it does not keep, or each call would start afresh."""
    carried = {id(value.chain) for value in returned if isinstance(value, StateValue)}
    for chain in trace.chains:
        if chain.passed and id(chain) not in carried:
            raise GraphError(
                f"its neuron {chain.path!r} starts afresh at every call, for its state is not returned: return it, or "
                "run all steps in one call"
            )


def _repeated(step: Step, states: Sequence[Any], number: int) -> Sequence[Any]:
    try:
        return step(states)
    except GraphError:
        raise
    except UserError as error:  # the first call went well, so that no other layout will do
        raise GraphError(f"its call number {number + 1} fails, unlike the first: {error}") from None


def _carried(trace: Trace, returned: Sequence[Any], states: Sequence[InitialState]) -> Sequence[Any]:
    """The new states: those of known neurons are found by their neurons, the others are returned potentials."""
    free = [state for state in states if state.chain is None]
    names = ", ".join(repr(state.name) for state in free)
    driving = {chain.source for chain in trace.chains if isinstance(chain, WrittenNeuron)}
    if free and not driving:
        raise DynamicsError(f"no neuron takes over the states {names} that it is given: {_MEND}")
    found = [k for k, value in enumerate(returned) if isinstance(value, Combination) or _drives(value, driving)]
    if free and len(found) != len(free):
        raise DynamicsError(
            f"it takes the states {names} and returns {len(found)} potentials: it must return each state"
        )
    if free:
        trace.carried = found
    potentials = (returned[k] for k in found)
    return [next(potentials) if state.chain is None else InitialState(state.name) for state in states]


def _drives(value: Any, driving: Collection[str]) -> bool:
    """Whether a tensor is what a neuron reads: a potential, or synaptic current, from which nothing was taken yet."""
    return isinstance(value, NodeValue) and value.node in driving


def _check_same(first: Sequence[Any], later: Sequence[Any], number: int) -> None:
    """GraphError unless a call returned what the first did, one step later each."""
    if len(first) == len(later) and all(_same(a, b, number) for a, b in zip(first, later, strict=True)):
        return
    raise DynamicsError(
        f"its call number {number + 1} returns something else than the first, so that it keeps a memory in an "
        f"attribute or buffer that is no neuron's state: {_MEND}"
    )


def _same(first: Any, later: Any, number: int) -> bool:
    """Whether `later`, of call `number`, is what `first` is, of call 0."""
    if type(first) is not type(later):
        return False
    if isinstance(first, (NodeValue, StateValue)):
        return bool(replace(first, time=_later(first.time, number)) == later)
    if isinstance(first, Floored):
        return first.levels == later.levels and _same(first.value, later.value, number)
    if not isinstance(first, Combination):
        return isinstance(first, Opaque) or bool(equal(first, later))  # a constant
    if any(isinstance(term, Product) for term in first.terms):
        return False
    moved = {(term[0], _later(term[1], number)): c for term, c in first.terms.items() if not isinstance(term, Product)}
    if moved.keys() != later.terms.keys() or first.axes != later.axes:
        return False
    return equal(first.offset, later.offset) and all(equal(c, later.terms[term]) for term, c in moved.items())


def _later(time: Any, number: int) -> Any:
    return at(number) if time == at(0) else time


def _is_stepped(values: Sequence[Any]) -> bool:
    return all(isinstance(value, NodeValue) and value.time.when in (When.STEP, When.EVERY) for value in values)


def _over_time(trace: Trace, values: Sequence[Any], plain: bool) -> Any:
    """A returned tensor at all steps; the last value of a potential that is returned beside a `plain` tensor."""
    potential = isinstance(values[-1], Combination) and not plain
    return stack(trace, values) if potential or _is_stepped(values) else values[-1]
