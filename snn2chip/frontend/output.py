"""What a traced forward returned, as the readout of the graph; and the last checks on the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from snn2chip.errors import GraphError
from snn2chip.frontend.combination import combination, materialised, times
from snn2chip.frontend.dynamics import settle
from snn2chip.frontend.recurrence import equal
from snn2chip.frontend.trace import Trace
from snn2chip.frontend.values import TOTAL, Combination, NodeValue, Opaque, Product, StateValue, When
from snn2chip.graph import Array, Graph
from snn2chip.ops import Readout


def finish(trace: Trace, returned: Sequence[Any], output: int | None) -> Graph:
    """The graph of what `returned` holds: the `output`-th of its tensors, or its only one that is no state.

    Raises: GraphError where it is unclear what the logits are, or where something was computed that they do not need.
    """
    loops = _fix_steps(trace)
    result = _chosen(trace, returned, output, loops)
    _check_time(trace, result, loops)
    settle(trace)
    _remove_unread(trace, _read_out(trace, result), anything=output is not None)
    return trace.builder.graph()


def _fix_steps(trace: Trace) -> int:
    """How often each neuron was called, which is T where that is more than once; 0 without such neurons."""
    called = {chain.calls for chain in trace.chains if chain.calls is not None}
    if len(called) > 1:
        counts = ", ".join(f"{chain.path!r} {chain.calls}" for chain in trace.chains)
        raise GraphError(f"its neurons are called different numbers of times ({counts}): once a step each is needed")
    loops = max(called, default=0)
    if loops > 1:
        trace.fix_steps(loops)
    elif trace.steps is None and trace.chains:
        raise GraphError("it is called step by step: say how many steps it runs (steps=T, --steps T)")
    elif called and any(chain.calls is None for chain in trace.chains) and trace.steps != 1:
        raise GraphError("some of its neurons run one step and others all steps in one call")
    return loops


def _chosen(trace: Trace, returned: Sequence[Any], output: int | None, loops: int) -> NodeValue:
    if output is not None:
        if not 0 <= output < len(returned):
            raise GraphError(f"it returns {len(returned)} tensors, but output {output} was asked for")
        return _tensor(trace, returned[output], loops)
    tensors = [k for k, value in enumerate(returned) if isinstance(value, NodeValue) or _is_tensor(value, loops)]
    read = [returned[k] for k in tensors if k not in trace.carried] or [returned[k] for k in tensors]
    candidates = read or [value for value in returned if isinstance(value, (StateValue, Combination))]
    opaque = [value for value in returned if isinstance(value, Opaque)]
    if not candidates and opaque:
        raise opaque[0].error
    if len(candidates) == 1:
        return _tensor(trace, candidates[0], loops)
    if not candidates:
        raise GraphError("it returns nothing that depends on its input")
    found = ", ".join(f"{k}: {_named(value)}" for k, value in enumerate(returned))
    raise GraphError(f"it returns several tensors ({found}): choose one (output=I, --output-index I)")


def _is_tensor(value: Any, loops: int) -> bool:
    """Whether a weighted sum is one of tensors of one step, or over all steps, and no potential."""
    if not isinstance(value, Combination) or any(isinstance(term, Product) for term in value.terms):
        return False
    return len(times(value)) == 1 or _over_time(value, loops) is not None


def _tensor(trace: Trace, value: Any, loops: int) -> NodeValue:
    summed = _over_time(value, loops) if isinstance(value, Combination) else None
    return materialised(trace, combination(trace, value) if summed is None else summed)


def _over_time(value: Combination, loops: int) -> Combination | None:
    """A sum over all steps as such; None where it is something else."""
    summed: dict[str, dict[int, Array]] = {}
    for term, factor in value.terms.items():
        if isinstance(term, Product) or term[1].when is not When.STEP:
            return None
        summed.setdefault(term[0], {})[term[1].step] = factor
    steps = range(max(loops, 1))
    even = all(
        set(found) == set(steps) and all(equal(f, found[0]) for f in found.values()) for found in summed.values()
    )
    if not even or value.offset.any() or loops <= 1:
        return None
    return replace(value, terms={(node, TOTAL): found[0] for node, found in summed.items()})


def _named(value: Any) -> str:
    if isinstance(value, NodeValue):
        return repr(value.node)
    if isinstance(value, StateValue):
        return f"{value.part} of {value.chain.path!r}"
    return f"a sum, {value.name!r}" if isinstance(value, Combination) else "a constant"


def _check_time(trace: Trace, result: NodeValue, loops: int) -> None:
    """The readout sums over all T steps: what is returned has to be that sum, its mean, or all steps."""
    if result.time.when is When.RECORD:
        raise GraphError(f"it returns {result.time}")
    if result.time.when is When.STEP and trace.steps != 1 and loops != 1:
        raise GraphError(
            f"it returns {result.time} of {result.node!r} alone: return the sum or the mean over all {trace.steps} "
            "steps"
        )


def _read_out(trace: Trace, result: NodeValue) -> str:
    """The node of the readout."""
    trace.whole_features(result)
    if isinstance(trace.builder.op(result.node), Readout):
        return result.node
    return trace.builder.add("readout", Readout(), (trace.flattened(result.node),))


def _remove_unread(trace: Trace, readout: str, anything: bool) -> None:
    """Take out neurons of which only the membrane is read; where an output was chosen, whatever it does not need."""
    builder = trace.builder
    spared = {chain.node for chain in trace.chains if chain.read} | trace.absorbed
    while unread := [name for name in builder.unread() if name != readout]:
        name = unread[-1]
        if not anything and name not in spared:
            raise GraphError(f"it computes {name!r}, which its output does not need: return it, or leave it out")
        spared.update(builder.sources(name) if name not in trace.absorbed else ())
        builder.remove(name)
