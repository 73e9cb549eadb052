"""Neurons of norse (1.1): ``v' = v + k * ((v_leak - v) + i)`` with ``k = dt * tau_mem_inv``, fires at v > v_th.

In units of k, and counted from the reset potential, that is ``w' = (1 - k) * w + i``, which fires at
``w > (v_th - v_reset) / k`` and starts again from 0. The `Cell` modules run one step; the others run ``[T, B, ...]``.
Source: ``norse/torch/functional/{iaf,lif,lif_box,leaky_integrator,leaky_integrator_box}.py`` of version 1.1.0.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.rules.base import Call, Rule, counted, per_channel
from snn2chip.frontend.trace import array
from snn2chip.frontend.values import Build, InitialState
from snn2chip.graph import Array, Shape, frozen
from snn2chip.ops import LIF, LeakyIntegrator, Linear
from snn2chip.ops.lif import Reset

#: Surrogate gradients whose forward is the step function (``norse/torch/functional/threshold.py``).
_STEP_FUNCTIONS = frozenset({"heaviside", "super", "triangle", "tanh", "circ", "heavi_erfc"})


def _iaf(module: Any) -> Build:
    def build(builder: Builder, name: str, source: str) -> str:
        shape = builder.shape(source)
        theta = _parameter(module, "v_th", shape) - _parameter(module, "v_reset", shape)
        return builder.add(name, _fires(theta, theta, np.ones_like(theta), "zero"), (source,))

    return build


def _lif(module: Any) -> Build:
    def build(builder: Builder, name: str, source: str) -> str:
        shape = builder.shape(source)
        current = _integrated(builder, f"{name}.current", source, 1 - _rate(module, "tau_syn_inv", shape))
        return builder.add(name, _from_rest(module, shape), (current,))

    return build


def _lif_box(module: Any) -> Build:
    def build(builder: Builder, name: str, source: str) -> str:
        shape, reset = builder.shape(source), getattr(module.p.reset_method, "__name__", "?")
        if reset == "reset_value":
            return builder.add(name, _from_rest(module, shape), (source,))
        if reset != "reset_subtract":
            raise GraphError(f"its reset_method {reset} is not supported: reset_value and reset_subtract are")
        rate = _rate(module, "tau_mem_inv", shape)
        threshold = _parameter(module, "v_th", shape)
        theta = (threshold - _parameter(module, "v_leak", shape)) / rate
        return builder.add(name, _fires(theta, threshold / rate, 1 - rate, "subtract"), (source,))

    return build


def _li(module: Any) -> Build:
    def build(builder: Builder, name: str, source: str) -> str:
        decay = 1 - _rate(module, "tau_syn_inv", builder.shape(source))
        return _voltage(builder, name, _integrated(builder, f"{name}.current", source, decay), module)

    return build


def _li_linear(module: Any) -> Build:
    def build(builder: Builder, name: str, source: str) -> str:
        synapses = builder.add(f"{name}.linear", Linear(array(module.input_weights)), (source,))
        return _li(module)(builder, name, synapses)

    return build


def _li_box(module: Any) -> Build:
    return lambda builder, name, source: _voltage(builder, name, source, module)


def _voltage(builder: Builder, name: str, source: str, module: Any) -> str:
    """A membrane that is read, and starts and rests at 0."""
    shape = builder.shape(source)
    if _parameter(module, "v_leak", shape).any():
        raise GraphError("its v_leak is not 0: a membrane that is read rests at 0 here")
    rate = _rate(module, "tau_mem_inv", shape)
    if (rate != rate[0]).any():
        raise GraphError("its tau_mem_inv differs between channels: one value is supported where the membrane is read")
    return counted(builder, name, builder.add(name, LeakyIntegrator(frozen(1 - rate)), (source,)), float(rate[0]))


def _from_rest(module: Any, shape: Shape) -> LIF:
    """A neuron that starts, rests and is reset at one potential."""
    reset, rate = _parameter(module, "v_reset", shape), _rate(module, "tau_mem_inv", shape)
    if (_parameter(module, "v_leak", shape) != reset).any():
        raise GraphError("it rests at v_leak and is reset to v_reset: they must be equal")
    theta = (_parameter(module, "v_th", shape) - reset) / rate
    return _fires(theta, theta, 1 - rate, "zero")


def _fires(theta: Array, step_size: Array, decay: Array, reset: Reset) -> LIF:
    return LIF(frozen(theta), frozen(step_size), frozen(decay), reset=reset, strict=True)


def _integrated(builder: Builder, name: str, source: str, decay: Array) -> str:
    """The synaptic current; the input itself where nothing of it is left in the next step."""
    return builder.add(name, LeakyIntegrator(frozen(decay)), (source,)) if decay.any() else source


def _parameter(module: Any, name: str, shape: Shape) -> Array:
    return per_channel(getattr(module.p, name), shape, name)


def _rate(module: Any, name: str, shape: Shape) -> Array:
    rate = per_channel(module.dt * getattr(module.p, name), shape, name)  # the product as the forward rounds it
    if not ((rate > 0) & (rate <= 1)).all():
        raise GraphError(f"dt * {name} is {rate.min():g} .. {rate.max():g}: it must lie in 0..1, above 0")
    return rate


def _cell(dynamics: Callable[[Any], Build]) -> Callable[[Call], Any]:
    """One step: ``z, state = cell(x, state)``; without a state it starts afresh."""

    def apply(call: Call) -> Any:
        _check(call.module)
        given, kind = call.arguments["state"], _state(call.module)
        fresh = given is None or isinstance(given, InitialState)
        states = {part: given if fresh else getattr(given, part) for part in kind._fields}
        stepped = call.one_step(call.arguments["input_tensor"], dynamics(call.module), states, keeps=False)
        return stepped.spikes, kind(**stepped.states)

    return apply


def _state(module: Any) -> Any:
    """The class of a cell's state, as its methods declare it."""
    if hasattr(module, "initial_state"):
        return typing.get_type_hints(module.initial_state)["return"]
    return typing.get_args(typing.get_type_hints(module.forward)["return"])[1]  # (what it emits, its state)


