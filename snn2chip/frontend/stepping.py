"""Models that are called once a step: where their neurons are written out, all steps have to be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from snn2chip.errors import GraphError
from snn2chip.frontend.dynamics import WrittenNeuron
from snn2chip.frontend.functions.time import stack
from snn2chip.frontend.trace import Trace
from snn2chip.frontend.values import Combination, InitialState, NodeValue, When

#: One call of the model: the states that it is given, to what it returns.
Step = Callable[[Sequence[Any]], Sequence[Any]]


def run_steps(trace: Trace, step: Step, states: Sequence[InitialState]) -> Sequence[Any]:
    """What the model returns; over all steps where it was called for each."""
    returned = [step(states)]
    if trace.steps in (None, 1) or not _is_single_step(trace):
        return returned[0]
    for _ in range(1, trace.steps or 1):
        returned.append(step(_carried(returned[-1], states)))
    return [_over_time(trace, values) for values in zip(*returned, strict=True)]


def _is_single_step(trace: Trace) -> bool:
    """Whether the model ran one step, and has neurons whose next steps are not known from it."""
    calls = [chain.calls for chain in trace.chains]
    return all(called == 1 for called in calls) and any(isinstance(chain, WrittenNeuron) for chain in trace.chains)


def _carried(returned: Sequence[Any], states: Sequence[InitialState]) -> Sequence[Any]:
    """What of the returned values are the new states."""
    if not states:
        return ()
    found = [value for value in returned if isinstance(value, Combination)]
    if len(found) != len(states):
        names = ", ".join(repr(state.name) for state in states)
        raise GraphError(f"it takes the states {names} and returns {len(found)} potentials: it must return each state")
    return found


def _over_time(trace: Trace, values: Sequence[Any]) -> Any:
    """A returned tensor at all steps; the last value of what is no tensor."""
    if all(isinstance(value, NodeValue) and value.time.when in (When.STEP, When.EVERY) for value in values):
        return stack(trace, values)
    return values[-1]
