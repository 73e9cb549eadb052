"""What the potentials cost where one step leaves nothing of them: with and without their traffic to memory.

The analytic models read and write a potential in memory for every synaptic operation. At T = 1 no potential outlives
its step, and a design with a register for every neuron of a layer would need none of these accesses: the best case.
"""

from __future__ import annotations

from dataclasses import dataclass

from snn2chip.hw_models.results import NetworkReport, Range, total

POTENTIAL = frozenset({"potential_read", "potential_write"})


@dataclass(frozen=True)
class Membrane:
    """Dynamic joules of one inference of a network with T = 1 on an analytic model.

    Attributes:
        label, chip: which network on which chip.
        with_traffic: potentials go through memory for every synaptic operation (what the rest of the report shows).
        without_traffic: they stay in registers, which cost nothing here.
    """

    label: str
    chip: str
    with_traffic: Range
    without_traffic: Range


def membrane(network: NetworkReport) -> Membrane | None:
    """Both energies; None where T > 1 or where the model keeps no potentials in a memory."""
    actions = network.totals.actions
    if network.steps != 1 or network.chip.model != "formula" or not any(row.action in POTENTIAL for row in actions):
        return None
    kept = total(row.energy for row in actions if row.action not in POTENTIAL)
    return Membrane(network.label, network.chip.name, network.energy.dynamic, kept)
