"""How each NIR primitive becomes operations: one rule a primitive. A new primitive is one rule and one line here."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.frontend import nir_neurons as neurons
from snn2chip.frontend.hdf5_record import check_features, shown
from snn2chip.frontend.nir_document import COMMON, NirNode
from snn2chip.frontend.nir_neurons import Context
from snn2chip.graph import Array, Kind, frozen
from snn2chip.ops import Add, AvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, Readout, Scale, SumPool2d

Pair = tuple[int, int]
#: (context, node, name of its input) to the name of its output.
Rule = Callable[[Context, NirNode, str], str]
#: A sum takes that many inputs at once.
_MOST_TERMS = Add.arity.stop - 1


def apply(context: Context, node: NirNode, outputs: dict[str, str]) -> str:
    """Add a primitive to the graph and return the name of its output; `outputs` are those of its sources, by path.

    Raises: GraphError naming the node where the primitive, or a value in it, is not supported.
    """
    if node.kind not in RULES:
        raise node.refusal(_UNSUPPORTED.get(node.kind, "is no primitive of NIR 1.0: remove it"))
    fields, rule = RULES[node.kind]
    node.check_fields(fields)
    return rule(context, node, _sum(context, node, [outputs[path] for path in node.sources]))


def _sum(context: Context, node: NirNode, sources: list[str]) -> str:
    """Several edges into one node add up; spikes that meet currents become currents."""
    builder = context.builder
    if len({builder.kind(source) for source in sources}) > 1:
        name = f"{node.path}.sum.current"
        sources = [s if builder.kind(s) is Kind.CURRENT else _as_current(context, node, name, s) for s in sources]
    while len(sources) > 1:
        total = builder.add(f"{node.path}.sum", Add(), tuple(sources[:_MOST_TERMS]))
        sources = [total, *sources[_MOST_TERMS:]]
    return sources[0]


def _as_current(context: Context, node: NirNode, name: str, source: str, weights: Array | None = None) -> str:
    """A synapse from each neuron to one target, of weight 1 or `weights` ``[C]``."""
    try:
        return context.builder.as_current(source, name, weights)
    except GraphError as error:
        raise node.refusal(f"needs a synapse for each spike, and {error}") from None


def _pass_on(context: Context, node: NirNode, source: str) -> str:
    """The end of a nested graph."""
    return source


def _output(context: Context, node: NirNode, source: str) -> str:
    if node.path != context.last:
        return source
    if len(context.builder.shape(source)) > 1:
        source = _flat(context, f"{node.path}.flat", source)
    return context.builder.add(node.path, Readout(), (source,))


def _affine(context: Context, node: NirNode, source: str) -> str:
    bias = node.array("bias")
    if bias.ndim != 1:
        raise node.refusal(f"has a bias of shape {bias.shape}: only [outputs] is supported")
    return context.builder.add(node.path, Linear(_matrix(node), frozen(bias)), (source,))


def _linear(context: Context, node: NirNode, source: str) -> str:
    return context.builder.add(node.path, Linear(_matrix(node)), (source,))


def _matrix(node: NirNode) -> Array:
    weight = node.array("weight")
    if weight.ndim != 2:
        raise node.refusal(f"has weights of shape {weight.shape}: only [outputs, inputs] is supported")
    return frozen(weight)


def _conv2d(context: Context, node: NirNode, source: str) -> str:
    weight = node.array("weight")
    if weight.ndim != 4:
        raise node.refusal(f"has weights of shape {weight.shape}: [outputs, inputs / groups, height, width] is needed")
    _check_map(context, node, source)
    bias = frozen(node.array("bias")) if node.value("bias") is not None else None
    stride, dilation = node.pair("stride"), node.pair("dilation")
    weight, padding = _padded(node, weight, stride, dilation)
    (groups,) = node.integers("groups", 1)
    return context.builder.add(node.path, Conv2d(frozen(weight), bias, stride, padding, dilation, groups), (source,))


def _check_map(context: Context, node: NirNode, source: str) -> None:
    """GraphError where the map that the file states is not the one that arrives."""
    arriving = context.builder.map_shape(source)[1:]
    if node.value("input_shape") is not None and (stated := node.pair("input_shape")) != arriving:
        raise node.refusal(f"says that its input is a map of {stated}, but one of {arriving} arrives")


def _padded(node: NirNode, weight: Array, stride: Pair, dilation: Pair) -> tuple[Array, Pair]:
    """Weights and padding; 'same' keeps the map's size, and puts an odd position of padding at the end (as torch)."""
    padding = node.text("padding")
    if padding is None:
        return weight, node.pair("padding")
    if padding == "valid":
        return weight, (0, 0)
    if padding != "same" or stride != (1, 1):
        raise node.refusal(
            f"has padding {shown(padding)} and stride {stride}: 'same' needs stride 1, else give numbers"
        )
    pads: list[int] = []
    for axis in (0, 1):
        total = dilation[axis] * (weight.shape[2 + axis] - 1)
        if total % 2 and dilation[axis] > 1:
            raise node.refusal("has padding 'same' that cannot be halved: use kernels with odd sides")
        if total % 2:  # a zero tap in front makes the padding equal on both sides
            weight = np.pad(weight, [(1, 0) if a == 2 + axis else (0, 0) for a in range(4)])
        pads.append((total + 1) // 2)
    return weight, (pads[0], pads[1])


def _sum_pool(context: Context, node: NirNode, source: str) -> str:
    return context.builder.add(node.path, SumPool2d(*_window(node)), (source,))


def _avg_pool(context: Context, node: NirNode, source: str) -> str:
    """Padding counts, as in torch's default."""
    return context.builder.add(node.path, AvgPool2d(*_window(node)), (source,))


def _window(node: NirNode) -> tuple[Pair, Pair, Pair]:
    return node.pair("kernel_size"), node.pair("stride"), node.pair("padding")


def _flatten(context: Context, node: NirNode, source: str) -> str:
    """All of a tensor; writers disagree whether dimension 0 is the batch, so that both 0 and 1 start a whole one."""
    rank = len(context.builder.shape(source))
    (start,), (end,) = node.integers("start_dim", 1), node.integers("end_dim", 1)
    if start not in (0, 1) or end not in (-1, rank - 1, rank):
        raise node.refusal(f"flattens dimensions {start}..{end} of {rank}: only all of them are supported (0..-1)")
    return source if rank == 1 else _flat(context, node.path, source)


def _flat(context: Context, name: str, source: str) -> str:
    check_features(math.prod(context.builder.shape(source)))
    return context.builder.add(name, Flatten(), (source,))


def _scale(context: Context, node: NirNode, source: str) -> str:
    factors = context.per_channel(node, "scale", source)
    uniform, spikes = (factors == factors[0]).all(), context.builder.kind(source) is Kind.SPIKE
    if (factors > 0).all() and (uniform or spikes):
        scale = Scale(float(factors[0]) if uniform else frozen(factors))
        return context.builder.add(node.path, scale, (source,))
    if spikes:  # what is not positive is no spike any more
        return _as_current(context, node, node.path, source, factors)
    norm = BatchNorm2d(frozen(factors), frozen(np.zeros_like(factors)))
    return context.builder.add(node.path, norm, (source,))


def _fields(*names: str) -> frozenset[str]:
    return COMMON | frozenset(names)


_POOL = _fields("kernel_size", "stride", "padding")
_MEMBRANE = _fields("r", "v_threshold", "v_reset")

#: For every primitive: its fields in NIR 1.0, and its rule.
RULES: dict[str, tuple[frozenset[str], Rule]] = {
    "Input": (_fields("shape"), _pass_on),
    "Output": (_fields("shape"), _output),
    "Affine": (_fields("weight", "bias"), _affine),
    "Linear": (_fields("weight"), _linear),
    "Conv2d": (_fields("input_shape", "weight", "bias", "stride", "padding", "dilation", "groups"), _conv2d),
    "SumPool2d": (_POOL, _sum_pool),
    "AvgPool2d": (_POOL, _avg_pool),
    "Flatten": (_fields("input_type", "start_dim", "end_dim"), _flatten),
    "Scale": (_fields("scale"), _scale),
    "Threshold": (_fields("threshold"), neurons.threshold),
    "IF": (_MEMBRANE, neurons.integrate_and_fire),
    "LIF": (_MEMBRANE | {"tau", "v_leak"}, neurons.leaky_integrate_and_fire),
    "CubaLIF": (_MEMBRANE | {"tau_syn", "tau_mem", "v_leak", "w_in"}, neurons.current_based),
    "I": (_fields("r"), neurons.integrator),
    "LI": (_fields("tau", "r", "v_leak"), neurons.leaky_integrator),
    "CubaLI": (_fields("tau_syn", "tau_mem", "r", "v_leak", "w_in"), neurons.current_based_integrator),
}

#: Primitives whose result depends on more than the present step.
STATEFUL = frozenset({"IF", "LIF", "CubaLIF", "I", "LI", "CubaLI"})

_UNSUPPORTED = {
    "Conv1d": "convolves in one dimension, which is not supported: use a Conv2d over a map of height 1",
    "Delay": "delays its input, which is not supported: train without delays",
}
