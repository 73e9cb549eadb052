"""A netx file written by hand, and what Loihi's arithmetic makes of it: plain loops, no code of the package.

Sources: lava-nc 0.10.0, `PyLifModelBitAcc` (fixed point), and the netx layout of lava-dl 0.6.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layer = dict[str, Any]


def write(path: Path, layers: Sequence[Layer], steps: int = 16) -> Path:
    """Layers as lava-dl writes them: `type` of length 1, the neuron's as a string, numbers as datasets."""
    with h5py.File(path, "w") as file:
        file["simulation/Ts"], file["simulation/tSample"] = 1, steps
        for index, layer in enumerate(layers):
            _write(file.create_group(f"layer/{index}"), layer)
    return path


def _write(group: h5py.Group, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _write(group.create_group(name), value)
        elif name == "type" and group.name.count("/") == 2:
            group.create_dataset(name, (1,), "S10", [str(value).encode()])
        else:
            group.create_dataset(name, data=value)


class Loihi:
    """The network of a file, step by step."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path) as file:
            self.layers = [_values(file["layer"][str(index)]) for index in range(len(file["layer"]))]
        self.u: dict[int, Any] = {}
        self.v: dict[int, Any] = {}
        self.spikes: dict[int, list[Array]] = {}

    def run(self, frames: Array) -> Array:
        return np.stack([self._step(frame.astype(np.int64)) for frame in frames])

    def _step(self, x: Any) -> Any:
        for index, layer in enumerate(self.layers):
            x = self._layer(index, layer, x)
        return x

    def _layer(self, index: int, layer: Layer, x: Array) -> Any:
        kind = layer["type"]
        if kind == "flatten":
            return x.reshape(-1)
        if kind == "average":
            return x.reshape(int(layer["shape"][0]), -1).sum(axis=1)
        if kind == "input":
            return self._fire(index, layer, x) if "neuron" in layer else x
        current = layer["weight"].astype(int).reshape(-1, x.size) @ x if kind == "dense" else _correlate(layer, x)
        if "neuron" in layer and layer["neuron"]["vThMant"] < 131071:
            return self._fire(index, layer, current)
        return current  # an output is read as it comes: what it adds up to is the caller's

    def _fire(self, index: int, layer: Layer, current: Array) -> Any:
        neuron, shape = layer["neuron"], (-1, *(1,) * (current.ndim - 1))
        bias = 0 if layer["type"] == "input" else np.reshape(layer.get("bias", 0), shape).astype(int)
        u, v = self.u.get(index, 0 * current), self.v.get(index, 0 * current)
        u = self._leak(u, np.reshape(neuron["iDecay"], shape)) + current * 64
        v = self._leak(v, np.reshape(neuron["vDecay"], shape)) + u + bias * 64
        fires = v > int(neuron["vThMant"]) * 64
        self.u[index], self.v[index] = u, np.where(fires, 0, v)
        self.spikes.setdefault(index, []).append(fires)
        return fires.astype(np.int64)

    def _leak(self, state: Array, decay: Array) -> Any:
        product = state * (4096 - decay)
        return np.sign(product) * (np.abs(product) // 4096)


def _values(group: h5py.Group) -> Layer:
    values: Layer = {name: _values(item) if isinstance(item, h5py.Group) else item[()] for name, item in group.items()}
    kind = values.get("type", b"")
    values["type"] = (kind if isinstance(kind, bytes) else kind[0]).decode()
    return values


def _correlate(layer: Layer, x: Array) -> Array:
    weight = layer["weight"].astype(int).reshape(layer["weight"].shape[:4])
    groups = int(layer.get("groups", 1))
    if layer["type"] == "pool":
        weight, groups = np.repeat(weight, len(x), axis=0), len(x)
    stride, padding, dilation = layer["stride"], layer["padding"], layer["dilation"]
    x = np.pad(x, [(0, 0), (padding[0],) * 2, (padding[1],) * 2])
    outputs, per_group, *taps = weight.shape
    size = [(x.shape[1 + a] - dilation[a] * (taps[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
    y = np.zeros((outputs, *size), np.int64)
    for o, i, j, c, a, b in np.ndindex(outputs, *size, per_group, *taps):
        source = x[
            o // (outputs // groups) * per_group + c, i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]
        ]
        y[o, i, j] += weight[o, c, a, b] * source
    return y
