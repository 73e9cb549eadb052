"""NIR's neurons, which are differential equations, as operations in steps of dt seconds.

Forward Euler, as norse, snnTorch and SpikingJelly read NIR, with the input of the same step (dt = `Context.dt`)::

    LIF      v = v + dt/tau * (v_leak - v + R*i);            z = v > v_threshold;  v = v_reset where z
    CubaLIF  s = s + dt/tau_syn * (w_in*i - s);  then LIF with the current s
    IF       v = v + R*i

Potentials start at v_reset. Our `LIF` has no gain and resets to 0: with ``w = (v - v_reset) / gain`` the equations
become ``w = decay*w + i + drive`` with the threshold ``(v_threshold - v_reset) / gain``; only parameters are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn2chip.frontend.builder import Builder
from snn2chip.frontend.nir_document import NirNode
from snn2chip.graph import Array, frozen
from snn2chip.ops import LIF, BatchNorm2d, LeakyIntegrator, Scale

#: How closely R must agree with 1 / dt to be that (both are written as float32).
_SAME = 1e-6


@dataclass(frozen=True)
class Context:
    """The graph that grows, the seconds of one step, and the path of the outermost graph's Output."""

    builder: Builder
    dt: float
    last: str

    def per_channel(self, node: NirNode, field: str, source: str, default: float | None = None) -> Array:
        """``[C]``: a parameter that NIR keeps for every neuron; GraphError where it varies inside a channel."""
        shape = self.builder.shape(source)
        if default is not None and node.value(field) is None:
            return np.full(shape[0], default)
        values = node.numbers(field)
        if values.size == 1:
            return np.full(shape[0], values.reshape(-1)[0], np.float64)
        if values.ndim == len(shape) + 1 and values.shape[0] == 1:  # a batch axis, as the input may have one
            values = values[0]
        if values.ndim != len(shape) or any(a not in (1, b) for a, b in zip(values.shape, shape, strict=True)):
            raise node.refusal(f"has {field} of shape {values.shape} on an input of shape {shape}")
        rows = values.reshape(len(values), -1)
        if (rows != rows[:, :1]).any():
            raise node.refusal(
                f"has a {field} that differs between the neurons of one channel: share it inside each channel"
            )
        return np.array(np.broadcast_to(rows[:, 0], shape[0]), np.float64)

    def share(self, node: NirNode, field: str, source: str) -> Array:
        """``dt / tau`` of the time constant `field`, ``[C]``, in 0..1."""
        tau = self.per_channel(node, field, source)
        if (tau < self.dt * (1 - _SAME)).any():
            raise node.refusal(
                f"has {field} = {tau.min():.6g} s, shorter than a step of {self.dt:.6g} s: give a smaller dt (--dt)"
            )
        # dt as precise as tau is stored: 1e-4 / 2e-4 is one half in float32, and in float64, but not across the two.
        return np.minimum(float(np.asarray(self.dt, node.float_type(field))) / tau, 1.0)

    def charge(self, node: NirNode, source: str) -> Array:
        """``[C]``: what an integrator without leak gains from a unit of input in one step.

        Tools disagree whether that is R or R*dt; they agree where R is 1 (norse, sinabs and snnTorch take R), where it
        is 1/dt (SpikingJelly takes R*dt), and where dt is 1.
        """
        r = self.positive(node, "r", source)
        if (r == 1).all() or self.dt == 1:
            return r
        if np.allclose(r * self.dt, 1, rtol=_SAME, atol=0):
            return np.ones_like(r)
        raise node.refusal(
            f"has r = {r[0]:.6g}, which tools read in two ways (r or r*dt for each step, dt = {self.dt:.6g} s): "
            "give dt = 1 (--dt 1) for r itself, or 1/r for a gain of 1"
        )

    def positive(self, node: NirNode, field: str, source: str, default: float | None = None) -> Array:
        values = self.per_channel(node, field, source, default)
        if (values <= 0).any():
            raise node.refusal(f"has {field} = {values.min():.6g}, but only positive values are supported")
        return values


def integrate_and_fire(context: Context, node: NirNode, source: str) -> str:
    """``IF``."""
    gain = context.charge(node, source)
    return _fire(context, node, source, np.ones_like(gain), gain, np.zeros_like(gain))


