"""Choosing the units of currents, and with them the scale of the weights of every output channel.

A finer unit rounds weights less and clips more of them. Candidates are units in which the thresholds of the neurons
that read the current are whole numbers: a threshold that rounds badly costs more than a weight that does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from snn2chip.errors import UserError
from snn2chip.graph import Array, Node
from snn2chip.ops import Conv2d, Linear, SpikingNeuron
from snn2chip.quantize import float_engine
from snn2chip.quantize.choices import Choices
from snn2chip.quantize.integer import Rounding
from snn2chip.quantize.levels import thresholds
from snn2chip.quantize.neurons import rounded_neuron
from snn2chip.quantize.rows import Rows

Method = Literal["max", "percentile", "mse", "error"]
METHODS: tuple[str, ...] = get_args(Method)

#: Candidate units, from the finest that clips nothing to what keeps this part of the largest weight, by weight bits.
_CANDIDATES = 16
_SMALLEST_PART = {2: 0.2, 3: 0.25, 4: 0.35, 5: 0.45, 6: 0.55, 7: 0.65, 8: 0.75}
#: Between candidates that give the same spikes, the smaller error of the potential decides, at this weight.
_TIE = 1e-3

#: (layer, candidate units ``[G, O]``) to errors ``[G, O]``.
Measure = Callable[[Node, Array], Array]


def choose_units(
    rounding: Rounding, method: Method, rows: Mapping[str, Rows] | None = None, percentile: float = 99.9
) -> Choices:
    """Units of all currents, as `Choices` (the other choices stay).

    Args:
        method: ``max`` clips no weight; ``percentile`` clips what exceeds the percentile of the magnitudes of a
            channel's weights; ``mse`` has the least squared error of the weights; ``error`` the least squared error of
            the spikes (of the current, where several layers meet in it) on `rows`.
        rows: calibration data, by layer; needed for ``error``.
    Raises: UserError where the method is unknown or misses its data.
    """
    if method == "max":
        units = rounding.aligned(rounding.class_units)
    elif method == "percentile":
        units = _snapped(rounding, _percentile_units(rounding, percentile))
    elif method == "mse":
        units = _best(rounding, lambda layer, found: weight_errors(rounding, layer, found))
    elif method == "error" and rows is not None:
        units = _best(rounding, lambda layer, found: _output_errors(rounding, layer, found, rows[layer.name]))
    else:
        raise UserError(f"--scale {method} is not one of {', '.join(METHODS)}, or misses calibration inputs")
    chosen = {layer.name: rounding.classes.unit(layer.name, units) for layer in rounding.classes.layers}
    return replace(rounding.choices, units=chosen)


def candidates(rounding: Rounding) -> Array:
    """``[G, classes]``: units that the choice is between, none below what biases and thresholds need."""
    fewest = min(rounding.bits(layer) for layer in rounding.classes.layers)
    parts = np.linspace(1, _SMALLEST_PART[fewest], _CANDIDATES)
    return _snapped(rounding, parts[:, None] * rounding.class_units)


def _best(rounding: Rounding, measure: Measure) -> Array:
    grid = candidates(rounding)
    total = np.zeros_like(grid)
    for layer in rounding.classes.layers:
        ids, _ = rounding.classes.of(layer.name)
        errors = measure(layer, rounding.classes.unit(layer.name, grid))
        for found, error in zip(total, errors, strict=True):
            np.add.at(found, ids, error)
    best: Array = np.take_along_axis(grid, total.argmin(axis=0)[None], axis=0)[0]
    return best


def _snapped(rounding: Rounding, units: Array) -> Array:
    """The nearest units in which the threshold of a class is a whole number, where it has one; none too fine."""
    level = np.zeros(rounding.classes.count)
    for k, found in thresholds(rounding.network, rounding.classes).items():
        level[k] = found[0]
    whole = np.maximum(1, np.rint(level / units))
    near = np.where(level > 0, level / whole, units)
    # A threshold below one unit: clipping weights until it is one may be worse than a wrong threshold.
    near = np.where(level < 0.5 * units, units, near)
    near = np.where(rounding.exact > 0, rounding.exact, near)
    return rounding.aligned(np.maximum(near, rounding.coarsest_need()))


def _percentile_units(rounding: Rounding, percentile: float) -> Array:
    largest = {}
    for layer in rounding.classes.layers:
        magnitude = np.abs(rounding.real_weight(layer)).reshape(rounding.network.signals[layer.name].shape[0], -1)
        largest[layer.name] = np.percentile(magnitude, percentile, axis=1) / rounding.limit(layer)
    found = rounding.classes.largest(largest)
    return np.where(found > 0, found, rounding.class_units)


def weight_errors(rounding: Rounding, layer: Node, units: Array) -> Array:
    """``[G, O]``: squared error of the real weights of each output for each of its `units` ``[G, O]``."""
    real = as_matrix(rounding.real_weight(layer))
    rounded = (rounded_matrix(real, unit, rounding.limit(layer)) for unit in units)
    return np.stack([((found - real) ** 2).sum(dim=1).numpy() for found in rounded]).astype(np.float64)


def as_matrix(weight: Array) -> Tensor:
    """``[O, I]`` float32 of weights ``[O, ...]``."""
    return torch.from_numpy(weight.reshape(len(weight), -1).astype(np.float32))


def _column(unit: Array) -> Tensor:
    return torch.from_numpy(unit.astype(np.float32))[:, None]


def integer_matrix(real: Tensor, unit: Array, limit: int) -> Tensor:
    """Integer weights ``[O, I]`` of real ones, for units ``[O]``."""
    return (real / _column(unit)).round_().clamp_(-limit, limit)


def rounded_matrix(real: Tensor, unit: Array, limit: int) -> Tensor:
    """The real weights that integers can say."""
    return integer_matrix(real, unit, limit) * _column(unit)


def _output_errors(rounding: Rounding, layer: Node, units: Array, rows: Rows) -> Array:
    """``[G, O]``: squared error of the spikes that a layer causes, or of its current."""
    op = layer.op
    assert isinstance(op, (Conv2d, Linear))
    real = as_matrix(rounding.real_weight(layer))
    bias = np.zeros(len(real)) if op.bias is None else op.bias
    expected = rows.product(real) + torch.from_numpy(bias.astype(np.float32))
    neuron = _only_neuron(rounding, layer)
    spikes = None if neuron is None else float_engine.output(neuron, (expected,))
    errors = []
    for unit in units:
        integer_bias = torch.from_numpy(np.rint(bias / unit).astype(np.float32))
        integers = rows.product(integer_matrix(real, unit, rounding.limit(layer))) + integer_bias
        error = ((integers * _column(unit)[:, 0] - expected) ** 2).mean(dim=(0, 1))
        if neuron is not None and spikes is not None:
            found = float_engine.output(rounded_neuron(neuron, unit), (integers,))
            scale = torch.from_numpy((_TIE / neuron.theta**2).astype(np.float32))
            error = ((found - spikes) ** 2).mean(dim=(0, 1)) + scale * error
        errors.append(error.numpy().astype(np.float64))
    return np.stack(errors)


def _only_neuron(rounding: Rounding, layer: Node) -> SpikingNeuron | None:
    """The neuron that reads the current of `layer` as it is, where nothing else does."""
    readers = rounding.network.consumers[layer.name]
    op = rounding.network[readers[0]].op
    return op if len(readers) == 1 and isinstance(op, SpikingNeuron) else None
