"""Neurons of snnTorch (1.0), which fire where the potential is above the threshold, not at it.

With a delayed reset, its default, the potential is lowered in the step after the spike. `Leaky` then clears the
potential *before* it adds the input, so that its delayed reset to zero is an immediate one; `Lapicque` and `Synaptic`
clear both.
Source: ``snntorch/_neurons/{leaky,lapicque,synaptic}.py`` of version 1.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from snn2chip.errors import GraphError
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.rules.base import Call, Rule, counted, per_channel, scalar
from snn2chip.frontend.trace import array
from snn2chip.graph import Array, frozen
from snn2chip.ops import LIF, LeakyIntegrator
from snn2chip.ops.lif import Reset

_RESETS: Mapping[str, Reset] = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}
_RESET_VALUES: tuple[Reset, ...] = ("subtract", "zero", "none")


@dataclass(frozen=True)
class _Dynamics:
    """``v = decay * u + gain * i`` per channel, and how it is reset; `synapse` is the decay of the synaptic current."""

    decay: Any
    gain: Any = 1.0
    synapse: Any = None
    zero_is_delayed: bool = True


def _leaky(call: Call) -> Any:
    return _stepped(call, _Dynamics(call.module.beta.clamp(0, 1), zero_is_delayed=False), ("mem",))


def _lapicque(call: Call) -> Any:
    module = call.module
    with torch.no_grad():  # as the forward forms them
        gain = module.R * (1 / (module.R * module.C)) * module.time_step
        decay = 1 - (module.time_step / (module.R * module.C))
    if not (array(gain) > 0).all():
        raise GraphError("its input has no effect, for its capacitance is infinite (beta = 1): use Leaky(beta=1)")
    return _stepped(call, _Dynamics(decay, gain), ("mem",))


def _synaptic(call: Call) -> Any:
    module = call.module
    return _stepped(call, _Dynamics(module.beta.clamp(0, 1), synapse=module.alpha.clamp(0, 1)), ("syn", "mem"))


def _stepped(call: Call, dynamics: _Dynamics, parts: tuple[str, ...]) -> Any:
    module = call.module
    reset = _reset(module)
    _check(module)
    given = call.arguments
    if module.init_hidden and any(given[part] is not None for part in parts):
        raise GraphError("it keeps its state (init_hidden=True), but is passed one")
    keeps = all(given[part] is None for part in parts)
    states = {part: call.kept(part) if given[part] is None else given[part] for part in parts}

    def build(builder: Builder, name: str, source: str) -> str:
        return _neuron(builder, name, source, module, dynamics, reset)

    def membrane(builder: Builder, name: str, source: str) -> str:
        shape = builder.shape(source)
        if dynamics.synapse is not None:
            source = _integrator(builder, f"{name}.current", source, per_channel(dynamics.synapse, shape, "alpha"))
        if (per_channel(dynamics.gain, shape, "gain") != 1).any():
            raise GraphError("its membrane is read, and its gain is not 1: read one of a Leaky neuron")
        return _integrator(builder, name, source, per_channel(dynamics.decay, shape, "beta"))

    stepped = call.one_step(given["input_"], build, states, {"mem": membrane} if reset == "none" else {}, keeps)
    for part, state in stepped.states.items():
        call.keep(part, state)
    if module.init_hidden and not module.output:
        return stepped.spikes
    return (stepped.spikes, *stepped.states.values())


def _neuron(builder: Builder, name: str, source: str, module: Any, dynamics: _Dynamics, reset: Reset) -> str:
    shape = builder.shape(source)
    if dynamics.synapse is not None:
        source = _integrator(builder, f"{name}.current", source, per_channel(dynamics.synapse, shape, "alpha"))
    gain = per_channel(dynamics.gain, shape, "gain")
    theta = frozen(per_channel(module.threshold, shape, "threshold") / gain)  # v / gain is what the graph integrates
    delayed = getattr(module, "reset_delay", True)
    if not delayed and reset == "subtract":
        _check_single_reset(builder, source, theta)
    if reset == "zero":
        delayed = delayed and dynamics.zero_is_delayed
    decay = per_channel(dynamics.decay, shape, "beta")
    neuron = LIF(theta, theta, decay, reset=reset, delayed=delayed and reset != "none", strict=True)
    factor = scalar(getattr(module, "graded_spikes_factor", 1.0), "graded_spikes_factor")
    return counted(builder, name, builder.add(name, neuron, (source,)), factor)


def _integrator(builder: Builder, name: str, source: str, decay: Array) -> str:
    return builder.add(name, LeakyIntegrator(decay), (source,))


def _check_single_reset(builder: Builder, source: str, theta: Array) -> None:
    """Without delay, snnTorch takes a reset back where the potential is above the threshold after it."""
    if (builder.signal(source).interval.high > theta).any():
        raise GraphError(
            "with reset_delay=False and reset by subtraction, a potential that stays above the threshold is not reset "
            "again, which is no neuron of this project, and its current may exceed the threshold: use reset_delay=True"
        )


def _reset(module: Any) -> Reset:
    reset = _RESETS.get(getattr(module.state_function, "__name__", ""))
    if reset is None or _RESET_VALUES[int(module.reset_mechanism_val)] != reset:
        raise GraphError("its reset_mechanism was changed after it was made: make it with the one that is meant")
    return reset


def _check(module: Any) -> None:
    if module.inhibition:
        raise GraphError("inhibition is not supported: its neurons depend on one another")
    if module.state_quant:
        raise GraphError("state_quant is not supported: the integer graph has a rounding of its own")
    probe = torch.cat([torch.linspace(-4, 4, 65), torch.tensor([1e-6, -1e-6])])
    with torch.no_grad():
        spikes = module.spike_grad(probe)
    if not torch.equal(torch.as_tensor(spikes).double(), (probe > 0).double()):
        raise GraphError("its spike_grad is no step function in the forward pass")


_METHODS = ("forward", "fire", "mem_reset", "_base_state_function", "_base_sub", "_base_zero", "_base_int")

RULES = {
    "snntorch._neurons.leaky.Leaky": Rule(_leaky, _METHODS),
    "snntorch._neurons.lapicque.Lapicque": Rule(_lapicque, _METHODS),
    "snntorch._neurons.synaptic.Synaptic": Rule(_synaptic, (*_METHODS, "_base_state_reset_zero")),
}
_SUPPORTED = "Leaky, Lapicque and Synaptic are"
_RECURRENT = ("rleaky.RLeaky", "rsynaptic.RSynaptic", "slstm.SLSTM", "sconv2dlstm.SConv2dLSTM")
REFUSED = {"snntorch._neurons.neurons.SpikingNeuron": _SUPPORTED} | {
    f"snntorch._neurons.{layer}": f"it is recurrent, and {_SUPPORTED}" for layer in _RECURRENT
}
