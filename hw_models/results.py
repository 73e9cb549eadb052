"""What a hardware model says about one network on one chip. The schema is documented in ``docs/report-schema.md``.

All counts are means per inference, over the samples; energies are in joules, times in seconds, and nothing is rounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any

from snn2chip.hw_models.detailed.results import DetailedTiming

#: Name and version of the JSON document that `NetworkReport.to_json` writes.
SCHEMA = "snn2chip-network-report-1"


@dataclass(frozen=True)
class Range:
    """A quantity with its uncertainty: low, nominal, high."""

    low: float
    nominal: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.nominal + other.nominal, self.high + other.high)

    def __sub__(self, other: Range) -> Range:
        return Range(self.low - other.low, self.nominal - other.nominal, self.high - other.high)

    def times(self, factor: float) -> Range:
        """The range scaled by a factor that is at least 0."""
        return Range(self.low * factor, self.nominal * factor, self.high * factor)

    def by(self, other: Range) -> Range:
        """The product, end by end, with a range of what is at least 0 as this one is."""
        return Range(self.low * other.low, self.nominal * other.nominal, self.high * other.high)


def exact(value: float) -> Range:
    """A quantity that is known."""
    return Range(value, value, value)


NOTHING = exact(0.0)


def total(ranges: Iterable[Range]) -> Range:
    """The sum, bound by bound: prices on one chip err together."""
    return reduce(Range.__add__, ranges, NOTHING)


@dataclass(frozen=True)
class ActionRow:
    """How often one action was performed, and its dynamic energy.

    Attributes:
        action: such as ``synaptic_operation``; docs/hardware-models.md lists them.
        count: times per inference.
        energy: joules per inference; zero where `included_in` or `absent` says why.
        included_in: the action whose price covers this one.
        absent: why the chip file gives no price.
        growing: the part of `energy` that grows with the events of the network's layers (the input's are not among
            them); None where the model does not tell it apart.
    """

    action: str
    count: float
    energy: Range
    included_in: str | None = None
    absent: str | None = None
    growing: Range | None = None


@dataclass(frozen=True)
class MemoryRow:
    """Accesses to one memory, in words of its width.

    `energy`: joules of these accesses; None where the chip file prices them within other actions, or not at all.
    `growing`: as in `ActionRow`; None where `energy` is.
    """

    memory: str
    word_bits: int
    reads: float
    writes: float
    energy: Range | None
    growing: Range | None = None


@dataclass(frozen=True)
class LayerRow:
    """One population of neurons with everything that reaches it and everything it sends.

    Attributes:
        name: the node that the population comes from.
        operation: such as ``Conv2d + MultiLevelIF``.
        neurons: how many.
        cores: how many cores hold them (None where the model has no cores).
        depth: pipeline stage, 1 for what reads the input.
        weights: stored synaptic weights.
        events_in, events_out: non-zero values that arrive and leave (an event that feeds two layers arrives in both).
        spikes_out: sum of the values that leave: an event of value 3 counts 3.
        activity: events_out per neuron and step.
        synaptic_operations: one non-zero event reaching one in-bounds target, zero weights included.
        effective_operations: the same without zero weights.
        unary_operations: synaptic operations weighted with the value, for graded targets: an event of value k counted
            k times. The unary lowering performs more: there every target exists N times.
        neuron_updates: visits, idle ones included.
        payload_bits: bits of value that leave on messages, apart from the messages themselves.
        messages, hops: messages sent (one an event and destination core), and mesh hops (None without a mesh).
        cycles: sum over the steps of the slowest core of this layer (None where the model has no time).
        energy: dynamic joules.
    """

    name: str
    operation: str
    neurons: int
    cores: int | None
    depth: int
    weights: int
    events_in: float
    events_out: float
    spikes_out: float
    activity: float
    synaptic_operations: float
    effective_operations: float
    unary_operations: float
    neuron_updates: float
    payload_bits: float
    messages: float | None
    hops: float | None
    cycles: float | None
    energy: Range
    actions: tuple[ActionRow, ...]
    memories: tuple[MemoryRow, ...]


@dataclass(frozen=True)
class CoreTable:
    """What each core in use did: columns with an entry per core, in the order of the ``map`` of the placement.

    What an arrival causes counts at the core that takes it in, a message with its hops at the core that sends it. With
    what the input sends (the first layer), energies and counts add up to the totals.

    Attributes:
        synaptic_operations, neuron_updates: as in `LayerRow`.
        messages_in, messages_out: taken in and sent.
        cycles: per core, of each of its own T steps: the mean over the samples, without the barrier.
        energy: dynamic joules.
    """

    synaptic_operations: tuple[float, ...]
    neuron_updates: tuple[float, ...]
    messages_in: tuple[float, ...]
    messages_out: tuple[float, ...]
    cycles: tuple[tuple[float, ...], ...]
    energy: tuple[Range, ...]


@dataclass(frozen=True)
class Latency:
    """Time of one inference, alone on the chip, and the interval between inferences in a stream.

    `steps` is T + depth - 1. Cycles and seconds are None where the model has no time. The ranges are those of the two
    figures in seconds with all times of the chip file low, nominal and high.
    """

    steps: int
    cycles: float | None
    seconds: float | None
    interval_steps: int
    interval_cycles: float | None
    interval_seconds: float | None
    seconds_range: Range | None = None
    interval_range: Range | None = None


def with_ranges(nominal: Latency, bounds: Iterable[Latency]) -> Latency:
    """The `nominal` latency with the ranges that it and `bounds` (at low and at high times) span."""
    every = (nominal, *bounds)
    seconds = [each.seconds for each in every if each.seconds is not None]
    interval = [each.interval_seconds for each in every if each.interval_seconds is not None]
    return replace(
        nominal,
        seconds_range=Range(min(seconds), seconds[0], max(seconds)),
        interval_range=Range(min(interval), interval[0], max(interval)),
    )


@dataclass(frozen=True)
class Energy:
    """Joules of one inference, alone on the chip.

    `static` is `static_power` (watts) over the latency; both are None where the chip file gives no static power, and
    `total` is then the dynamic part only.
    """

    dynamic: Range
    static: Range | None
    total: Range
    static_power: Range | None


@dataclass(frozen=True)
class SourcedPrice:
    """One number of the chip file that this report rests on.

    `value` is as written; `range` in SI units (information in bits), None for a table and for what is no number.
    """

    name: str
    value: str
    kind: str
    source: str
    range: Range | None = None


@dataclass(frozen=True)
class ChipSummary:
    """Which chip file priced this report. `digest` is the sha256 of its contents, parents included."""

    name: str
    title: str
    model: str
    scenario: str | None
    digest: str
    numbers: tuple[SourcedPrice, ...]


@dataclass(frozen=True)
class NetworkReport:
    """One network on one chip.

    Attributes:
        label: the caller's name for the network, such as ``sparse N=4 T=1``.
        form: ``graded`` (as trained) or ``unary`` (lowered to binary neurons, because the chip carries no payload).
        accuracy: share of samples whose largest logit is the label's; None without labels.
        layers: in graph order; the input is the first, with what it sends and nothing that it computes.
        totals: sums over the layers.
        placement: what `fit` says (None where the model has no cores).
        cores: what each core did (None where the model has no cores).
        notes: sentences that a reader needs to judge the figures.
        detailed: what detailed timing found (None where it was not asked for); `latency` then holds its figures.
    """

    label: str
    graph_digest: str
    chip: ChipSummary
    form: str
    steps: int
    levels: int
    samples: int
    accuracy: float | None
    latency: Latency
    energy: Energy
    layers: tuple[LayerRow, ...]
    totals: LayerRow
    placement: dict[str, Any] | None
    cores: CoreTable | None
    notes: tuple[str, ...]
    detailed: DetailedTiming | None = None

    def to_document(self) -> dict[str, Any]:
        """A JSON-ready document, keys in the order of the fields."""
        return {"schema": SCHEMA, **asdict(self)}

    def to_json(self) -> str:
        """The document as text: the same report gives the same bytes."""
        return json.dumps(self.to_document(), indent=2, allow_nan=False) + "\n"
