"""A placed binary network, and the chip it sits on, in the YAML that SANA-FE reads.

Two things have no place in that YAML and go into `Description.gates`, for the program that drives the simulation: that
a layer's biases count in its own T steps only, and that it sends nothing after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from snn2chip.errors import GraphError
from snn2chip.graph import Array
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.sanafe.mapping import CoreMap, Ints
from snn2chip.hw_models.sanafe.prices import Prices, barrier, energies, times
from snn2chip.hw_models.sanafe.trace import Cell
from snn2chip.lowering import Network, Population, Projection, Role
from snn2chip.ops import Conv2d, Linear

#: SANA-FE keeps more than a kilobyte per synapse.
MOST_SYNAPSES = 2_000_000
#: Steps that one of SANA-FE's dendrites can hold a current back beyond the next.
LONGEST_DELAY = 5
#: Neurons of one core that SANA-FE's dendrites hold.
LARGEST_CORE = 1024
#: A threshold that no potential reaches.
NEVER = 1e30
CHUNK = 256
#: Messages that a link holds, in SANA-FE's own description of Loihi; its ``simple`` model does without.
BUFFER = 16
COSTS = ("energy", "latency")


@dataclass(frozen=True)
class Gate:
    """One neuron group in its own steps: ``first .. last``, counted from 0; biases by neuron, where there are any."""

    group: str
    first: int
    last: int
    biases: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """What SANA-FE needs to run one sample.

    Attributes:
        architecture, network: texts of two YAML files.
        steps: how many steps to simulate.
        gates: what happens at which step.
    """

    architecture: str
    network: str
    steps: int
    gates: tuple[Gate, ...]


def describe(
    network: Network, cores: CoreMap, cells: Mapping[str, Cell], chip: Chip, samples: Array
) -> list[Description]:
    """The network with each of the samples ``[B, T, *shape]``, 0 or 1, as its input.

    Raises GraphError where SANA-FE could not hold it.
    """
    _check_cores(cores, cells)
    addresses, steps, inputs = _addresses(cores, chip), network.graph.steps, network.populations[0]
    chip_text = architecture(chip, cores, inputs.signal.size)
    groups = [line for name, cell in cells.items() for line in _group(network[name], cell)]
    below = ["  edges:", *_edges(network), "mappings:", *_input_mapping(inputs, _mesh(chip)[2])]
    below += [line for name in cells for line in _mappings(name, cores.home[name], addresses)]
    gates = tuple(_gate(network[name], cell, steps) for name, cell in cells.items())

    def one(frames: Array) -> Description:
        above = ["network:", "  name: network", "  groups:", *_input_group(inputs, frames)]
        return Description(chip_text, "\n".join([*above, *groups, *below]) + "\n", steps + network.depth, gates)

    return [one(frames) for frames in samples]


def _check_cores(cores: CoreMap, names: Iterable[str]) -> None:
    for name in names:
        if (most := int(np.bincount(cores.home[name]).max())) > LARGEST_CORE:
            raise GraphError(
                f"layer {name!r} puts {most} neurons on a core, but SANA-FE's cores hold {LARGEST_CORE}: give the chip "
                f"file a limit of neurons_per_core = {LARGEST_CORE}"
            )


def architecture(chip: Chip, cores: CoreMap, inputs: int) -> str:
    """The chip, with further cores at tile 0, 0 for the `inputs` neurons of the input, which compute for nothing."""
    price, time = energies(chip), times(chip)
    columns, rows, per_tile = _mesh(chip)
    text = [
        "architecture:",
        f"  name: {chip.name}",
        "  attributes:",
        "    topology: mesh",
        f"    width: {columns}",
        f"    height: {rows}",
        f"    link_buffer_size: {int(chip.limit('limits.buffer_messages') or BUFFER)}",
        "    sync_model: fixed",
        f"    latency_sync: {barrier(chip, cores.tiles)!r}",
        "  tile:",
    ]
    ordinary = _core(f"core[0..{per_tile - 1}]", ["      soma:", *_neurons(price, time)], price, time)
    hosts = f"host[0..{-(-inputs // LARGEST_CORE) - 1}]"
    host = _core(hosts, ["      soma:", *_inputs(min(inputs, LARGEST_CORE))], price, replace(time, message=0.0))
    text += [*_tile("corner", price, time), *ordinary, *host]
    if columns * rows > 1:
        text += [*_tile(f"tile[1..{columns * rows - 1}]", price, time), *ordinary]
    return "\n".join(text) + "\n"


def _mesh(chip: Chip) -> tuple[int, int, int]:
    """Columns, rows, and cores of a tile."""
    columns, per_tile = chip.count("structure.tile_columns"), chip.count("structure.cores_per_tile")
    return columns, -(-chip.count("structure.cores") // (per_tile * columns)), per_tile


def _tile(name: str, price: Prices, time: Prices) -> list[str]:
    text = [f"  - name: {name}", "    attributes:"]
    for direction in ("north", "east", "south", "west"):
        along = "hop_y" if direction in ("north", "south") else "hop_x"
        text += [f"      energy_{direction}_hop: {getattr(price, along)!r}"]
        text += [f"      latency_{direction}_hop: {getattr(time, along)!r}"]
    return [*text, "    core:"]


def _core(name: str, somas: list[str], price: Prices, time: Prices) -> list[str]:
    return [
        f"    - name: {name}",
        "      attributes:",
        "        buffer_position: dendrite",
        "        buffer_inside_unit: true",
        f"        max_neurons_supported: {LARGEST_CORE}",
        "      axon_in:",
        *_unit("arrivals", energy_message_in=price.arrival, latency_message_in=time.arrival),
        "      synapse:",
        *_unit(
            "synapses",
            "current_based",
            energy_process_spike=price.synaptic_operation,
            latency_process_spike=time.synaptic_operation,
        ),
        "      dendrite:",
        *_unit("sums", "accumulator_with_delay", energy_update=0.0, latency_update=0.0),
        *somas,
        "      axon_out:",
        *_unit("departures", energy_message_out=price.message, latency_message_out=time.message),
    ]


def _neurons(price: Prices, time: Prices) -> list[str]:
    """Integrate and fire at ``v >= threshold``; the model is named after another chip, the prices are this one's."""
    return _unit(
        "neurons",
        "truenorth",
        energy_access_neuron=price.access,
        latency_access_neuron=time.access,
        energy_update_neuron=price.update,
        latency_update_neuron=time.update,
        energy_spike_out=price.spike_out,
        latency_spike_out=time.spike_out,
    )


