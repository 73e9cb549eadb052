"""Where the energy of each network goes: arithmetic, memories, messages, the barrier, the input, static power."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from snn2chip.hw_models.actions import ARRIVING, NEUROCORE, SENDING
from snn2chip.hw_models.results import ActionRow, NetworkReport
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.tables import Row, Sheet
from snn2chip.report.units import quantity

#: The parts in the order of the table. The actions of analytic models are arithmetic or memory accesses.
PARTS = ("synapses", "neurons", "arithmetic", "memories", "messages", "synchronisation", "input", "static")


def part_of(action: str) -> str:
    """The part that an action of a layer belongs to."""
    if action.endswith(("_read", "_write")):
        return "memories"
    if action == "barrier":
        return "synchronisation"
    if action in SENDING:
        return "messages"
    if action in ARRIVING:
        return "synapses"
    return "neurons" if action in NEUROCORE else "arithmetic"


def breakdown(network: NetworkReport) -> dict[str, float | None]:
    """Nominal joules of each part; None where the chip file prices no action of it by itself.

    The input's part is all that sending and storing it costs; what its events cause in the first layer is that layer's.
    Together the parts are the total energy.
    """
    host, *computing = network.layers
    rows = [row for layer in computing for row in layer.actions]
    parts = {part: _priced(row for row in rows if part_of(row.action) == part) for part in PARTS[:-2]}
    static = network.energy.static
    return {**parts, "input": _priced(host.actions), "static": None if static is None else static.nominal}


def _priced(rows: Iterable[ActionRow]) -> float | None:
    own = [row.energy.nominal for row in rows if row.included_in is None and row.absent is None]
    return math.fsum(own) if own else None


def where_it_goes(report: EnergyReport) -> Sheet:
    """A row per network, of the parts that at least one of them has."""
    found = [breakdown(network) for network in report.networks]
    shown = [part for part in PARTS if any(parts[part] is not None for parts in found)]
    rows: tuple[Row, ...] = tuple(
        (network.label, *(_cell(parts[part]) for part in shown))
        for network, parts in zip(report.networks, found, strict=True)
    )
    return Sheet("Where the energy goes (nominal)", ("network",), tuple(shown), rows, footnote=_footnote(shown, rows))


def _footnote(shown: Collection[str], rows: Iterable[Row]) -> str:
    """What the cells without a figure mean, and which parts have no column for want of any."""
    alone = "the chip file has no price for it alone; another one includes it, or there is none (see the notes). "
    dash = f"-: {alone}" if any("-" in row for row in rows) else ""
    return dash + _left_out(shown) + (_INPUT if "input" in shown else "")


def _left_out(shown: Collection[str]) -> str:
    """The parts of a neurocore that none of the networks has a figure for; analytic models know no other parts."""
    missing = [part for part in PARTS if part not in shown and part != "arithmetic"]
    if "synapses" not in shown or not missing:
        return ""
    return f"Without a price of their own, and so without a column: {', '.join(missing)}. "


def _cell(joules: float | None) -> str:
    return "-" if joules is None else quantity(joules, "J")


_INPUT = "Input: sending its events, or storing them; what they cause is the first layer's."
