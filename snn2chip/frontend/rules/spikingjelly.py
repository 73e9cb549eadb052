"""SpikingJelly's neurons, releases 2.0.0 and 0.0.0.0.14. Its other layers are traced through and need no rule.

Every neuron charges (``h``), fires where ``h`` reaches its threshold, and resets; they differ in how they charge:

    IFNode               h = v + x
    LIFNode              h = v + (x - (v - v_reset)) / tau,  or  h = v - (v - v_reset) / tau + x  without `decay_input`
    ParametricLIFNode    as LIFNode, with sigmoid(w) in the place of 1 / tau
    ILIFNode             h = v * (1 - 1 / tau) + x, with round(clip(h / v_threshold, 0, N)) spikes
    HalfThresholdIFNode  as IFNode with soft reset, starting at v_threshold / 2

The graph counts the potential from where it starts, and in units of what one unit of current adds to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from snn2chip.errors import GraphError
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.rules.base import Call, Rule
from snn2chip.frontend.values import StateValue
from snn2chip.graph import Array, Op, frozen
from snn2chip.ops import LIF, Linear, MultiLevelIF
from snn2chip.ops.lif import Reset

#: Where a surrogate's forward is looked at: far from the threshold and near it, on both sides.
_PROBES = (-1e6, -3.0, -1.0, -1e-6, 1e-6, 1.0, 3.0, 1e6)


def _if_node(call: Call) -> Any:
    return _neuron(call, decay=1.0, gain=1.0)


def _lif_node(call: Call) -> Any:
    rate = 1.0 / float(call.module.tau)
    return _neuron(call, decay=1.0 - rate, gain=rate if call.module.decay_input else 1.0)


def _parametric_lif_node(call: Call) -> Any:
    rate = float(call.module.w.detach().sigmoid())
    return _neuron(call, decay=1.0 - rate, gain=rate if call.module.decay_input else 1.0)


def _neuron(call: Call, decay: float, gain: float) -> Any:
    """``h = decay * v + gain * x``, with v counted from v_reset, where the potential of a hard reset also starts."""
    module = call.module
    rest = 0.0 if module.v_reset is None else float(module.v_reset)
    _check_start(module, rest)
    threshold = float(module.v_threshold)
    if not threshold > rest:
        raise GraphError(f"v_threshold is {threshold}: it must lie above the potential {rest} that a reset leaves")
    first, strict = (threshold - rest) / gain, _fires_above(module.surrogate_function)
    if module.v_reset is None and decay == 1 and not strict:
        return _placed(call, lambda channels: MultiLevelIF(_each(first, channels), 1))
    reset: Reset = "subtract" if module.v_reset is None else "zero"
    return _placed(call, lambda n: LIF(_each(first, n), _each(first, n), _each(decay, n), reset=reset, strict=strict))


def _half_threshold_if_node(call: Call) -> Any:
    threshold = float(call.module.v_threshold)
    _check_start(call.module, threshold / 2)
    strict = _fires_above(call.module.surrogate_function)
    return _placed(call, lambda n: LIF(_each(threshold / 2, n), _each(threshold, n), _each(1.0, n), strict=strict))


def _ilif_node(call: Call) -> Any:
    """Ties at half a level round to even there and down here: at 1.5, 3.5, ... levels exactly, a spike less."""
    module = call.module
    _check_start(module, 0.0)
    levels = int(module.surrogate_function.max_spike_count)
    if _outputs(module.surrogate_function, (-1.0, 0.4, 0.6, levels - 0.4, levels + 5.0)) != [0, 0, 1, levels, levels]:
        raise GraphError("its surrogate_function does not round to spike counts 0..max_spike_count in its forward")
    threshold, decay = float(module.v_threshold), 1.0 - 1.0 / float(module.tau)
    return _placed(
        call,
        lambda n: LIF(_each(threshold / 2, n), _each(threshold, n), _each(decay, n), levels=levels, strict=True),
    )


def _voting_layer(call: Call) -> Any:
    """The mean over each `voting_size` consecutive features; what is left over at the end is dropped."""
    size = int(call.module.voting_size)

    def build(builder: Builder, name: str, source: str) -> str:
        (features,) = builder.shape(source)
        weight = np.zeros((features // size, features))
        for vote in range(len(weight)):
            weight[vote, vote * size : (vote + 1) * size] = 1 / size
        return builder.add(name, Linear(frozen(weight)), (source,))

    return call.stateless(call.args[0], build, lead=("T", "B") if call.module.step_mode == "m" else None)


def _each(value: float, channels: int) -> Array:
    return frozen(np.full(channels, value))


def _placed(call: Call, operation: Callable[[int], Op]) -> Any:
    def build(builder: Builder, name: str, source: str) -> str:
        return builder.add(name, operation(builder.shape(source)[0]), (source,))

    (current,) = call.args
    if call.module.step_mode == "m":
        spikes = call.over_time(current, build, lead=("T", "B"), keeps=("v",))
        if getattr(call.module, "store_v_seq", False):
            chain = call.trace.kept[id(call.module)]
            call.keep("v_seq", StateValue(chain, "v_seq", spikes.axes, spikes.time))
        return spikes
    kept = call.kept("v")
    if id(call.module) in call.trace.kept and not isinstance(kept, StateValue):
        raise GraphError("its potential is reset between the steps of one sample: reset it before the first one only")
    stepped = call.one_step(current, build, {"v": kept})
    call.keep("v", stepped.states["v"])
    return stepped.spikes


def _check_start(module: Any, expected: float) -> None:
    """`reset_net` restores what `set_reset_value` chose, whatever v_reset says."""
    start = module._memories_rv["v"]
    if not isinstance(start, (int, float)) or float(start) != expected:
        raise GraphError(f"its potential starts a sample at {start}: only {expected}, its default, is supported")


def _fires_above(surrogate: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Whether it fires above the threshold only, and not at it; GraphError where its forward is no step."""
    if _outputs(surrogate, _PROBES) != [float(probe > 0) for probe in _PROBES]:
        raise GraphError(f"its surrogate_function {surrogate!r} is no step from 0 to 1 in its forward")
    return _outputs(surrogate, (0.0,)) == [0.0]


