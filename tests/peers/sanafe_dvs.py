"""The DVS-gesture network that comes with SANA-FE, as a graph of ours on the cores of its tutorial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.sanafe.mapping import CoreMap
from snn2chip.hw_models.sanafe.simple import Simple, axons_of, loads_of, simple
from snn2chip.hw_models.sanafe.stream import stream
from snn2chip.hw_models.sanafe.trace import cell_of
from snn2chip.lowering import Network, Population, to_populations
from snn2chip.ops import LIF, Conv2d, Flatten, Input, Linear, Readout

#: Cores that the tutorial gives each layer, in order; SANA-FE's Loihi has 4 cores a tile, and 4 tiles in a column.
CORES = (1, 4, 16, 16, 4, 1)
CORES_PER_TILE, TILE_ROWS = 4, 4
#: The tutorial names no synapse, and so gets the first of three, the dense one.
CHIP = """name = "loihi-dense"
title = "SANA-FE's Loihi, dense synapses"
inherits = "loihi1-sanafe"
[prices]
synaptic_operation = { value = 35.5, unit = "pJ", kind = "published-simulated", source = "sanafe", note = "dense" }
[times]
synaptic_operation = { value = 3.8, unit = "ns", kind = "published-simulated", source = "sanafe", note = "dense" }
"""


@dataclass(frozen=True)
class Gesture:
    """The network: its layers, what the image adds to the first one in every step, and where all neurons sit."""

    network: Network
    layers: Sequence[Population]
    currents: Array
    cores: CoreMap


def gesture(arrays: dict[str, Any]) -> Gesture:
    """The arrays of the tutorial. Its weights have 10 bits, so that the graph could not be exported."""
    network = to_populations(graph(arrays))
    layers = network.populations[1:-1]
    return Gesture(network, layers, arrays["inputs"].astype(np.int64), core_map(layers))


def graph(arrays: dict[str, Any]) -> Graph:
    """Neurons fire above their threshold, at one more than it in integers, and are reset to 0."""
    thresholds = arrays["thresholds"].tolist()
    nodes = [Node("x", Input((1, 32, 32), 255)), Node("image", Conv2d(frozen([[[[1]]]], np.int8)), ("x",))]
    last = "image"
    for number, channels in enumerate((1, 16, 32, 64, 11)):
        if number:
            weight = frozen(arrays[f"conv{number}"].transpose(3, 2, 0, 1), np.int16)
            last = f"conv{number}"
            nodes.append(Node(last, Conv2d(weight, stride=(2, 2) if number == 1 else (1, 1)), (f"layer{number - 1}",)))
        nodes.append(Node(f"layer{number}", _neurons(thresholds[number], channels), (last,)))
    nodes += [
        Node("flat", Flatten(), ("layer4",)),
        Node("dense1", Linear(frozen(arrays["dense1"].T, np.int16)), ("flat",)),
        Node("layer5", _neurons(thresholds[5], 11), ("dense1",)),
        Node("readout", Linear(frozen(np.eye(11), np.int8)), ("layer5",)),
        Node("out", Readout(), ("readout",)),
    ]
    return Graph(tuple(nodes), steps=1)


def _neurons(threshold: int, channels: int) -> LIF:
    theta = frozen(np.full(channels, threshold + 1), np.int32)
    return LIF(theta, theta, frozen(np.full(channels, 4096), np.int32), reset="zero")


def core_map(layers: Sequence[Population]) -> CoreMap:
    """Each layer cut into consecutive neurons; the last of its cores takes what is left."""
    home, first = {}, 0
    for layer, count in zip(layers, CORES, strict=True):
        size = layer.signal.size
        home[layer.name] = first + np.minimum(np.arange(size) // (size // count), count - 1).astype(np.int64)
        first += count
    tile = np.arange(first, dtype=np.int64) // CORES_PER_TILE
    return CoreMap(home, tile // TILE_ROWS, tile % TILE_ROWS)


def chip(folder: Path) -> Chip:
    """SANA-FE's own description of Loihi."""
    (folder / "loihi.toml").write_text(CHIP, encoding="utf-8")
    return load_chip(folder / "loihi.toml")


def totals(found: Gesture, priced: Chip, steps: int) -> Simple:
    """Our side of the comparison: run, count and price."""
    cells = {layer.name: cell_of(found.network, layer) for layer in found.layers}
    tracks = stream(found.layers, cells, found.currents, found.cores, steps)
    loads = loads_of(found.layers, found.cores, axons_of(found.layers, found.cores), tracks)
    return simple(loads, 0, found.cores.tiles, priced)
