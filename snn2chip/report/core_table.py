"""The cores that cost most, whatever the timing."""

from __future__ import annotations

from snn2chip.hw_models.results import NetworkReport
from snn2chip.report.core_map import CoreMap
from snn2chip.report.tables import Sheet
from snn2chip.report.units import count, percent, quantity

#: Cores beyond these cost less; the JSON has all of them.
_SHOWN = 8


def costliest(network: NetworkReport) -> Sheet | None:
    """What the cores did that need the most energy; None where the model has no cores."""
    cores, did = CoreMap.of(network), network.cores
    if cores is None or did is None:
        return None
    several, whole = cores.chips > 1, network.energy.dynamic.nominal
    dearest = sorted(cores.cores, key=lambda core: (-did.energy[core.number].nominal, core.number))[:_SHOWN]
    rows = tuple(
        (
            str(core.number),
            core.layer,
            *([str(core.chip)] if several else []),
            f"{core.x},{core.y}",
            count(did.synaptic_operations[core.number]),
            count(did.neuron_updates[core.number]),
            count(did.messages_in[core.number]),
            count(did.messages_out[core.number]),
            count(sum(did.cycles[core.number])),
            quantity(did.energy[core.number].nominal, "J"),
            percent(did.energy[core.number].nominal / whole, 0) if whole else "-",
        )
        for core in dearest
    )
    headings = ("operations", "updates", "messages in", "messages out", "cycles", "energy", "share")
    names = ("core", "layer", "chip", "tile") if several else ("core", "layer", "tile")
    title = f"Costliest cores of {network.label}: {len(dearest)} of {len(cores.cores)}"
    return Sheet(title, names, headings, rows, footnote=_FOOTNOTE)


_FOOTNOTE = (
    "Of one inference. Cycles: of its own T steps, without waiting for other cores. Energy: dynamic, nominal, and its "
    "share of the network's."
)
