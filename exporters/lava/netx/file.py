"""Writes the layers of a netx file, as lava-dl's own export lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from snn2chip.exporters.lava.netx.layers import Layer
from snn2chip.exporters.lava.netx.neurons import Neuron
from snn2chip.ops import Conv2d

FILE = "model.net"


def write(path: Path, layers: Sequence[Layer], steps: int) -> None:
    """The same layers give the same bytes. `steps` is stored as the length of a sample, which loaders ignore."""
    with h5py.File(path, "w", track_order=False, libver="earliest") as file:
        simulation = file.create_group("simulation")
        _dataset(simulation, "Ts", 1)
        _dataset(simulation, "tSample", steps)
        for index, layer in enumerate(layers):
            _write_layer(file.create_group(f"layer/{index}"), layer)


def _write_layer(group: h5py.Group, layer: Layer) -> None:
    group.create_dataset("type", (1,), "S10", [layer.kind.encode()], track_times=False)
    _dataset(group, "shape", np.array(layer.shape, np.int64))
    if layer.synapses is not None:
        _dataset(group, "weight", layer.synapses.weight.astype(np.float32))
        if layer.synapses.bias is not None:
            _dataset(group, "bias", layer.synapses.bias.astype(np.float32))
    if isinstance(layer.synapses, Conv2d):
        _write_window(group, layer, layer.synapses)
    elif layer.synapses is not None:
        _dataset(group, "inFeatures", layer.inputs)
        _dataset(group, "outFeatures", layer.shape[0])
    if layer.neuron is not None:
        _write_neuron(group.create_group("neuron"), layer.neuron)


def _write_window(group: h5py.Group, layer: Layer, op: Conv2d) -> None:
    _dataset(group, "inChannels", layer.inputs)
    _dataset(group, "outChannels", op.outputs)
    _dataset(group, "groups", op.groups)
    pairs = {"kernelSize": op.kernel, "stride": op.stride, "padding": op.padding, "dilation": op.dilation}
    for name, pair in pairs.items():
        _dataset(group, name, np.array(pair, np.int64))


def _write_neuron(group: h5py.Group, neuron: Neuron) -> None:
    _dataset(group, "type", "CUBA")
    _dataset(group, "vThMant", neuron.threshold)
    _dataset(group, "iDecay", neuron.current_decay)
    _dataset(group, "vDecay", neuron.voltage_decay)
    _dataset(group, "refDelay", 1)
    _dataset(group, "gradedSpike", False)


def _dataset(group: h5py.Group, name: str, value: object) -> None:
    group.create_dataset(name, data=value, track_times=False)