def leaky_integrate_and_fire(context: Context, node: NirNode, source: str) -> str:
    """``LIF``."""
    share, r = context.share(node, "tau", source), context.positive(node, "r", source)
    return _fire(context, node, source, 1 - share, r * share, _rest(context, node, source) / r)


def current_based(context: Context, node: NirNode, source: str) -> str:
    """``CubaLIF``: the synaptic current, then the membrane."""
    gain = _synapse_gain(context, node, source)
    r = context.positive(node, "r", source) * gain
    synapse = _synapse(context, node, source)
    share = context.share(node, "tau_mem", synapse)
    return _fire(context, node, synapse, 1 - share, r * share, _rest(context, node, source) / r)


def integrator(context: Context, node: NirNode, source: str) -> str:
    """``I``: what it yields is its potential."""
    gain = context.charge(node, source)
    return _integrate(context, node.path, source, np.ones_like(gain), gain)


def leaky_integrator(context: Context, node: NirNode, source: str) -> str:
    """``LI``: what it yields is its potential."""
    _check_no_rest(context, node, source)
    share, r = context.share(node, "tau", source), context.positive(node, "r", source)
    return _integrate(context, node.path, source, 1 - share, r * share)


def current_based_integrator(context: Context, node: NirNode, source: str) -> str:
    """``CubaLI``: the synaptic current, then the potential, which it yields."""
    _check_no_rest(context, node, source)
    gain = _synapse_gain(context, node, source) * context.positive(node, "r", source)
    synapse = _synapse(context, node, source)
    share = context.share(node, "tau_mem", synapse)
    return _integrate(context, node.path, synapse, 1 - share, gain * share)


def threshold(context: Context, node: NirNode, source: str) -> str:
    """``Threshold``, 1 where the input is above it: a neuron that keeps nothing.

    Our thresholds are positive: a drive lifts input and threshold alike.
    """
    level = context.per_channel(node, "threshold", source)
    lift = np.where(level > 0, 0.0, 1.0 - level)
    ones, drive = frozen(np.ones_like(level)), frozen(lift) if lift.any() else None
    memoryless = LIF(frozen(level + lift), ones, frozen(np.zeros_like(level)), drive, reset="none", strict=True)
    return context.builder.add(node.path, memoryless, (source,))


def _fire(context: Context, node: NirNode, source: str, decay: Array, gain: Array, drive: Array) -> str:
    reset = context.per_channel(node, "v_reset", source, default=0.0)
    height = context.per_channel(node, "v_threshold", source) - reset
    if (height <= 0).any():
        raise node.refusal("has a v_threshold that is not above its v_reset: it would fire at every step")
    theta = frozen(height / gain)
    neuron = LIF(theta, theta, frozen(decay), frozen(drive) if drive.any() else None, reset="zero", strict=True)
    return context.builder.add(node.path, neuron, (source,))


def _rest(context: Context, node: NirNode, source: str) -> Array:
    """What a leak to v_leak adds in each step, in units of ``R*i*dt/tau``: v_leak seen from v_reset."""
    reset = context.per_channel(node, "v_reset", source, default=0.0)
    return context.per_channel(node, "v_leak", source) - reset


def _check_no_rest(context: Context, node: NirNode, source: str) -> None:
    if context.per_channel(node, "v_leak", source).any():
        raise node.refusal("leaks to a v_leak other than 0, which would be added to what it yields: use v_leak = 0")


def _synapse_gain(context: Context, node: NirNode, source: str) -> Array:
    return context.positive(node, "w_in", source, default=1.0) * context.share(node, "tau_syn", source)


def _synapse(context: Context, node: NirNode, source: str) -> str:
    """The synaptic current in units of its gain."""
    decay = frozen(1 - context.share(node, "tau_syn", source))
    return context.builder.add(f"{node.path}.synapse", LeakyIntegrator(decay), (source,))


def _integrate(context: Context, path: str, source: str, decay: Array, gain: Array) -> str:
    """An integrator whose potential is read: here the gain shows."""
    uniform = (gain == gain[0]).all()
    if not uniform:  # in front of the integrator, where it can be folded into the weights
        scaled = BatchNorm2d(frozen(gain), frozen(np.zeros_like(gain)))
        source = context.builder.add(f"{path}.scaled", scaled, (source,))
    output = context.builder.add(path, LeakyIntegrator(frozen(decay)), (source,))
    if not uniform or gain[0] == 1:
        return output
    return context.builder.add(f"{path}.gain", Scale(float(gain[0])), (output,))
