"""Sentences that a reader needs to judge the figures of a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.detailed.results import DetailedTiming
from snn2chip.hw_models.placement import Placement
from snn2chip.hw_models.quantity import UNITS, Quantity, Table
from snn2chip.hw_models.results import Latency, LayerRow, Range


def notes_on(
    chip: Chip,
    placement: Placement | None,
    layers: tuple[LayerRow, ...],
    latency: Latency,
    unary: bool,
    detailed: DetailedTiming | None = None,
) -> Iterator[str]:
    """What the figures rest on and leave out, the most general first."""
    if chip.scenario:
        yield f"Scenario: {chip.scenario}"
    yield from chip.notes
    yield from _assumed(chip)
    if unary:
        yield (
            f"{chip.name} sends no values with its spikes: the network was lowered to binary neurons. "
            "Each multi-level neuron stands for N binary neurons with a copy of all its synapses, "
            "and the input for one channel per grey level."
        )
    if placement is not None:
        yield from _placed(placement)
        yield _level(detailed)
        yield from _timed(chip, latency)
    yield from (f"No price for {action}: {reason}" for action, reason in _absent(layers).items())
    if "power.static" not in chip.numbers:
        yield "Static power is unknown for this chip and left out of the energy."


def _assumed(chip: Chip) -> Iterator[str]:
    """How many numbers nobody has published or measured, however many others were."""
    groups: dict[str, list[Quantity | Table]] = {
        "prices": [price.known for price in chip.prices.values() if price.known is not None],
        "times": [time.known for time in chip.times.values() if time.known is not None],
        "numbers on structure, clock and power": list(chip.numbers.values()),
    }
    counts = {what: (_count_assumed(numbers), len(numbers)) for what, numbers in groups.items()}
    parts = [f"{assumed} of {stated} {what}" for what, (assumed, stated) in counts.items() if assumed]
    if parts:
        yield f"{_listed(parts)} of {chip.name} are assumed."


def _count_assumed(numbers: Iterable[Quantity | Table]) -> int:
    return sum(number.kind == "assumed" for number in numbers)


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def _placed(placement: Placement) -> Iterator[str]:
    if placement.broken:
        reasons = "; ".join(
            f"layer {found.layer!r} needs {found.need} {found.limit}, and the chip has {found.have}"
            for found in placement.broken
        )
        yield (
            f"The placement breaks limits of {placement.chip.name}: {reasons}. Energies and times are for a chip that "
            "could hold the network, on which nothing was cut because of these limits."
        )
    if (beyond := placement.beyond) is not None:
        yield (
            f"The network does not fit on one chip: it takes {beyond.need} cores, and the chip has {beyond.have}, "
            f"which layer {beyond.layer!r} is the first to exceed. "
            f"Figures are for {placement.chips} chips side by side."
        )
    there = placement.chips * placement.chip.count("structure.cores")
    chips = "1 chip" if placement.chips == 1 else f"{placement.chips} chips"
    yield (
        f"The placement packs each layer into as few cores as it can: {placement.cores} of {there} cores on {chips} "
        "are in use. Other placements can be faster."
    )
    if placement.arrangement != "default":
        yield "Cores were put on tiles for few hops of the messages of these very inputs: others may cross more links."
    if placement.compared:
        yield placement.compared


def _level(detailed: DetailedTiming | None) -> str:
    if detailed is None:
        return "Latency is a lower bound: the time of hops between tiles and of messages that wait is not counted."
    above = 100.0 * (detailed.cycles / detailed.summary_cycles - 1.0)
    return (
        "Latency is that of detailed timing: every message was followed through links, buffers and cores. It is "
        f"{above:.3g} % above the lower bound of summary timing."
    )


def _timed(chip: Chip, latency: Latency) -> Iterator[str]:
    if latency.seconds is None or latency.interval_seconds is None:
        return
    static = " Static energy is charged for the lone inference." if "power.static" in chip.numbers else ""
    alone = _time(latency.seconds, latency.seconds_range)
    stream = _time(latency.interval_seconds, latency.interval_range)
    yield (
        f"An inference alone on the chip takes {_steps(latency.steps)} ({alone}); in a stream, one ends every "
        f"{_every(latency.interval_steps)} ({stream}).{static}"
    )


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _every(count: int) -> str:
    return "step" if count == 1 else f"{count} steps"


def _time(nominal: float, ends: Range | None) -> str:
    """A time, with its range where the times of the chip file have one."""
    if ends is None or ends.low == ends.high:
        return _readable(nominal)
    return f"{_readable(nominal)}, {_readable(ends.low)} to {_readable(ends.high)} by the times of the chip file"


def _readable(seconds: float) -> str:
    fits = [(unit, factor) for unit, factor in UNITS["time"].items() if seconds >= factor]
    unit, factor = fits[-1] if fits else ("s", 1.0)
    return f"{seconds / factor:.4g} {unit.replace('u', 'µ')}"


def _absent(layers: tuple[LayerRow, ...]) -> Mapping[str, str]:
    return {row.action: row.absent for layer in layers for row in layer.actions if row.absent is not None}
