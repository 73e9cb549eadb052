"""What layers read on calibration inputs: a sample of positions, as rows of a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snn2chip import kernels
from snn2chip.graph import Array, Node
from snn2chip.ops import Conv2d, Linear
from snn2chip.quantize import float_engine
from snn2chip.quantize.integer import Rounding

#: Positions that are looked at in each layer, over all time steps together, and the samples that they come from.
POSITIONS = 1024
SAMPLES = 64


@dataclass(frozen=True)
class Rows:
    """What one layer reads at some positions of some samples.

    Attributes:
        counts: spike counts float32 ``[T, R, groups * I]`` that meet weights ``[O, I]``.
        groups: of the convolution.
    """

    counts: Tensor
    groups: int = 1

    def product(self, weight: Tensor) -> Tensor:
        """Currents ``[T, R, O]`` of weights ``[O, ...]``."""
        outputs = len(weight)
        if self.groups == 1:
            return self.counts @ weight.reshape(outputs, -1).T
        steps, rows, _ = self.counts.shape
        counts = self.counts.reshape(steps * rows, self.groups, -1).transpose(0, 1)
        product = counts @ weight.reshape(self.groups, outputs // self.groups, -1).transpose(1, 2)
        return product.transpose(0, 1).reshape(steps, rows, outputs)


def collect(rounding: Rounding, inputs: Array, seed: int = 0) -> Mapping[str, Rows]:
    """Rows of every layer, by name, as the float network sees them.

    Args: inputs, uint8 as for `snn2chip.interpreter.run`, of which at most `SAMPLES` are used.
    """
    rng = np.random.default_rng(seed)
    count = min(SAMPLES, float_engine.fitting_samples(rounding.network, len(inputs)))
    chosen = np.sort(rng.permutation(len(inputs))[:count])
    values: dict[str, Tensor] = {}
    rows: dict[str, Rows] = {}
    layers = {layer.name for layer in rounding.classes.layers}
    readers = {layer.inputs[0] for layer in rounding.classes.layers}
    for node, value in float_engine.run(rounding.network, inputs[chosen]):
        if node.name in readers:
            values[node.name] = value
        if node.name in layers:
            rows[node.name] = sample_rows(node, values[node.inputs[0]], rounding.spikes[node.inputs[0]], rng)
    return rows


def sample_rows(layer: Node, source: Tensor, unit: Array, rng: np.random.Generator) -> Rows:
    """Rows of `layer` out of what it reads, `source` ``[T, B, ...]`` real, whose spikes have the real value `unit`."""
    op = layer.op
    counts = (source / _unit_of(unit, source)).round()
    if isinstance(op, Linear):
        return Rows(counts)
    assert isinstance(op, Conv2d)
    steps, samples = counts.shape[:2]
    per_sample = -(-POSITIONS // (steps * samples))
    pieces = [_patches(op, counts[:, k], per_sample, rng) for k in range(samples)]
    return Rows(torch.cat(pieces, dim=1), op.groups)


def _unit_of(unit: Array, source: Tensor) -> Tensor:
    shape = (1, 1, -1) + (1,) * (source.ndim - 3)
    return torch.from_numpy(np.asarray(unit, dtype=np.float32)).reshape(shape)


def _patches(op: Conv2d, maps: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """``[T, count, C * Kh * Kw]``: the windows at some output positions of one sample ``[T, C, H, W]``."""
    windows = kernels.windows(maps.numpy(), op.kernel, op.stride, op.padding, op.dilation)
    steps, _, height, width = windows.shape[:4]
    positions = rng.permutation(height * width)[:count]
    chosen = windows[:, :, positions // width, positions % width]  # [T, C, count, Kh, Kw]
    return torch.from_numpy(chosen.swapaxes(1, 2).reshape(steps, len(positions), -1))
