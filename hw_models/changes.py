"""The smallest change that would make a network keep a limit. Every proposal was worked out for the changed network.

A layer that no cut makes small enough has one row of one channel that is too much for a core. The inputs of a neuron
cannot be split over several cores, for a part of its sum is a signed current, and cores send counts. What can change:
weights of fewer bits, fewer steps, narrower spikes, convolutions in groups of channels, narrower layers, and copies of
a layer that share its readers out between them (the only one of these that keeps every logit).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models.cutting import Broken
from snn2chip.hw_models.needs import Needs, cores_reached, rows_of, width_of
from snn2chip.hw_models.placement import Placement, place
from snn2chip.lowering import Population, Projection, to_populations
from snn2chip.ops import LIF, Conv2d, MultiLevelIF

#: Limits in words, as a sentence names them.
UNITS = {
    "neurons_per_core": "neurons",
    "axons_in_per_core": "entries of the axon table in",
    "axons_out_per_core": "entries of the axon table out",
    "synapse_bits_per_core": "bits of synaptic memory",
    "state_bits_per_core": "bits of state",
    "delay_bits_per_core": "bits of delay buffers",
    "memory_bits_per_core": "bits of memory",
}


def smallest_change(placement: Placement, found: Broken, graph: Graph) -> str:
    """What would make the network keep the limit, as part of a sentence; `graph` is the network before any lowering."""
    if found.limit == "cores":
        return _more_cores(placement)
    needs = Needs(placement.network, placement.network[found.layer], placement.chip, placement.regions)
    for change in _CHANGES[found.limit]:
        if text := change(needs, found, graph):
            return text
    return f"choose a chip with at least {found.need} {UNITS[found.limit]} a core"


def _more_cores(placement: Placement) -> str:
    """Several chips, or weights of so few bits that one chip is enough."""
    several = f"use {placement.chips} chips"
    stored = max(each.weight_bits for layer in placement.network.populations for each in layer.projections)
    # Weights of 2 bits save at most this factor, for what fits then fits today once cut into as many parts.
    hopeless = placement.cores > placement.cores_per_chip * math.ceil(stored / 2)
    for bits in () if hopeless else range(stored - 1, 1, -1):
        cores = place(placement.network, placement.chip, bits).cores
        if cores <= placement.cores_per_chip:
            return f"{several}, or weights of {bits} instead of {stored} bits, which take {cores} cores"
    return f"{several}, or a network with narrower layers: fewer weight bits alone are not enough"


def _finest(needs: Needs, limit: str) -> int:
    """What the one row of one channel takes that needs most."""
    shape = needs.population.shape
    every = [[range(index, index + 1) for index in range(count)] for count in (shape[0], rows_of(shape))]
    return needs.worst(limit, *every)


def _narrower_map(needs: Needs, found: Broken, _: Graph) -> str | None:
    shape = needs.population.shape
    columns = found.have * shape[2] // found.need if len(shape) == 3 else 0
    return f"make its maps at most {columns} columns wide (they have {shape[2]})" if columns else None


def _fewer_weight_bits(needs: Needs, found: Broken, _: Graph) -> str | None:
    stored = max(projection.weight_bits for projection in needs.population.projections)
    for bits in range(stored - 1, 1, -1):
        if _finest(replace(needs, weight_bits=bits, _counted={}), found.limit) <= found.have:
            return f"weights of {bits} instead of {stored} bits would fit"
    return None


def _fewer_steps(needs: Needs, found: Broken, _: Graph) -> str | None:
    """State has to hold what may pile up over the steps of a sample."""
    graph = needs.network.graph
    for steps in range(graph.steps - 1, 0, -1):
        if _finest(_of(needs, Graph(graph.nodes, steps)), found.limit) <= found.have:
            return f"T = {steps} instead of {graph.steps} steps would fit"
    return None


def _narrower_spikes(needs: Needs, found: Broken, _: Graph) -> str | None:
    graph = needs.network.graph
    most = max((node.op.levels for node in graph.nodes if isinstance(node.op, (LIF, MultiLevelIF))), default=1)
    for bits in range(most.bit_length() - 1, 0, -1):
        levels = 2**bits - 1
        if _finest(_of(needs, with_levels(graph, levels)), found.limit) <= found.have:
            return f"neurons of at most N = {levels} levels (now {most}) would fit"
    return None


def with_levels(graph: Graph, levels: int) -> Graph:
    """The graph with no neuron of more than `levels` levels."""
    return Graph(tuple(_with_levels(node, levels) for node in graph.nodes), graph.steps)


def _with_levels(node: Node, levels: int) -> Node:
    if not isinstance(node.op, (LIF, MultiLevelIF)) or node.op.levels <= levels:
        return node
    return replace(node, op=replace(node.op, levels=levels))


def _of(needs: Needs, graph: Graph) -> Needs:
    """The needs of the same layer in another network."""
    network = to_populations(graph)
    return Needs(network, network[needs.population.name], needs.chip, needs.targets)


def _groups_of_channels(needs: Needs, found: Broken, graph: Graph) -> str | None:
    """A convolution whose channels are split into groups that do not see one another, as its only weighted input."""
    convolutions = [each for each in needs.population.projections if isinstance(each.op, Conv2d)]
    if len(convolutions) != 1:
        return None
    (only,) = convolutions
    written = graph[only.node].op if only.node in graph else None
    for groups, grouped in _grouped(only):
        if (
            not isinstance(written, Conv2d)
            or written.outputs % groups
            or written.weight.shape[1] * written.groups % groups
        ):
            continue  # where binary neurons stand for levels, their channels are more than those of the network
        projections = tuple(grouped if each is only else each for each in needs.population.projections)
        population: Population = replace(needs.population, projections=projections)
        if (need := _finest(Needs(needs.network, population, needs.chip, needs.targets), found.limit)) <= found.have:
            return f"split {only.node!r} into {groups} groups of channels, so that it needs {need}"
    return None


def _grouped(projection: Projection) -> Iterator[tuple[int, Projection]]:
    op = projection.op
    assert isinstance(op, Conv2d)
    inputs = op.weight.shape[1] * op.groups
    least, most = int(op.weight.min()), int(op.weight.max())
    for groups in range(op.groups + 1, min(inputs, op.outputs) + 1):
        if inputs % groups == 0 and op.outputs % groups == 0 and groups % op.groups == 0:
            shape = (op.outputs, inputs // groups, *op.kernel)
            weight = np.broadcast_to(op.weight.dtype.type(most if most >= -least else least), shape)  # as wide as now
            yield groups, replace(projection, op=replace(op, weight=frozen(weight, op.weight.dtype), groups=groups))


def _fewer_channels(needs: Needs, found: Broken, graph: Graph) -> str | None:
    """Synapses and sources grow in proportion to the channels of what the layer reads."""
    weighted = found.limit == "synapse_bits_per_core"
    projections = [each for each in needs.population.projections if each.is_weighted or not weighted]
    if len(projections) != 1 or projections[0].is_identity:
        return None
    source = needs.network[projections[0].source]
    written = graph.signals[source.name].shape[0] if source.name in graph else source.shape[0]
    keep = found.have * written // found.need  # where binary neurons stand for levels, the network's channels are fewer
    what = "channels" if len(source.shape) == 3 else "neurons"
    return f"let {source.name!r}, which it reads, have at most {keep} {what} ({written} now)" if keep else None


def _copies(needs: Needs, found: Broken, _: Graph) -> str | None:
    """The layer made several times, each copy read by some of its readers: the logits stay."""
    shares: list[list[Projection]] = []
    for reader in needs.network.outgoing[needs.population.name]:
        share = next((each for each in shares if _reached(needs, [*each, reader]) <= found.have), None)
        if share is None:
            shares.append([reader])
        else:
            share.append(reader)
    if any(_reached(needs, share) > found.have for share in shares):
        return None
    readers = "; ".join(", ".join(repr(each.target) for each in share) for share in shares)
    return f"make it {len(shares)} times, read by {readers} (the logits stay)"


def _reached(needs: Needs, readers: list[Projection]) -> int:
    """Entries that one row of one channel takes which only these projections read."""
    shape = needs.population.shape
    copies = sum((cores_reached(reader, needs.targets[reader.target]) for reader in readers), np.zeros(shape, np.int64))
    return int(copies.reshape(shape[0], rows_of(shape), -1).sum(axis=2).max())


def _fewer_readers(needs: Needs, found: Broken, _: Graph) -> str | None:
    width = width_of(needs.population.shape)
    keep = found.have // width
    if not keep:
        return None
    reached = -(-found.need // width)
    return f"narrow the layers that read it until they take at most {keep} cores (a neuron reaches {reached} now)"


def _shorter_skip(needs: Needs, found: Broken, _: Graph) -> str | None:
    """The most steps that its skips may wait; those that wait less stay as they are."""
    delays = [projection.delay for projection in needs.population.projections if projection.delay]
    for keep in range(max(delays) - 1, 0, -1):
        shorter = tuple(replace(each, delay=min(each.delay, keep)) for each in needs.population.projections)
        population: Population = replace(needs.population, projections=shorter)
        if _finest(Needs(needs.network, population, needs.chip, needs.targets), found.limit) <= found.have:
            skips = "its skip" if len(delays) == 1 else "its skips"
            return f"let {skips} wait at most {keep} step{'s' * (keep > 1)} instead of {max(delays)}"
    return None


#: Per limit, what may help, the smallest change first.
_CHANGES: dict[str, tuple[Callable[[Needs, Broken, Graph], str | None], ...]] = {
    "neurons_per_core": (_narrower_map,),
    "state_bits_per_core": (_fewer_steps, _narrower_spikes, _narrower_map),
    "axons_in_per_core": (_groups_of_channels, _fewer_channels),
    "axons_out_per_core": (_copies, _fewer_readers),
    "synapse_bits_per_core": (_fewer_weight_bits, _groups_of_channels, _fewer_channels),
    "delay_bits_per_core": (_shorter_skip, _narrower_spikes),
    "memory_bits_per_core": (_fewer_weight_bits, _fewer_steps, _narrower_spikes, _groups_of_channels),
}
