"""Networks that lava-dl exported (netx, ``.net``): `read_netx`. What is read, and how exactly: ``docs/netx.md``."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from snn2chip import spec
from snn2chip.errors import GraphError, UserError
from snn2chip.frontend.builder import Builder
from snn2chip.frontend.hdf5 import open_checked
from snn2chip.frontend.hdf5_record import as_text, check_features
from snn2chip.frontend.netx_layers import (
    FRACTION_BITS,
    NO_THRESHOLD,
    PLAIN,
    SYNAPSES,
    Current,
    NetxLayer,
    fire,
    potential,
)
from snn2chip.frontend.options import ImportOptions
from snn2chip.graph import Graph, check_size, frozen
from snn2chip.ops import Flatten, LeakyIntegrator, Readout

#: No network has as many layers.
MOST_LAYERS = 1024


def read_netx(path: str | Path, options: ImportOptions) -> Graph:
    """The integer graph of a netx file: the file's own numbers, in the arithmetic of Loihi.

    The input is what `lava.lib.dl.netx.hdf5.Network` takes: spikes, or, where the first layer has neurons, the whole
    numbers that are to be their currents. Of `options`, steps, input_shape and largest are used.

    Raises: UserError where the file cannot be read; GraphError naming the file and the layer or node where something
    in it is not supported, an option is missing, or a value may leave its width.
    """
    with open_checked(path) as file:
        try:
            return _graph(file, options)
        except GraphError as error:
            raise GraphError(f"{path}: {error}") from None
        except OSError as error:  # what HDF5 raises where the data themselves are damaged
            raise UserError(f"{path}: this HDF5 file is damaged ({error}): write it again") from None
        except MemoryError:
            raise UserError(f"{path}: it describes a network that needs more memory than there is") from None


def _graph(file: h5py.File, options: ImportOptions) -> Graph:
    layers = _layers(file)
    if options.input_scale != 1:
        raise GraphError("its inputs are whole numbers: scale the images yourself instead (--input-scale)")
    reading = _Reading(Builder(_input_shape(layers[0], options), options.largest), layers)
    reading.builder.steps = _steps(file, options)
    graph = reading.graph()
    spec.check_integer(graph)
    return graph


class _Reading:
    """Goes through the layers once; `halved` names synapses whose weights are stored as halves."""

    def __init__(self, builder: Builder, layers: list[NetxLayer]) -> None:
        self.builder = builder
        self.layers = layers
        self.output = next((layer.index for layer in reversed(layers) if layer.kind not in PLAIN), -1)
        self.halved: set[str] = set()

    def graph(self) -> Graph:
        value = self.builder.input("input")
        for layer in self.layers:
            value = self._add(layer, value)
        if len(shape := self.builder.shape(value)) > 1:
            check_features(math.prod(shape))
            value = self.builder.add("output.flat", Flatten(), (value,))
        self.builder.add("output", Readout(), (value,))
        return _with_units(self.builder.graph(), self.halved)

    def _add(self, layer: NetxLayer, value: str) -> str:
        if layer.kind == "input":
            return self._input(layer, value)
        if layer.kind in PLAIN:
            fields, rearrange = PLAIN[layer.kind]
            layer.check_fields(fields)
            return rearrange(self.builder, layer, value)
        if layer.kind not in SYNAPSES:
            raise layer.refusal(_UNSUPPORTED.get(layer.kind, "is of a type that lava-dl 0.6.0 does not write"))
        current = self._synapses(layer, value)
        if layer.index == self.output and (layer.neuron is None or layer.neuron.threshold >= NO_THRESHOLD):
            return potential(self.builder, layer, current).node
        return fire(self.builder, layer, current)

    def _synapses(self, layer: NetxLayer, value: str) -> Current:
        fields, connect = SYNAPSES[layer.kind]
        layer.check_fields(fields)
        if layer.value("delay") is not None and layer.array("delay").any():
            raise layer.refusal("delays its spikes, which is not supported: train without delays")
        current = connect(self.builder, layer, value)
        layer.check_shape(self.builder.shape(current.node))
        if current.bits > FRACTION_BITS:
            self.halved.add(current.node)
        return current

    def _input(self, layer: NetxLayer, value: str) -> str:
        """Neurons of an input layer take whole numbers as currents; weight and bias say how images become those."""
        if layer.index:
            raise layer.refusal("is not the first: only one input is supported")
        layer.check_fields(frozenset({"type", "shape", "weight", "bias", "neuron"}))
        return value if layer.neuron is None else fire(self.builder, layer, Current(value, FRACTION_BITS))


def _with_units(graph: Graph, halved: set[str]) -> Graph:
    """Every node with the real value of its unit: a spike is 1, and so is a weight of 1."""
    units: dict[str, float] = {}
    for node in graph.nodes:
        if isinstance(node.op, LeakyIntegrator):
            units[node.name] = units[node.inputs[0]] / 2**node.op.fraction_bits
        elif isinstance(node.op, (Flatten, Readout)):
            units[node.name] = units[node.inputs[0]]
        else:
            units[node.name] = 2.0 if node.name in halved else 1.0
    return Graph(tuple(replace(node, unit=frozen([units[node.name]])) for node in graph.nodes), graph.steps)


def _layers(file: h5py.File) -> list[NetxLayer]:
    group = file.get("layer")
    if not isinstance(group, h5py.Group) or not 1 <= len(group) <= MOST_LAYERS:
        raise GraphError(f"it is no netx file: its group 'layer' with 1 to {MOST_LAYERS} layers is missing")
    layers = []
    for index in range(len(group)):
        found = group.get(str(index))
        kind = found.get("type") if isinstance(found, h5py.Group) else None
        if not isinstance(kind, h5py.Dataset) or kind.shape is None:
            raise GraphError(f"layer {index} is missing, or does not say its 'type': layers are called 0, 1, 2, ...")
        layers.append(NetxLayer(found, index, as_text(kind[()]) or "of unknown type"))
    return layers


def _input_shape(first: NetxLayer, options: ImportOptions) -> tuple[int, ...]:
    """``(C, H, W)`` or ``(F,)``: the option where it is given, else what the first layer says."""
    if options.input_shape is not None:
        return options.input_shape
    if first.kind == "dense":
        shape = first.integers("inFeatures", 1)
    elif first.kind == "input":
        count = first.array("shape").size
        shape = first.integers("shape", count) if count in (1, 3) else ()
    else:
        raise first.refusal("is the first layer and does not say the shape of its input: give it (--input-shape)")
    if not shape or min(shape) < 1:
        raise first.refusal("has a shape that is neither (features,) nor (channels, height, width): --input-shape")
    check_size(shape)
    check_features(shape[0])
    return shape


def _steps(file: h5py.File, options: ImportOptions) -> int:
    if options.steps is not None:
        return options.steps
    simulation = file.get("simulation")
    length = simulation.get("tSample") if isinstance(simulation, h5py.Group) else None
    number = length[()] if isinstance(length, h5py.Dataset) and length.shape == () else None
    hint = f" (it was trained on {number:d})" if isinstance(number, np.integer) else ""
    raise GraphError(f"a netx file does not say for how many steps a sample is shown{hint}: give --steps")


_UNSUPPORTED = {
    "dense_rec": "is recurrent, which is not supported",
    "dense_comp": "has complex weights, which are not supported",
    "convT": "is a transposed convolution, which is not supported",
    "unpool": "unpools, which is not supported",
    "concat": "joins several layers, which is not supported",
}