def _inputs(count: int) -> list[str]:
    costs = [f"{what}_{action}" for action in ("access_neuron", "update_neuron", "spike_out") for what in COSTS]
    return _unit(f"input[0..{count - 1}]", "input", **dict.fromkeys(costs, 0.0))


def _unit(name: str, model: str | None = None, **attributes: float) -> list[str]:
    text = [f"      - name: {name}", "        attributes:"]
    text += [f"          model: {model}"] if model else []
    return text + [f"          {key}: {value!r}" for key, value in attributes.items()]


def _input_group(population: Population, frames: Array) -> Iterator[str]:
    yield f'  - name: "{_group_name(population.name)}"'
    yield "    attributes: []"
    yield "    neurons:"
    for neuron, train in enumerate(frames.reshape(len(frames), -1).T):
        yield f"    - {neuron}: [spikes: [{', '.join(map(str, train.tolist()))}]]"


def _group(population: Population, cell: Cell) -> Iterator[str]:
    """A neuron group; neurons of one channel lie side by side."""
    yield f'  - name: "{_group_name(population.name)}"'
    watched = ", log_potential: true" if population.role is Role.READOUT else ""
    yield f"    attributes: [reset_mode: {cell.reset}{watched}]"
    yield "    neurons:"
    each = population.signal.size // population.shape[0]
    for channel, theta in enumerate(np.minimum(cell.theta, NEVER).tolist()):
        last = (channel + 1) * each - 1
        neurons = f"{channel * each}..{last}" if each > 1 else str(last)
        yield f"    - {neurons}: [threshold: {theta!r}]"


def _edges(network: Network) -> Iterator[str]:
    left = MOST_SYNAPSES
    for population in network.populations:
        for projection in population.projections:
            if projection.delay > LONGEST_DELAY:
                raise GraphError(
                    f"the skip from {projection.source!r} to {projection.target!r} waits {projection.delay} steps, but "
                    f"SANA-FE delays by {LONGEST_DELAY} at most: describe a network with shorter skips"
                )
            source, target, weight = synapses(projection, population)
            left -= len(source)
            if left < 0:
                raise GraphError(
                    f"layer {population.name!r} brings the network beyond {MOST_SYNAPSES} synapses, which SANA-FE "
                    "keeps one by one in more than a kilobyte each: describe a smaller network"
                )
            yield from _edge_lines(projection, source, target, weight)


