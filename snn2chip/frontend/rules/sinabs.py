"""sinabs' neurons, release 3.1. Its other layers are traced through and need no rule.

Per step, with a = exp(-1 / tau_mem), or 1 for IAF, and b = exp(-1 / tau_syn):

    i = b * (i + x), or x where tau_syn is None
    v = a * v + (1 - a) * i, or a * v + i where norm_input is False
    z = spike_fn(v);  v = reset_fn(v, z);  v = max(v, min_v_mem)

The graph counts the potential in units of what one unit of current adds to it at once. The synaptic current is kept
before its leak: ``i = b * y`` with ``y = b * y + x``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.frontend.axes import BATCH, TIME
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.rules.base import Call, Rule, counted, per_channel
from snn2chip.frontend.values import NodeValue, StateValue
from snn2chip.graph import Array, Graph, Interval, Shape, frozen
from snn2chip.ops import LIF, LeakyIntegrator, MultiLevelIF
from snn2chip.ops.lif import Reset
from snn2chip.ops.neuron import LARGEST_LEVELS, SpikingNeuron

_SPIKE_FUNCTIONS = "sinabs.activation.spike_generation"
_RESETS = "sinabs.activation.reset_mechanism"


def _layer(call: Call) -> Any:
    """[B, T, ...] to [B, T, ...]."""
    return _recorded(call, call.over_time(call.args[0], _Layer(call), lead=("B", "T"), keeps=_states(call.module)))


def _squeezed_layer(call: Call) -> Any:
    """[B * T, ...] to [B * T, ...]."""
    if call.module.num_timesteps > 0:
        call.steps(call.module.num_timesteps)
    return _recorded(call, call.over_time(call.args[0], _Layer(call), lead=("BT",), keeps=_states(call.module)))


def _recorded(call: Call, spikes: NodeValue) -> NodeValue:
    """Leave potentials and currents in its `recordings`, where it records them; reading one is refused."""
    chain, states = call.trace.kept[id(call.module)], _states(call.module) if call.module.record_states else ()
    axes = call.trace.result(spikes.node, ((BATCH,), (TIME,)), spikes.time).axes
    call.module.recordings = {name: call.traced(StateValue(chain, name, axes, spikes.time)) for name in states}
    return spikes


def _states(module: Any) -> tuple[str, ...]:
    """The attributes in which it keeps its state; without tau_syn there is no synaptic current."""
    return tuple(name for name in ("v_mem", "i_syn") if getattr(module, name, None) is not None)


class _Layer:
    """Adds the nodes of one layer to a graph."""

    def __init__(self, call: Call) -> None:
        self._module, self._trace = call.module, call.trace

    def __call__(self, builder: Builder, name: str, source: str) -> str:
        module, shape = self._module, builder.shape(source)
        decay, gain = per_channel(module.alpha_mem_calculated, shape, "tau_mem"), np.ones(shape[0])
        if module.alpha_syn_calculated is not None:
            leak = per_channel(module.alpha_syn_calculated, shape, "tau_syn")
            source, gain = builder.add(f"{name}.current", LeakyIntegrator(leak), (source,)), gain * leak
        if module.norm_input:
            gain = gain * (1 - decay)
        if not (gain > 0).all():
            raise GraphError("its input has no effect: tau_mem or tau_syn is out of range")
        if module.spike_fn is None:
            return self._integrator(builder, name, source, decay, gain)
        neuron = self._neuron(shape, self._interval(builder, source), decay, gain)
        return builder.add(name, neuron, (source,))

    def _integrator(self, builder: Builder, name: str, source: str, decay: Array, gain: Array) -> str:
        if self._module.min_v_mem is not None:
            raise GraphError("it has a min_v_mem, a lower bound that only spiking layers may have: set it to None")
        if (gain != gain[0]).any():
            raise GraphError("its tau_mem differs between channels: only one value is supported")
        return counted(builder, name, builder.add(name, LeakyIntegrator(decay), (source,)), float(gain[0]))

    def _interval(self, builder: Builder, source: str) -> Interval:
        """Bounds of the current over all steps; the builder's own may be older than T is known."""
        return Graph(builder.graph().nodes, self._steps).signals[source].interval

    @property
    def _steps(self) -> int:
        return self._trace.steps or 1

    def _neuron(self, shape: Shape, current: Interval, decay: Array, gain: Array) -> SpikingNeuron:
        threshold = per_channel(self._module.spike_threshold, shape, "spike_threshold")
        levels, (reset, taken) = _most_spikes(self._module.spike_fn), _reset(self._module.reset_fn)
        step = threshold if taken is None else np.full(len(threshold), taken)
        if levels != 1 and (step != threshold).any():
            raise GraphError("its reset_fn subtracts another value than the spike_threshold: choose SingleSpike for it")
        most = LARGEST_LEVELS if levels is None else levels
        neuron = LIF(frozen(threshold / gain), frozen(step / gain), decay, levels=most, reset=reset)
        neuron = self._held_up(neuron, shape, current, gain)
        if levels is None:
            neuron = replace(neuron, levels=self._levels(neuron, current))
        if reset == "subtract" and neuron.floor is None and (decay == 1).all() and (step == threshold).all():
            return MultiLevelIF(neuron.theta, neuron.levels)
        return neuron

    def _levels(self, neuron: LIF, current: Interval) -> int:
        """The most spikes that can occur in one step."""
        most = int((neuron.membrane(current, self._steps).high // neuron.theta).max())
        if most > LARGEST_LEVELS:
            raise GraphError(
                f"its spike_fn may emit {most} spikes in one step, and {LARGEST_LEVELS} are the most here: "
                f"set it to sinabs.activation.MaxSpike({LARGEST_LEVELS}), or less"
            )
        return max(1, most)

    def _held_up(self, neuron: LIF, shape: Shape, current: Interval, gain: Array) -> LIF:
        """With min_v_mem as its floor, where the potential can fall to it."""
        if self._module.min_v_mem is None or self._steps == 1:
            return neuron
        floor = per_channel(self._module.min_v_mem, shape, "min_v_mem") / gain
        if (floor > 0).any():
            raise GraphError(
                f"its min_v_mem {float(self._module.min_v_mem.max()):g} is above 0, where potentials start"
            )
        lowest = np.minimum(neuron.membrane(current, self._steps).low, 0)
        if neuron.reset == "subtract":
            lowest = np.minimum(lowest, neuron.theta - neuron.step_size)
        return replace(neuron, floor=frozen(floor)) if (lowest < floor).any() else neuron


def _most_spikes(function: Any) -> int | None:
    """The most spikes that `function` emits in one step; None where there is no limit."""
    kind = function if isinstance(function, type) else type(function)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name == f"{_SPIKE_FUNCTIONS}.SingleSpike":
        return 1
    if name == f"{_SPIKE_FUNCTIONS}.MultiSpike":
        return None
    if name != f"{_SPIKE_FUNCTIONS}.MaxSpike":
        raise GraphError(f"its spike_fn is {kind.__name__}: SingleSpike, MultiSpike and MaxSpike are supported")
    most = function.max_num_spikes_per_bin
    if most is not None and not 1 <= most <= LARGEST_LEVELS:
        raise GraphError(f"its spike_fn emits up to {most} spikes in one step: choose 1..{LARGEST_LEVELS}")
    return None if most is None else int(most)


def _reset(function: Any) -> tuple[Reset, float | None]:
    """The kind of reset, and what one spike takes where that is not the threshold."""
    name = f"{type(function).__module__}.{type(function).__qualname__}"
    if name == f"{_RESETS}.MembraneSubtract":
        return "subtract", None if function.subtract_value is None else float(function.subtract_value)
    if name != f"{_RESETS}.MembraneReset":
        raise GraphError(f"its reset_fn is {type(function).__name__}: MembraneSubtract and MembraneReset are supported")
    if float(function.reset_value) != 0:
        # sinabs adds the value in every step, spike or not.
        raise GraphError(f"its reset_fn has reset_value={function.reset_value}: only 0 is supported")
    return "zero", None


_METHODS = ("forward", "squeeze_forward", "alpha_mem_calculated", "alpha_syn_calculated")
_LAYERS = ("lif.LIF", "iaf.IAF", "exp_leak.ExpLeak")

RULES = {f"sinabs.layers.{layer}": Rule(_layer, _METHODS) for layer in _LAYERS} | {
    f"sinabs.layers.{layer}Squeeze": Rule(_squeezed_layer, _METHODS) for layer in _LAYERS
}
#: Every other layer that keeps a state.
_SUPPORTED = "LIF, IAF and ExpLeak are the neurons of sinabs that are supported"
REFUSED = {"sinabs.layers.stateful_layer.StatefulLayer": _SUPPORTED} | {
    f"sinabs.layers.{layer}Recurrent": f"it is recurrent: {_SUPPORTED}" for layer in ("lif.LIF", "alif.ALIF")
}
