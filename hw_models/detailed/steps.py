"""Steps of the pipeline, one after the other: what travels in each, and when every core is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snn2chip.errors import UserError
from snn2chip.hw_models.detailed.axons import Axons
from snn2chip.hw_models.detailed.kernel import TOO_LATE, Ints, run_steps
from snn2chip.hw_models.detailed.topology import Mesh

NO_ROW = -1


@dataclass(frozen=True)
class Machine:
    """A placed network with its events.

    Attributes:
        fired: uint8 ``[samples * T, columns]``.
        depth: int64 ``[cores]``: pipeline stage.
        updating, sending: int64 ``[samples * T, cores]``: picoseconds in each core's own steps.
        idle: int64 ``[cores]``: picoseconds in the steps of a lone inference that are not its own.
        barrier: picoseconds at the end of a step.
    """

    mesh: Mesh
    axons: Axons
    fired: NDArray[np.uint8]
    depth: Ints
    updating: Ints
    sending: Ints
    idle: Ints
    barrier: int


@dataclass(frozen=True)
class Trace:
    """Steps that were run: int64, picoseconds.

    Attributes:
        intake: ``[steps, cores, 7]``: see `taken`, `busy_from`, `path` and `taking_in`.
        updating, sending: ``[steps, cores]``.
        barrier: at the end of each step.
        waited: ``[queues, 2]``: how long heads of queues waited, in contention and in back-pressure, in all steps.
        used: ``[servers, 2]``: messages that each server served, and how long, in all steps.
    """

    intake: Ints
    updating: Ints
    sending: Ints
    barrier: int
    waited: Ints
    used: Ints

    @property
    def taken(self) -> Ints:
        """When each core had taken in its last message: ``[steps, cores]``; 0 without any."""
        return self.intake[:, :, 0]

    @property
    def busy_from(self) -> Ints:
        """From when on until `taken` it was not starved."""
        return self.intake[:, :, 1]

    @property
    def path(self) -> Ints:
        """``[steps, cores, 4]``: travel, contention, back-pressure and queueing that `busy_from` consists of."""
        return self.intake[:, :, 2:6]

    @property
    def taking_in(self) -> Ints:
        """Time that each core spent on messages: ``[steps, cores]``; until `taken` it was starved for the rest."""
        return self.intake[:, :, 6]

    @property
    def done(self) -> Ints:
        """When each core reaches the barrier: ``[steps, cores]``."""
        return self.taken + self.updating + self.sending

    @property
    def duration(self) -> Ints:
        """Of each step, barrier included."""
        longest: Ints = self.done.max(axis=1) + self.barrier
        return longest


def alone(machine: Machine, sample: int, steps: int) -> Trace:
    """One sample of `steps` steps through the empty pipeline."""
    count = steps + int(machine.depth.max()) - 1
    own = np.arange(count)[:, None] - (machine.depth - 1)
    active = (own >= 0) & (own < steps)
    rows = sample * steps + np.clip(own, 0, steps - 1)
    cores = np.arange(len(machine.depth))
    sent = np.arange(count)[:, None] - machine.axons.lag
    return _run(
        machine,
        np.where((sent >= 0) & (sent < steps), sample * steps + sent, NO_ROW),
        np.where(active, machine.updating[rows, cores], machine.idle),
        np.where(active, machine.sending[rows, cores], 0),
    )


def stream(machine: Machine) -> Trace:
    """All samples one behind the other, over and over: as many steps as they have in all."""
    count = len(machine.fired)
    rows = (np.arange(count)[:, None] - (machine.depth - 1)) % count
    cores = np.arange(len(machine.depth))
    sent = (np.arange(count)[:, None] - machine.axons.lag) % count
    return _run(machine, sent, machine.updating[rows, cores], machine.sending[rows, cores])


def run_all(machine: Machine) -> Trace:
    """Every row of events as a step of its own, in which all cores are at work."""
    sent = np.repeat(np.arange(len(machine.fired))[:, None], len(machine.axons.lag), axis=1)
    return _run(machine, sent, machine.updating, machine.sending)


def _run(machine: Machine, sent: Ints, updating: Ints, sending: Ints) -> Trace:
    mesh, axons = machine.mesh, machine.axons
    queues = 4 * mesh.tiles + 2 * mesh.cores + 1
    intake = np.zeros((len(sent), mesh.cores, 7), np.int64)
    waited, used = np.zeros((queues, 2), np.int64), np.zeros((queues - 1, 2), np.int64)
    check_times(mesh, axons)
    try:
        run_steps(tuple(mesh.tables), tuple(axons)[:-1], machine.fired, sent.astype(np.int64), intake, waited, used)
    except OverflowError as error:
        raise _too_long(mesh) from error
    return Trace(intake, updating, sending, machine.barrier, waited, used)


def check_times(mesh: Mesh, axons: Axons) -> None:
    """UserError for messages so long that the kernel, which looks at the time of a moment, could miss `TOO_LATE`.

    What begins there ends later: a core may have a full buffer to take in, and a link a message to move.
    """
    tables, messages = mesh.tables, min(mesh.tables.buffer, int(axons.copies.sum())) + 1
    longest = max(int(axons.work.max(initial=0)) * messages, int(tables.servers["service"].max(initial=0)))
    if longest >= TOO_LATE >> tables.bits + 2:
        raise _too_long(mesh)


def _too_long(mesh: Mesh) -> UserError:
    seconds = (TOO_LATE >> mesh.tables.bits) / 1e12
    return UserError(
        f"a step of detailed timing may last {seconds:.3g} s on this mesh, and one lasts longer: mend the units of "
        f"[times] in the chip file, or use summary timing"
    )
