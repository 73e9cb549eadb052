"""Tables of detailed timing: what the latency consisted of, and the cores and links that were busiest."""

from __future__ import annotations

from snn2chip.hw_models.detailed.results import CoreRow, DetailedTiming
from snn2chip.hw_models.results import NetworkReport
from snn2chip.report.tables import Row, Sheet
from snn2chip.report.units import count, percent

#: Cores and links beyond these are less busy; the JSON has all of them.
_SHOWN = 8


def detailed(network: NetworkReport) -> tuple[Sheet, ...]:
    """The tables; none where the network was not timed in detail."""
    timing = network.detailed
    if timing is None:
        return ()
    return _critical_path(network.label, timing), _cores(network.label, timing), _links(network.label, timing)


def _critical_path(label: str, timing: DetailedTiming) -> Sheet:
    rows = tuple(
        (
            row.layer,
            f"{row.steps:.3g}",
            *map(count, (row.travel, row.contention, row.back_pressure, row.behind)),
            *map(count, (row.taking_in, row.updating, row.sending)),
        )
        for row in timing.critical_path
    )
    headings = ("steps", "travel", "contention", "back pressure", "behind", "taking in", "updating", "sending")
    footnote = (
        "Cycles of one inference by the layer that held the slowest core of a step: the way of the message that it "
        "waited for last (behind: queued behind others), then its own work. With "
        f"{count(timing.barrier_cycles)} cycles of barriers they add up to {count(timing.cycles)}, which is "
        f"{count(timing.cycles - timing.summary_cycles)} more than summary timing says (samples: "
        f"{count(timing.shortest)} to {count(timing.longest)})."
    )
    return Sheet(f"Critical path of {label}", ("layer",), headings, rows, footnote=footnote)


def _cores(label: str, timing: DetailedTiming) -> Sheet:
    busiest = sorted(timing.cores, key=lambda row: (-_work(row), row.core))[:_SHOWN]
    rows = tuple(
        (
            str(row.core),
            row.layer,
            f"{row.x},{row.y}",
            *map(count, (row.messages, row.taking_in, row.starved, row.updating, row.sending, row.waiting)),
            *map(count, (row.contention, row.back_pressure)),
        )
        for row in busiest
    )
    headings = ("messages", "taking in", "starved", "updating", "sending", "waiting", "contention", "back pressure")
    return Sheet(f"Busiest cores of {label}", ("core", "layer", "tile"), headings, rows, footnote=_CORES)


_CORES = (
    "Cycles of one inference. Starved: no message had come yet. Waiting: for the slowest core and at the barrier. "
    "Contention and back pressure: how long its next message could not leave, while the core went on."
)


def _work(row: CoreRow) -> float:
    return row.taking_in + row.updating + row.sending


def _links(label: str, timing: DetailedTiming) -> Sheet:
    busiest = sorted(timing.links, key=lambda row: (-row.busy, row.y, row.x, row.to_y, row.to_x))[:_SHOWN]
    rows: tuple[Row, ...] = tuple(
        (
            f"{row.x},{row.y} to {row.to_x},{row.to_y}",
            count(row.messages),
            count(row.busy),
            percent(row.load),
            count(row.contention),
            count(row.back_pressure),
        )
        for row in busiest
    )
    headings = ("messages", "busy", "load", "contention", "back pressure")
    footnote = "Cycles of one inference; load is the share of the interval between inferences in a stream."
    return Sheet(f"Busiest links of {label}", ("link",), headings, rows, footnote=footnote)