def _outputs(surrogate: Callable[[torch.Tensor], torch.Tensor], inputs: Sequence[float]) -> list[float]:
    try:
        with torch.no_grad():
            # Not torch.tensor: while a network is traced, what that makes is traced, too.
            return [float(value) for value in surrogate(torch.from_numpy(np.array(inputs)))]
    except Exception as error:  # noqa: BLE001  # whatever a function of the user's raises
        raise GraphError(f"its surrogate_function {surrogate!r} fails on numbers: {error}") from None


#: Methods that hold the arithmetic: a subclass with its own is another neuron.
_METHODS = (
    "forward",
    "single_step_forward",
    "multi_step_forward",
    "single_step_functional_forward",
    "multi_step_functional_forward",
    "materialize_states",
    "neuronal_charge",
    "neuronal_fire",
    "neuronal_reset",
)
_NEURON = "spikingjelly.activation_based.neuron"
_SUPPORTED = "IFNode, LIFNode, ParametricLIFNode, ILIFNode and HalfThresholdIFNode are supported"

RULES = {
    f"{_NEURON}.{name}": Rule(rule, _METHODS)
    for name, rule in (
        ("IFNode", _if_node),  # the release 0.0.0.0.14 keeps all its neurons in one module
        ("LIFNode", _lif_node),
        ("ParametricLIFNode", _parametric_lif_node),
        ("integrate_and_fire.IFNode", _if_node),
        ("integrate_and_fire.SimpleIFNode", _if_node),
        ("integrate_and_fire.HalfThresholdIFNode", _half_threshold_if_node),
        ("lif.LIFNode", _lif_node),
        ("lif.SimpleLIFNode", _lif_node),
        ("plif.ParametricLIFNode", _parametric_lif_node),
        ("ilif.ILIFNode", _ilif_node),
    )
} | {f"spikingjelly.activation_based.layer.{place}VotingLayer": Rule(_voting_layer) for place in ("", "misc.")}
REFUSED = {
    f"{_NEURON}.{base}": _SUPPORTED
    for base in ("BaseNode", "base_node.BaseNode", "base_node.SimpleBaseNode", "base_node.NonSpikingBaseNode")
} | {
    f"spikingjelly.activation_based.layer.{place}{kind}RecurrentContainer": "it is recurrent, which no network here is"
    for place in ("", "container.")
    for kind in ("ElementWise", "Linear")
}
