"""What detailed timing says, JSON-ready through ``dataclasses.asdict``. Times are in cycles of the chip's clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CoreRow:
    """One core during a lone inference, mean over the samples; the first five times add up to its latency.

    Attributes:
        taking_in: axon in, synapse fetch and accumulation.
        starved: waiting for a message while some were still to come.
        updating, sending: visits of neurons; spikes and messages written.
        waiting: for the slowest core of each step, and at the barrier.
        contention, back_pressure: how long the next message of its outbox could not leave because the link was taken,
            and because the buffer behind it was full. The core itself goes on meanwhile.
    """

    core: int
    layer: str
    x: int
    y: int
    messages: float
    taking_in: float
    starved: float
    updating: float
    sending: float
    waiting: float
    contention: float
    back_pressure: float


@dataclass(frozen=True)
class TimelineRow:
    """What one core did in one step of the first sample's lone inference, in this order, `starved` in between.

    The step ends for all when the slowest core is done, and with the barrier.
    """

    step: int
    core: int
    taking_in: float
    starved: float
    updating: float
    sending: float


@dataclass(frozen=True)
class LinkRow:
    """A link between two tiles, per inference.

    Attributes:
        messages, busy: how many crossed it, and the cycles that this took.
        load: `busy` as a share of the interval between inferences in a stream.
        contention, back_pressure: how long the heads of the buffer at its end waited, and for what (lone inference).
    """

    x: int
    y: int
    to_x: int
    to_y: int
    messages: float
    busy: float
    load: float
    contention: float
    back_pressure: float


@dataclass(frozen=True)
class PathRow:
    """How often a layer held the slowest core of a step of a lone inference, and what its time consisted of.

    `travel`, `contention`, `back_pressure` and `behind` are the way of the message that it waited for last; from then
    on it took in, updated and sent without a pause.
    """

    layer: str
    steps: float
    travel: float
    contention: float
    back_pressure: float
    behind: float
    taking_in: float
    updating: float
    sending: float


@dataclass(frozen=True)
class DetailedTiming:
    """Detailed timing of one network, beside what `summary` timing says of the same run.

    Attributes:
        cycles, summary_cycles: latency of a lone inference, mean over the samples.
        shortest, longest: of the samples' latencies.
        interval_cycles, summary_interval_cycles: between inferences in a stream.
        step_cycles: of each step of a lone inference, barrier included, mean over the samples.
        barrier_cycles: part of `cycles` that barriers take.
        timeline: of the first sample: a row for each step and each core that had something to do in it.
        critical_path: by layer; with the barriers it adds up to `cycles`.
    """

    cycles: float
    summary_cycles: float
    shortest: float
    longest: float
    interval_cycles: float
    summary_interval_cycles: float
    barrier_cycles: float
    step_cycles: tuple[float, ...]
    critical_path: tuple[PathRow, ...]
    cores: tuple[CoreRow, ...]
    links: tuple[LinkRow, ...]
    timeline: tuple[TimelineRow, ...]
