"""What stands behind one network of a report: where it comes from, what it has to store, its chip's sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snn2chip.graph import Graph
from snn2chip.lowering import Network, Population, Role, to_populations
from snn2chip.ops import LIF, Conv2d, Linear

#: Width of a stored bias and of a stored threshold: both are int32 in the integer graph.
CONSTANT_BITS = 32


@dataclass(frozen=True)
class Footprint:
    """Bits that the network as trained has to keep, whatever the chip.

    Attributes:
        weights: every stored weight once, each layer in the narrowest signed width that holds its weights.
        constants: int32 biases and thresholds, one per channel that has one; biases that several layers of neurons
            receive from the same nodes once.
        state: what neurons and readout keep from step to step, as wide as proven; 0 at T = 1.
    """

    weights: int
    constants: int
    state: int

    @property
    def total(self) -> int:
        return self.weights + self.constants + self.state


@dataclass(frozen=True)
class Source:
    """A source that a chip file names, by its key there."""

    key: str
    text: str


@dataclass(frozen=True)
class About:
    """Facts about one network of a report.

    Attributes:
        origin: ``trained`` (a checkpoint of its own), ``derived`` (another network's, executed otherwise) or
            ``unknown`` (the artifact records no training).
        history: how it was trained, or what it was derived from; empty where that is unknown.
        footprint: what it has to store.
        sources: of the chip file that priced it.
    """

    origin: str
    history: str
    footprint: Footprint
    sources: tuple[Source, ...]


def about(graph: Graph, training: Mapping[str, Any], sources: Mapping[str, str], derived: str = "") -> About:
    """The facts about `graph`, trained as `training` records; `derived` says from what, where it is not its own."""
    origin = "derived" if derived else "trained" if training.get("epochs") else "unknown"
    listed = tuple(Source(key, text) for key, text in sorted(sources.items()))
    return About(origin, derived or _history(training), footprint(graph), listed)


def footprint(graph: Graph) -> Footprint:
    """What the integer graph has to store."""
    network = to_populations(graph)
    populations = network.populations
    layers = {item.node: item for each in populations for item in each.projections}  # one may feed several populations
    return Footprint(
        weights=sum(item.weights * item.weight_bits for item in layers.values()),
        constants=CONSTANT_BITS * (_biases(network) + sum(map(_thresholds, populations))),
        state=sum(map(_state, populations)) if graph.steps > 1 else 0,
    )


def _thresholds(population: Population) -> int:
    return population.shape[0] if population.role is Role.NEURON else 0


def _biases(network: Network) -> int:
    """Those that meet at one population are one sum; populations that get theirs from the same nodes share it."""
    shared = {_givers(network, each): int(each.biased.sum()) for each in network.populations}
    return sum(shared.values())


def _givers(network: Network, population: Population) -> frozenset[str]:
    """The nodes whose biases and drives a population receives."""
    op = network.graph[population.name].op
    own = {population.name} if isinstance(op, LIF) and op.drive is not None else set()
    return frozenset(own).union(
        each.node
        for each in population.projections
        if isinstance(each.op, (Conv2d, Linear)) and each.op.bias is not None
    )


def _state(population: Population) -> int:
    """Adders, comparers and relays begin every step anew."""
    return population.neurons * population.stored_bits if population.role in (Role.NEURON, Role.READOUT) else 0


def _history(training: Mapping[str, Any]) -> str:
    said = [
        f"{training['epochs']} epochs" if training.get("epochs") else "",
        f"of {training['dataset']}" if training.get("dataset") else "",
        f"from seed {training['seed']}" if training.get("seed") is not None else "",
    ]
    return " ".join(part for part in said if part)
