"""What comparisons of spikes, not of potentials, mean: a spike, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.frontend.combination import combination
from snn2chip.frontend.trace import Trace
from snn2chip.frontend.values import Combination, NodeValue, Product
from snn2chip.graph import Array, Kind, frozen
from snn2chip.ops import Scale


def is_binary(trace: Trace, node: str) -> bool:
    """Whether a node emits 0 or 1: whole counts of at most one spike, and no real number in between."""
    signal = trace.builder.signal(node)
    return signal.kind is Kind.SPIKE and signal.interval.max <= 1 and signal.interval.high.dtype.kind != "f"


def of_spikes(trace: Trace, value: Any, holds: Callable[[Array], Array]) -> Any:
    """Where a comparison of binary spikes `holds`: the spikes, or their complement; None of anything but spikes.

    Args:
        value: what is compared with 0: ``factor * spikes + offset``.
        holds: whether the comparison holds, elementwise.
    Raises: GraphError where it says the same with and without a spike.
    """
    found = combination(trace, value)
    if len(found.terms) != 1:
        return None
    ((term, factor),) = found.terms.items()
    if isinstance(term, Product):
        return None
    node, factor = _counts(trace, term[0], factor)
    if not is_binary(trace, node):
        _check_counts(trace, node, found.offset)
        return None
    spikes = NodeValue(node, found.axes, term[1])
    if spikes.time.reduced:
        raise GraphError(f"{spikes.time} of spikes is compared, which is no neuron that is known")
    silent, spiking = holds(found.offset + 0 * factor), holds(found.offset + factor)
    if spiking.all() and not silent.any():
        return spikes
    if silent.all() and not spiking.any():
        ones = frozen(np.ones(()))
        return Combination({(node, term[1]): -ones}, ones, found.axes, node, found.name)
    raise GraphError("spikes, which are 0 or 1, are compared with a number that tells them not apart")


def _check_counts(trace: Trace, node: str, offset: Array) -> None:
    """GraphError for whether any of several spikes is there, which no neuron tells."""
    signal = trace.builder.signal(node)
    if signal.kind is Kind.SPIKE and signal.interval.high.dtype.kind != "f" and not offset.any():
        raise GraphError(f"counts of 0..{signal.interval.max} spikes are compared with 0: those of 0 or 1 can be")


def _counts(trace: Trace, node: str, factor: Array) -> tuple[str, Array]:
    """The node whose counts a node scales, and all factors on the way."""
    op = trace.builder.op(node)
    if not isinstance(op, Scale):
        return node, factor
    return _counts(trace, trace.builder.sources(node)[0], factor * np.asarray(op.factor))
