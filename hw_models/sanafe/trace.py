"""What SANA-FE's neurons do in every step: which of them fire, and which of them its chip updates.

SANA-FE visits every neuron in every step, and *updates* those that an event reached, that have a bias, or whose
potential is not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import GraphError
from snn2chip.graph import Array, Node
from snn2chip.hw_models.activity import reach
from snn2chip.hw_models.sanafe.mapping import CoreMap, Ints
from snn2chip.lowering import Network, Population, Role
from snn2chip.ops import LIF, LeakyIntegrator, SpikingNeuron


@dataclass(frozen=True)
class Track:
    """One population in one run, in steps of the chip.

    Attributes:
        step, neuron: int64 ``[events]``: when which neuron (in C order) fired.
        updated: int64 ``[steps, cores]``: how many neurons each core updated.
    """

    step: Ints
    neuron: Ints
    updated: Ints


@dataclass(frozen=True)
class Cell:
    """A population as one of SANA-FE's neuron groups.

    Attributes:
        theta: float64 ``[C]``: it fires at a potential of theta or more; infinity where it never does.
        reset: what is left: ``soft`` takes theta off, ``hard`` leaves 0, ``none`` leaves all.
        bias: int64 ``[C]``, added in each of its own steps.
    """

    theta: NDArray[np.float64]
    reset: str
    bias: Ints


def cell_of(network: Network, population: Population) -> Cell:
    """Raises GraphError, naming the node, where no neuron of SANA-FE computes what it computes."""
    name, channels = population.name, population.shape[0]
    op, source = network.graph[name].op, network.graph[network.graph[name].inputs[0]].op
    if population.leaks or isinstance(source, LeakyIntegrator):
        raise GraphError(f"node {name!r} fades, but SANA-FE's integrate-and-fire neurons keep what they have")
    bias = np.zeros(channels, dtype=np.int64)
    for projection in population.projections:
        own = getattr(projection.op, "bias", None)
        bias += 0 if own is None else own
    if population.role is Role.READOUT:
        return Cell(np.full(channels, np.inf), "none", bias)
    if population.payload_bits:
        raise GraphError(
            f"node {name!r} sends values up to {population.signal.interval.max}, but SANA-FE's spikes carry none: use "
            "a chip without payload, whose unary lowering makes the network binary"
        )
    if not isinstance(op, SpikingNeuron):
        return Cell(np.ones(channels), "hard", bias)  # a relay, a maximum, or a sum that is never above 1
    return _lif(name, op, bias) if isinstance(op, LIF) else Cell(op.theta.astype(np.float64), "soft", bias)


def _lif(name: str, op: LIF, bias: Ints) -> Cell:
    if op.delayed or op.floor is not None or op.fraction_bits:
        raise GraphError(f"node {name!r} has a delayed reset, a floor or fraction bits, which SANA-FE's neurons lack")
    if op.reset == "subtract" and (op.theta != op.step_size).any():
        raise GraphError(f"node {name!r} subtracts another potential than it fires at, which SANA-FE's neurons cannot")
    resets = {"subtract": "soft", "zero": "hard", "none": "none"}
    return Cell(op.theta.astype(np.float64), resets[op.reset], bias + (0 if op.drive is None else op.drive))


@dataclass
class Recorder:
    """An observer (see `snn2chip.interpreter.Observer`) of a binary network on SANA-FE's neurons.

    Attributes:
        fired: per population, bool ``[samples, T, n]``.
        updated: per population, bool ``[samples, T, n]``.
        left: per population, bool ``[samples, n]``: potentials that are not zero after the last step.
    """

    network: Network
    samples: int
    fired: dict[str, Array] = field(default_factory=dict)
    updated: dict[str, Array] = field(default_factory=dict)
    left: dict[str, Array] = field(default_factory=dict)
    _potential: dict[str, Array] = field(default_factory=dict)
    _currents: dict[str, Array] = field(default_factory=dict)
    _masks: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = self.network.graph.steps
        for population in self.network.populations:
            size = population.signal.size
            self.fired[population.name] = np.zeros((self.samples, steps, size), dtype=bool)
            self.updated[population.name] = np.zeros((self.samples, steps, size), dtype=bool)
            self.left[population.name] = np.zeros((self.samples, size), dtype=bool)

    @cached_property
    def cells(self) -> Mapping[str, Cell]:
        """At T = 1 no reset matters, and a hard one keeps neurons from firing again in later steps of the chip."""
        cells = {population.name: cell_of(self.network, population) for population in self.network.populations[1:]}
        if self.network.graph.steps > 1:
            return cells
        return {name: replace(cell, reset="hard") for name, cell in cells.items()}

    @cached_property
    def _sources(self) -> frozenset[str]:
        """Nodes whose currents neurons add up."""
        return frozenset(self.network.graph[name].inputs[0] for name in self.cells)

    def observe(self, first_sample: int, step: int, node: Node, tensor: Array) -> None:
        if node.name in self._sources:
            self._currents[node.name] = tensor.astype(np.int64)
        if node.name not in self.network:
            return
        population, rows = self.network[node.name], slice(first_sample, first_sample + len(tensor))
        mask = (tensor != 0) & (population.role is not Role.READOUT)
        self._masks[node.name] = mask.astype(np.float32)
        self.fired[node.name][rows, step] = mask.reshape(len(tensor), -1)
        if population.role is Role.INPUT:
            self.updated[node.name][rows, step] = self.fired[node.name][rows, step]
        else:
            self._integrate(population, rows, step, mask)

    def _integrate(self, population: Population, rows: slice, step: int, fired: Array) -> None:
        name, cell = population.name, self.cells[population.name]
        shape = (-1,) + (1,) * (len(population.shape) - 1)
        before = self._potential.get(name) if step else None
        kept = np.zeros(fired.shape, dtype=np.int64) if before is None else before
        bias = cell.bias.reshape(shape)
        touched = (kept != 0) | (bias != 0)
        for projection in population.projections:
            mask = self._masks[projection.source].reshape(len(fired), *projection.view)
            touched |= reach(projection, mask) > 0
        after = self._after(population, kept, fired)
        self._potential[name] = after
        self.updated[name][rows, step] = touched.reshape(len(fired), -1)
        self.left[name][rows] = (after != 0).reshape(len(fired), -1)

    def _after(self, population: Population, kept: Array, fired: Array) -> Array:
        """Potentials after a step in which these neurons fired."""
        cell, op = self.cells[population.name], self.network.graph[population.name].op
        if population.role not in (Role.NEURON, Role.READOUT):
            return np.zeros_like(kept)
        potential = kept + self._currents[self.network.graph[population.name].inputs[0]]
        if isinstance(op, LIF) and op.drive is not None:
            potential += op.drive.reshape((-1,) + (1,) * (kept.ndim - 2))
        if cell.reset == "soft":
            theta = cell.theta.astype(np.int64).reshape((-1,) + (1,) * (kept.ndim - 2))
            return potential - fired * theta
        return np.where(fired, 0, potential) if cell.reset == "hard" else potential

    @property
    def steps(self) -> int:
        """Steps of the chip for one sample: SANA-FE's input takes a step of its own."""
        return self.network.graph.steps + self.network.depth

    def tracks(self, sample: int, cores: CoreMap) -> dict[str, Track]:
        """The tracks of one sample, alone on the chip."""
        return {population.name: self._track(population, sample, cores) for population in self.network.populations}

    def _track(self, population: Population, sample: int, cores: CoreMap) -> Track:
        name, first, steps = population.name, population.depth, self.network.graph.steps
        home = cores.home[name]
        step, neuron = np.nonzero(self.fired[name][sample])
        updated = np.zeros((self.steps, cores.cores), dtype=np.int64)
        for own in range(steps):
            updated[first + own] = np.bincount(home[self.updated[name][sample, own]], minlength=cores.cores)
        updated[first + steps :] = np.bincount(home[self.left[name][sample]], minlength=cores.cores)
        return Track(step.astype(np.int64) + first, neuron.astype(np.int64), updated)
