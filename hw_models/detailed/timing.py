"""Detailed timing of a network that has run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snn2chip.errors import UserError
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.detailed.axons import arms_of, axons_of, slots_of
from snn2chip.hw_models.detailed.events import Events
from snn2chip.hw_models.detailed.kernel import Ints
from snn2chip.hw_models.detailed.results import CoreRow, DetailedTiming, LinkRow, PathRow, TimelineRow
from snn2chip.hw_models.detailed.steps import Machine, Trace, alone, stream
from snn2chip.hw_models.detailed.topology import STEPS, mesh_of, picoseconds
from snn2chip.hw_models.detailed.visits import Visits
from snn2chip.hw_models.neurocore import Neurocores
from snn2chip.hw_models.results import Latency

#: Seconds. A neuron's update or a synapse's operation of 2**40 picoseconds leaves room for 2**23 of them in a core.
LONGEST = 1


@dataclass(frozen=True)
class Timed:
    """The steps of every sample alone, and those of all of them in a stream."""

    cores: Neurocores
    machine: Machine
    alone: tuple[Trace, ...]
    stream: Trace


def machine_of(cores: Neurocores, events: Events) -> Machine:
    """The placed network and what happened on it. Raises UserError naming a key that the chip file lacks."""
    _check_times(cores.chip)
    slots, arms, visits = slots_of(cores.placement), arms_of(cores), Visits(cores, events)
    x, y = (np.array([getattr(slot, axis) for slot in slots], np.int64) for axis in "xy")
    return Machine(
        mesh=mesh_of(cores.chip, x, y),
        axons=axons_of(cores, arms, events.offsets),
        fired=events.fired,
        depth=np.array([cores.network[slot.population].depth for slot in slots], np.int64),
        updating=np.stack([visits.updating(slot) for slot in slots], axis=1),
        sending=np.stack([visits.sending(slot, arms.get(slot.population, ())) for slot in slots], axis=1),
        idle=np.array([visits.idle(slot) for slot in slots], np.int64),
        barrier=picoseconds(cores.barrier_cycles() / cores.frequency),
    )


def _check_times(chip: Chip) -> None:
    """UserError for a time so long that sums of picoseconds could exceed 63 bits."""
    for action, price in chip.times.items():
        if price.quantity is not None and price.quantity.value > LONGEST:
            raise UserError(
                f"chip file {chip.path}: [times] {action} is {price.quantity.value:g} s, but detailed timing follows "
                f"actions of at most {LONGEST} s: mend its unit, or use summary timing"
            )


def time(cores: Neurocores, events: Events) -> Timed:
    """Every message of every step. Raises UserError naming a key that detailed timing needs and the chip file lacks."""
    machine, steps = machine_of(cores, events), cores.steps
    lone = tuple(alone(machine, sample, steps) for sample in range(events.samples))
    return Timed(cores, machine, lone, stream(machine))


def report(timed: Timed, summary: Latency) -> DetailedTiming:
    """The figures, beside those of `summary` timing for the same run."""
    assert summary.cycles is not None
    assert summary.interval_cycles is not None
    samples = len(timed.alone)
    cycle = 1e12 / timed.cores.frequency
    durations = np.stack([trace.duration for trace in timed.alone]) / cycle
    interval = float(timed.stream.duration.sum()) / samples / cycle
    totals = durations.sum(axis=1)
    return DetailedTiming(
        cycles=float(totals.mean()),
        summary_cycles=summary.cycles,
        shortest=float(totals.min()),
        longest=float(totals.max()),
        interval_cycles=interval,
        summary_interval_cycles=summary.interval_cycles,
        barrier_cycles=timed.cores.latency_steps * timed.machine.barrier / cycle,
        step_cycles=tuple(map(float, durations.mean(axis=0))),
        critical_path=tuple(_critical(timed, cycle * samples)),
        cores=tuple(_cores(timed, cycle * samples)),
        links=tuple(_links(timed, cycle * samples, interval)),
        timeline=tuple(_timeline(timed.alone[0], cycle)),
    )


def _critical(timed: Timed, cycle: float) -> Iterator[PathRow]:
    layers = [slot.population for slot in slots_of(timed.cores.placement)]
    sums: dict[str, Ints] = {}
    for trace in timed.alone:
        last = trace.done.argmax(axis=1)
        steps = np.arange(len(last))
        intake = (trace.taken - trace.busy_from)[steps, last]
        parts = [intake, trace.updating[steps, last], trace.sending[steps, last]]
        found = np.concatenate([trace.path[steps, last], np.stack(parts, axis=1)], axis=1)
        for core, row in zip(last, found, strict=True):
            sums.setdefault(layers[core], np.zeros(8, np.int64))[:] += [1, *row]
    for layer in dict.fromkeys(layers):
        if layer in sums:
            count, *times = map(float, sums[layer])
            yield PathRow(layer, count / len(timed.alone), *(part / cycle for part in times))


def _cores(timed: Timed, cycle: float) -> Iterator[CoreRow]:
    takers, samples = timed.machine.mesh.takers, len(timed.alone)
    taken, updating, sending = (
        np.sum([getattr(trace, name).sum(axis=0) for trace in timed.alone], axis=0, dtype=np.int64)
        for name in ("taken", "updating", "sending")
    )
    used, waited = (
        np.sum([getattr(trace, name)[takers] for trace in timed.alone], axis=0) for name in ("used", "waited")
    )
    messages, busy = used.T
    waiting = sum(int(trace.duration.sum()) for trace in timed.alone) - taken - updating - sending
    times = np.stack([busy, taken - busy, updating, sending, waiting, *waited.T], axis=1) / cycle
    for slot in slots_of(timed.cores.placement):
        count = float(messages[slot.index]) / samples
        yield CoreRow(slot.index, slot.population, slot.x, slot.y, count, *map(float, times[slot.index]))


def _timeline(trace: Trace, cycle: float) -> Iterator[TimelineRow]:
    starved = trace.taken - trace.taking_in
    times = np.stack([trace.taking_in, starved, trace.updating, trace.sending], axis=2)
    for step, core in np.argwhere(times.any(axis=2)).tolist():
        yield TimelineRow(step, core, *map(float, times[step, core] / cycle))


def _links(timed: Timed, cycle: float, interval: float) -> Iterator[LinkRow]:
    mesh, samples = timed.machine.mesh, len(timed.alone)
    used = np.sum([trace.used for trace in timed.alone], axis=0)
    waited = np.sum([trace.waited for trace in timed.alone], axis=0) / cycle
    for link in map(int, np.flatnonzero(used[: 4 * mesh.tiles, 0])):
        x, y, (right, down) = (link // 4) % mesh.width, link // 4 // mesh.width, STEPS[link % 4]
        busy = float(used[link, 1]) / cycle
        yield LinkRow(
            x,
            y,
            x + right,
            y + down,
            float(used[link, 0]) / samples,
            busy,
            busy / interval,
            *map(float, waited[link]),
        )
