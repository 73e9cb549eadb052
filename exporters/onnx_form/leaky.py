"""Leaky neurons and integrators as model-local ONNX functions: one function for every kind that a file uses."""

from __future__ import annotations

from onnx import FunctionProto, NodeProto, TensorProto, helper

from snn2chip.exporters.onnx_form.functions import count, function, levels, scalar
from snn2chip.exporters.onnx_form.names import INTEGRATOR, LIF_FROM_REST, TOWARD_ZERO
from snn2chip.kernels import DECAY_ONE
from snn2chip.ops import LIF
from snn2chip.ops.lif import Reset
from snn2chip.spec import MEMBRANE_BITS

_COUNT = (
    "spikes = clip(floor((v - theta) / step_size) + 1, 0, levels), uint8. theta: the potential of the first spike; "
    "step_size: what each further one takes; int32, per channel. "
)
_LEAKS = {
    False: "leak(u) = floor(u * decay / 4096), decay int64 0..4096, per channel: Div truncates toward zero, so that "
    "2**35, which no potential of 24 bits reaches, is added before it, and 2**23 is taken away after it. ",
    True: "leak(u) = u * decay / 4096, decay int64 0..4096, per channel, truncated toward zero. ",
}
_AFTER: dict[Reset, str] = {
    "subtract": "v - spikes * step_size",
    "zero": "0 where there are spikes, else v",
    "none": "v",
}
_BEFORE: dict[Reset, str] = {
    "subtract": "v = leak(potential) + current - earlier * step_size",
    "zero": "v = 0 where earlier > 0, else leak(potential) + current",
    "none": "v = leak(potential) + current",
}


def lif_name(op: LIF) -> str:
    """Such as ``LIFZeroReset`` or ``IFDelayedSubtractReset``; IF where nothing leaks."""
    reset = {"subtract": "SubtractReset", "zero": "ZeroReset", "none": "NoReset"}[op.reset]
    name = ("LIF" if op.leaks else "IF") + ("Delayed" if _delayed(op) else "") + reset
    return name + ("Floored" if op.floor is not None else "") + (TOWARD_ZERO if op.leaks and op.toward_zero else "")


def lif_function(op: LIF) -> FunctionProto:
    """``(current, potential, theta, step_size[, decay][, floor]; levels) -> (spikes, next_potential)``, for T > 1."""
    keeps = _delayed(op) or op.reset == "none"  # nothing is taken from v in this step
    kept = "next_potential" if op.floor is None else "kept"
    v = kept if keeps else "v"
    nodes = [scalar("zero", 0), *levels(), _below()]
    nodes += _leak("potential", op.toward_zero) if op.leaks else []
    nodes += [*_charge(op, "left" if op.leaks else "potential", v), *_fire(v)]
    nodes += [] if keeps else _reset(op.reset, "fired", v, kept)
    nodes += [] if op.floor is None else _hold_up(kept)
    inputs = ["current", "potential", "theta", "step_size"]
    inputs += (["decay"] if op.leaks else []) + (["floor"] if op.floor is not None else [])
    return function(lif_name(op), inputs, ["spikes", "next_potential"], nodes, _lif_doc(op), ["levels"])


def lif_from_rest_function() -> FunctionProto:
    """``LIFFromRest(current, theta, step_size; levels) -> spikes``, for T = 1: leak and reset play no part."""
    nodes = [scalar("zero", 0), *levels(), _below(), *_fire("current")]
    doc = f"The only step of integrate-and-fire neurons, from a potential of zero: v = current; {_COUNT}"
    return function(LIF_FROM_REST, ["current", "theta", "step_size"], ["spikes"], nodes, doc.strip(), ["levels"])


def integrator_function(toward_zero: bool) -> FunctionProto:
    """``LeakyIntegrator(current, value, decay) -> next_value``, for T > 1."""
    nodes = [*_leak("value", toward_zero), helper.make_node("Add", ["left", "current"], ["next_value"])]
    doc = f"One step of a current that fades: next_value = leak(value) + current, int32. {_LEAKS[toward_zero]}"
    name = INTEGRATOR + (TOWARD_ZERO if toward_zero else "")
    return function(name, ["current", "value", "decay"], ["next_value"], nodes, doc.strip())


def _delayed(op: LIF) -> bool:
    return op.delayed and op.reset != "none"


def _leak(source: str, toward_zero: bool) -> list[NodeProto]:
    """``left = source * decay / 4096``, int32, rounded down or toward zero."""
    product = [
        scalar("one", DECAY_ONE, TensorProto.INT64),
        helper.make_node("Cast", [source], ["wide"], to=TensorProto.INT64),
        helper.make_node("Mul", ["wide", "decay"], ["product"]),
    ]
    if toward_zero:
        share = [helper.make_node("Div", ["product", "one"], ["share"])]
    else:
        lift = 2 ** (MEMBRANE_BITS - 1)
        share = [
            scalar("lift", lift * DECAY_ONE, TensorProto.INT64),
            scalar("lower", lift, TensorProto.INT64),
            helper.make_node("Add", ["product", "lift"], ["lifted"]),
            helper.make_node("Div", ["lifted", "one"], ["lifted_share"]),
            helper.make_node("Sub", ["lifted_share", "lower"], ["share"]),
        ]
    return [*product, *share, helper.make_node("Cast", ["share"], ["left"], to=TensorProto.INT32)]


def _below() -> NodeProto:
    """One step below theta: the quotient of the distance from there is the count, for truncation is clipped away."""
    return helper.make_node("Sub", ["theta", "step_size"], ["below"])


def _charge(op: LIF, potential: str, v: str) -> list[NodeProto]:
    """The potential `v` before the reset of this step; a delayed reset of the step before takes place here."""
    if not _delayed(op):
        return [helper.make_node("Add", [potential, "current"], [v])]
    return [
        *count("potential", "below", "step_size", "earlier"),
        helper.make_node("Add", [potential, "current"], ["charged"]),
        *_reset(op.reset, "earlier", "charged", v),
    ]


def _fire(v: str) -> list[NodeProto]:
    return [
        *count(v, "below", "step_size", "fired"),
        helper.make_node("Cast", ["fired"], ["spikes"], to=TensorProto.UINT8),
    ]


def _reset(reset: Reset, fired: str, before: str, after: str) -> list[NodeProto]:
    if reset == "subtract":
        return [
            helper.make_node("Mul", [fired, "step_size"], ["spent"]),
            helper.make_node("Sub", [before, "spent"], [after]),
        ]
    return [
        helper.make_node("Greater", [fired, "zero"], ["any"]),
        helper.make_node("Where", ["any", "zero", before], [after]),
    ]


def _hold_up(kept: str) -> list[NodeProto]:
    """Not by Max: onnxruntime 1.14 does not load functions that call an operator with any number of inputs."""
    return [
        helper.make_node("Greater", ["floor", kept], ["sunk"]),
        helper.make_node("Where", ["sunk", "floor", kept], ["next_potential"]),
    ]


def _lif_doc(op: LIF) -> str:
    reset: Reset = op.reset if _delayed(op) else "none"
    after = "v" if _delayed(op) else _AFTER[op.reset]
    kept = f"next_potential = {after}" + ("" if op.floor is None else ", but never below floor (int32, per channel)")
    leak = _LEAKS[op.toward_zero] if op.leaks else "leak(u) = u. "
    earlier = "earlier: the spikes that the kept potential gave. " if _delayed(op) else ""
    return f"One step of integrate-and-fire neurons: {_BEFORE[reset]}; {_COUNT}{leak}{earlier}{kept}."
