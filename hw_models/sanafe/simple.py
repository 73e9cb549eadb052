"""SANA-FE's counts, energies and ``simple`` time of a run, from our prices and times.

Its ``simple`` model says: a step lasts as long as the slowest core, which computes neurons and sends while it takes in
messages, whichever takes longer; then comes the barrier. A message is taken in during the step in which it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.compiled import entry
from snn2chip.hw_models.sanafe.mapping import CoreMap, Ints, between, synapses_to_cores
from snn2chip.hw_models.sanafe.prices import barrier, energies, times
from snn2chip.hw_models.sanafe.trace import Track
from snn2chip.lowering import Population, Role


@dataclass(frozen=True)
class Simple:
    """One run. Energies in joules, time in seconds; `updated` and `fired` include the input's neurons."""

    fired: int
    updated: int
    synaptic_events: int
    packets: int
    synapse: float
    dendrite: float
    soma: float
    network: float
    seconds: float


class Axons(NamedTuple):
    """Where the events of one population go.

    Attributes:
        first: int64 ``[n + 1]``: neuron i sends to ``core[first[i] : first[i + 1]]``, one message each.
        core, synapses: int64: destination cores, and the synapses that a message meets there.
        hops: int64 ``[n, 2]``: links along x and y that the messages of an event cross.
    """

    first: Ints
    core: Ints
    synapses: Ints
    hops: Ints


class Loads(NamedTuple):
    """What the cores do: int64 ``[steps, cores]``, and the hops along x and y, int64 ``[2]``."""

    visited: Ints
    updated: Ints
    fired: Ints
    sent: Ints
    received: Ints
    operations: Ints
    hops: Ints


def axons_of(populations: Sequence[Population], cores: CoreMap) -> dict[str, Axons]:
    """The axons of all populations. Synapses of several projections on one core share a message."""
    sums = {found.name: np.zeros((found.signal.size, cores.cores), dtype=np.int64) for found in populations}
    for target, projection in between(populations):
        sums[projection.source] += synapses_to_cores(projection, target, cores.home[target.name], cores.cores)
    return {name: _axons(found, cores.home[name], cores) for name, found in sums.items()}


def _axons(synapses: Ints, home: Ints, cores: CoreMap) -> Axons:
    neuron, core = np.nonzero(synapses)
    first = np.searchsorted(neuron, np.arange(len(synapses) + 1)).astype(np.int64)
    hops = [
        np.bincount(neuron, np.abs(place[core] - place[home[neuron]]), len(synapses)).astype(np.int64)
        for place in (cores.x, cores.y)
    ]
    return Axons(first, core.astype(np.int64), synapses[neuron, core], np.stack(hops, axis=1))


def loads_of(
    populations: Sequence[Population], cores: CoreMap, axons: Mapping[str, Axons], tracks: Mapping[str, Track]
) -> Loads:
    """What the tracks make the cores do. The input's core is the host's: it computes and sends for nothing."""
    steps = len(next(iter(tracks.values())).updated)
    visited, updated, fired, sent, received, operations = np.zeros((6, steps, cores.cores), dtype=np.int64)
    loads = Loads(visited, updated, fired, sent, received, operations, np.zeros(2, dtype=np.int64))
    for population in populations:
        track, home, axon = tracks[population.name], cores.home[population.name], axons[population.name]
        _send(track.step, track.neuron, axon.first, axon.core, axon.synapses, loads.received, loads.operations)
        loads.hops[...] += np.bincount(track.neuron, minlength=len(home)) @ axon.hops
        if population.role is Role.INPUT:
            continue
        loads.visited[...] += np.bincount(home, minlength=cores.cores)
        loads.updated[...] += track.updated
        _fire(track.step, track.neuron, home, axon.first, loads.fired, loads.sent)
    return loads


@entry
def _send(step: Ints, neuron: Ints, first: Ints, core: Ints, synapses: Ints, received: Ints, operations: Ints) -> None:
    """Every message that the events become, at the core that it goes to."""
    for event in range(len(step)):
        t, i = step[event], neuron[event]
        for arm in range(first[i], first[i + 1]):
            received[t, core[arm]] += 1
            operations[t, core[arm]] += synapses[arm]


@entry
def _fire(step: Ints, neuron: Ints, home: Ints, first: Ints, fired: Ints, sent: Ints) -> None:
    """Every event, and the messages that it becomes, at the core that sends them."""
    for event in range(len(step)):
        t, i = step[event], neuron[event]
        fired[t, home[i]] += 1
        sent[t, home[i]] += first[i + 1] - first[i]


def simple(loads: Loads, inputs: int, tiles: int, chip: Chip) -> Simple:
    """The totals of a run.

    Args: inputs, events of the input's neurons, which SANA-FE counts as fired and updated; tiles, how many are in use.
    Raises: UserError where the chip prices what SANA-FE has no place for.
    """
    price, time = energies(chip), times(chip)
    visited, updated, fired, operations = (
        int(found.sum()) for found in (loads.visited, loads.updated, loads.fired, loads.operations)
    )
    packets = int(loads.received.sum())
    computing = loads.visited * time.access + loads.updated * time.update + loads.fired * time.spike_out
    sending = computing + loads.sent * time.message
    receiving = loads.received * time.arrival + loads.operations * time.synaptic_operation
    slowest = np.maximum(sending.max(axis=1), receiving.max(axis=1))
    hops = float(loads.hops[0]) * price.hop_x + float(loads.hops[1]) * price.hop_y
    return Simple(
        fired=fired + inputs,
        updated=updated + inputs,
        synaptic_events=operations,
        packets=packets,
        synapse=operations * price.synaptic_operation,
        dendrite=0.0,
        soma=visited * price.access + updated * price.update + fired * price.spike_out,
        network=packets * (price.message + price.arrival) + hops,
        seconds=float(slowest.sum()) + len(slowest) * barrier(chip, tiles),
    )