def _layer(dynamics: Callable[[Any], Build]) -> Callable[[Call], Any]:
    """All steps: ``z, state = layer(x)``."""

    def apply(call: Call) -> Any:
        _check(call.module)
        if call.arguments["state"] is not None:
            raise GraphError("it runs all steps and is given a state: samples start at rest here")
        return call.over_time(call.arguments["input_tensor"], dynamics(call.module), ("T", "B"), restarts=True), None

    return apply


def _check(module: Any) -> None:
    method = getattr(module.p, "method", "heaviside")
    if method not in _STEP_FUNCTIONS:
        raise GraphError(f"its method {method!r} is no step function in the forward pass")
    if getattr(module, "record_states", False):
        raise GraphError("it records its states: make it with record_states=False")


_METHODS = ("forward", "initial_state")
_MODULE = "norse.torch.module"

RULES = {
    f"{_MODULE}.iaf.IAFCell": Rule(_cell(_iaf), _METHODS),
    f"{_MODULE}.iaf.IAF": Rule(_layer(_iaf), _METHODS),
    f"{_MODULE}.lif.LIFCell": Rule(_cell(_lif), _METHODS),
    f"{_MODULE}.lif.LIF": Rule(_layer(_lif), _METHODS),
    f"{_MODULE}.lif_box.LIFBoxCell": Rule(_cell(_lif_box), _METHODS),
    f"{_MODULE}.leaky_integrator.LICell": Rule(_cell(_li), _METHODS),
    f"{_MODULE}.leaky_integrator.LI": Rule(_layer(_li), _METHODS),
    f"{_MODULE}.leaky_integrator.LILinearCell": Rule(_cell(_li_linear), _METHODS),
    f"{_MODULE}.leaky_integrator_box.LIBoxCell": Rule(_cell(_li_box), _METHODS),
}
_SUPPORTED = "IAF, LIF and LI (with and without Cell), LIFBoxCell, LIBoxCell and LILinearCell are"
REFUSED = {f"{_MODULE}.snn.{base}": _SUPPORTED for base in ("SNNCell", "SNN")} | {
    f"{_MODULE}.snn.{base}": f"it is recurrent, and {_SUPPORTED}" for base in ("SNNRecurrentCell", "SNNRecurrent")
}
