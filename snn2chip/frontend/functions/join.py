"""Concatenation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from snn2chip.errors import GraphError
from snn2chip.frontend import axes as layout
from snn2chip.frontend.axes import LayoutError
from snn2chip.frontend.functions.shapes import shaped
from snn2chip.frontend.functions.synapses import signal_value
from snn2chip.frontend.functions.time import joined_steps
from snn2chip.frontend.trace import Trace, check_pointwise
from snn2chip.frontend.values import NodeValue, same_time
from snn2chip.ops import Concat


def cat(trace: Trace, tensors: Any, dim: int = 0) -> Any:
    """``torch.cat``: along channels; along an axis of length 1, or the batch, the steps of one tensor."""
    if any(isinstance(value, torch.Tensor) for value in tensors):
        raise GraphError(
            "it joins a constant to what depends on the input: leave it out; where it stands for what an earlier step "
            "gave, the network is recurrent, which is not supported"
        )
    tensors = [shaped(value) for value in tensors]
    first, rank = tensors[0], len(tensors[0].axes)
    at, lead = layout.position(dim, rank), layout.split_lead(first.axes)[0]
    if any(layout.split_lead(value.axes)[0] != lead or len(value.axes) != rank for value in tensors):
        raise LayoutError(f"it joins tensors of different axes: {[trace.lengths(value) for value in tensors]}")
    if at < len(lead):
        return joined_steps(trace, tensors, at, (layout.TIME, *first.axes[at]))
    values = [signal_value(trace, value) for value in tensors]
    time = values[0].time
    for value in values[1:]:
        time = same_time(time, value.time)
    nodes = tuple(_joined(trace, value, at - len(lead)) for value in values)
    name = trace.label("cat")
    if len({trace.builder.kind(node) for node in nodes}) > 1:
        nodes = tuple(trace.as_current(node, name) for node in nodes)
    return trace.result(trace.emit(name, Concat(), nodes), lead, time)


def _joined(trace: Trace, value: NodeValue, at: int) -> str:
    """The node of a tensor that is joined along its channels, or along its only feature axis."""
    check_pointwise(value.time, "a concatenation", affine=True)
    _, features = trace.whole_features(value)
    if at == 0 and len(features) == 1:
        return trace.flat_operand(value)[0]
    if at == 0:
        return trace.map_operand(value)[0]
    raise GraphError("tensors can be joined along channels only")


FUNCTIONS: dict[str, Callable[..., Any]] = dict.fromkeys(("cat", "concat", "concatenate"), cat)