def _edge_lines(projection: Projection, source: Ints, target: Ints, weight: Ints) -> Iterator[str]:
    if not len(source):
        return
    pairs = ", ".join(f"[{s}, {t}]" for s, t in zip(source.tolist(), target.tolist(), strict=True))
    weights = ", ".join(f"{value:.1f}" for value in weight.tolist())
    yield f'  - "{_group_name(projection.source)} -> {_group_name(projection.target)}":'
    yield "    - type: sparse"
    yield f"    - source_target_pairs: [{pairs}]"
    yield f"    - weight: [{weights}]"
    yield f"    - delay: [{', '.join([str(projection.delay)] * len(source))}]"


def synapses(projection: Projection, target: Population) -> tuple[Ints, Ints, Ints]:
    """Source neuron, target neuron (in C order) and weight of every in-bounds synapse, zero weights included."""
    size = int(np.prod(projection.view))
    if isinstance(projection.op, Linear):
        source, reached = np.indices((size, target.signal.size)).reshape(2, -1)
        return source, reached, projection.op.weight.T.reshape(-1).astype(np.int64)
    parts = [_windows(projection, first, min(first + CHUNK, size)) for first in range(0, size, CHUNK)]
    found = [np.concatenate(part).astype(np.int64) for part in zip(*parts, strict=True)]
    return found[0], found[1], found[2]


def _windows(projection: Projection, first: int, last: int) -> tuple[Array, Array, Array]:
    """The synapses of some source neurons: each sends an event by itself, and what arrives is its row of weights."""
    op, count = projection.op, last - first
    events = np.zeros((count, int(np.prod(projection.view))), dtype=np.int32)
    events[np.arange(count), np.arange(first, last)] = 1
    events = events.reshape(count, *projection.view)
    if isinstance(op, Conv2d):
        weights = replace(op, bias=None).step((events,), None)[0]
        meets = replace(op, bias=None, weight=np.ones_like(op.weight)).step((events,), None)[0]
    else:
        weights = meets = events if projection.is_identity else op.step((events,), None)[0]
    source, reached = np.nonzero(meets.reshape(count, -1))
    return source + first, reached, weights.reshape(count, -1)[source, reached]


def _input_mapping(population: Population, per_tile: int) -> Iterator[str]:
    for neuron in range(population.signal.size):
        core, unit = divmod(neuron, LARGEST_CORE)
        name = f"{_group_name(population.name)}.{neuron}"
        yield f'- "{name}": {{core: "0.{per_tile + core}", soma: "input[{unit}]", dendrite: sums}}'


def _mappings(name: str, home: Ints, addresses: Sequence[str]) -> Iterator[str]:
    """Neurons by runs that share a core."""
    first = 0
    for core, run in groupby(home.tolist()):
        last = first + len(list(run)) - 1
        neurons = f"{first}..{last}" if last > first else str(first)
        yield f'- "{_group_name(name)}.{neurons}": {{core: "{addresses[core]}"}}'
        first = last + 1


def _addresses(cores: CoreMap, chip: Chip) -> list[str]:
    """``tile.core`` of every core but the input's; SANA-FE numbers tiles column by column."""
    _, rows, _ = _mesh(chip)
    used: dict[int, int] = {}
    found = []
    for x, y in zip(cores.x[:-1].tolist(), cores.y[:-1].tolist(), strict=True):
        tile = x * rows + y
        found.append(f"{tile}.{used.get(tile, 0)}")
        used[tile] = used.get(tile, 0) + 1
    return found


def _gate(population: Population, cell: Cell, steps: int) -> Gate:
    each = population.signal.size // population.shape[0]
    biases = tuple(np.repeat(cell.bias, each).tolist()) if cell.bias.any() else ()
    return Gate(_group_name(population.name), population.depth, population.depth + steps - 1, biases)


def _group_name(name: str) -> str:
    """A name for every name: SANA-FE splits addresses at dots, brackets and arrows."""
    return "".join(letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}_" for letter in name)
