"""Correcting biases and thresholds on calibration inputs, layer by layer, as the integer network itself sees them.

Rounded weights shift currents by a mean that depends on what flows: it is added to the bias (Nagel et al., "Data-free
quantization through weight equalization and bias correction", 2019, on measured inputs). Then each threshold is set to
the integer near it whose spikes differ least from the real ones. Later layers see the errors that earlier ones still
make, and correct for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.ops import LIF, Conv2d, Linear, Scale, SpikingNeuron
from snn2chip.quantize import float_engine
from snn2chip.quantize.branches import is_identity
from snn2chip.quantize.integer import Rounding, rounded
from snn2chip.quantize.neurons import rounded_theta

CORRECTIONS = ("bias", "threshold")
#: Values on which candidate thresholds are tried.
_TRIED_VALUES = 2**21
#: Candidates, as parts of a threshold; the integers next to it are tried besides.
_PARTS = np.array([0.0, -0.03, 0.03, -0.06, 0.06, -0.1, 0.1, -0.15, 0.15])

Report = Callable[[str], None]


def correct(rounding: Rounding, reference: Graph, inputs: Array, corrections: Collection[str], report: Report) -> Graph:
    """The network of `rounding` with corrected biases and thresholds: a float graph, to be rounded again.

    Args:
        reference: the prepared float graph whose currents and spikes are wanted; its nodes have the same names.
        inputs: uint8 as for `snn2chip.interpreter.run`; as many are used as `float_engine.fitting_samples` says.
        corrections: any of `CORRECTIONS`.
        report: called with one line per layer.
    """
    correcting = _Correcting(rounding, corrections)
    chosen = inputs[: float_engine.fitting_samples(reference, len(inputs))]
    for node, expected in float_engine.run(reference, chosen):
        report(f"calibrating {node.name}")
        correcting.add(rounding.network[node.name], expected)
    return Graph(tuple(correcting.nodes), reference.steps)


class _Correcting:
    """Runs the integer network beside the real one, node by node, and corrects each node before the next reads it."""

    def __init__(self, rounding: Rounding, corrections: Collection[str]) -> None:
        self._rounding = rounding
        self._corrections = corrections
        self._values: dict[str, Tensor] = {}
        self._unread = {name: len(readers) for name, readers in rounding.network.consumers.items()}
        self.nodes: list[Node] = []

    def add(self, node: Node, expected: Tensor) -> None:
        """Correct `node`, whose real output is `expected` ``[T, B, ...]``."""
        if not node.inputs:
            self._emit(node, expected)
            return
        sources = tuple(self._values[name] for name in node.inputs)
        if isinstance(node.op, Scale):  # the same integers in another unit
            self._emit(node, sources[0])
        elif self._correctable(node):
            self._layer(node, sources, expected)
        elif isinstance(node.op, SpikingNeuron) and self._free(node):
            corrected = replace(node, op=self._threshold(node, node.op, sources[0], expected))
            self._emit(corrected, float_engine.output(self._rounded(corrected), sources))
        else:
            self._emit(node, float_engine.output(self._rounded(node), sources))
        float_engine.forget(node, self._values, self._unread)

    def _correctable(self, node: Node) -> bool:
        """Whether a layer gets a bias; an identity is none any more with one, and would lose its 8 bits."""
        return isinstance(node.op, (Conv2d, Linear)) and not is_identity(node.op) and "bias" in self._corrections

    def _emit(self, node: Node, value: Tensor) -> None:
        self.nodes.append(node)
        self._values[node.name] = value

    def _rounded(self, node: Node) -> Op:
        return rounded(self._rounding, node)

    def _free(self, node: Node) -> bool:
        """Whether a threshold may move: one that counts spikes is a whole number of them, and a shift stays one."""
        shifts = self._rounding.choices.shift_thresholds
        return "threshold" in self._corrections and node.inputs[0] in self._rounding.classes and not shifts

    def _layer(self, node: Node, sources: tuple[Tensor, ...], expected: Tensor) -> None:
        op, unit = node.op, self._rounding.unit(node.name)
        assert isinstance(op, (Conv2d, Linear))
        before = self._rounded(node)
        integers = float_engine.output(before, sources)
        error = _channel_means(expected) - unit * _channel_means(integers)
        bias = frozen(_bias(before) * unit + error, np.float64)
        corrected = replace(node, op=replace(op, bias=bias))
        moved = _bias(self._rounded(corrected)) - _bias(before)
        self._emit(corrected, integers + _broadcast(moved, integers))

    def _threshold(self, node: Node, op: SpikingNeuron, current: Tensor, expected: Tensor) -> SpikingNeuron:
        unit = self._rounding.unit(node.inputs[0])
        first = rounded_theta(op, unit)
        count = max(1, _TRIED_VALUES // (expected[:, :1].numel()))
        current, expected = current[:, :count], expected[:, :count]
        best, least = first, np.full(len(first), np.inf)
        for theta in (*(np.rint(first * (1 + part)) for part in _PARTS), first - 1, first + 1):
            tried = with_theta(op, np.maximum(1, theta), unit)
            found = float_engine.output(self._rounded(replace(node, op=tried)), (current,))
            error = _channel_means((found - expected) ** 2)
            best = np.where(error < least, np.maximum(1, theta), best)
            least = np.minimum(error, least)
        return with_theta(op, best, unit)


def with_theta(op: SpikingNeuron, theta: Array, unit: Array) -> SpikingNeuron:
    """The real neuron whose threshold is rounded to the integers `theta` in this unit."""
    real = frozen(theta * unit, np.float64)
    return replace(op, theta=real, strict=False) if isinstance(op, LIF) else replace(op, theta=real)  # type: ignore[type-var]


def _bias(op: Op) -> Array:
    assert isinstance(op, (Conv2d, Linear))
    return np.zeros(1) if op.bias is None else op.bias.astype(np.float64)


def _channel_means(values: Tensor) -> Array:
    """``[C]`` float64 of ``[T, B, C, ...]``."""
    axes = [axis for axis in range(values.ndim) if axis != 2]
    if values.stride(0) == 0:
        values = values[:1]
    means: Array = torch.mean(values, dim=axes, dtype=torch.float64).numpy()
    return means


def _broadcast(values: Array, like: Tensor) -> Tensor:
    """``[C]`` that adds to ``[T, B, C, ...]``."""
    return torch.from_numpy(values.astype(np.float32)).reshape((1, 1, -1) + (1,) * (like.ndim - 3))
