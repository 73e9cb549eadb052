"""At which activity one's own network would cost what another one does.

The energy of a network that works event by event is a part that does not depend on its activity (updates of neurons,
biases, leaks, barriers, and all that the input sends and that it causes) and a part that grows with the events of its
layers. The second is scaled until both networks cost the same. What this leaves out: with other activity, other neurons
would be reached, and the split of events over the layers would be another one.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from snn2chip.hw_models.results import NetworkReport, Range
from snn2chip.report import prices
from snn2chip.report.parts import Parts, Settings, by_number, settings
from snn2chip.report.ratios import largest_quotient, negated


@dataclass(frozen=True)
class BreakEven:
    """Where the dynamic energies of two networks meet.

    Attributes:
        label, chip: the other network.
        factor: how many times its own events one's network could send; at most 0 where it costs more without any.
        activity: the same as events per neuron and step.
    """

    label: str
    chip: str
    factor: Range
    activity: Range


def break_even(own: NetworkReport, other: NetworkReport) -> BreakEven | None:
    """Where `own` costs what `other` does; None where its energy does not depend on its events.

    Nor does it on an array or under Qualia's equations, which charge mean rates and whole maps.
    """
    growing, resting = _split(own)
    if sum(part.joules.low for part in growing.values()) <= 0:
        return None
    factor = _range(settings(growing, resting, prices.dynamic(other)))
    return BreakEven(
        other.label, other.chip.name, factor, Range(*(own.totals.activity * end for end in astuple(factor)))
    )


def _split(own: NetworkReport) -> tuple[Parts, Parts]:
    """What grows with the events of the layers, and what does not; nothing grows where the model does not say."""
    actions, memories = own.totals.actions, own.totals.memories
    grown = [(row, row.growing, row.energy - row.growing) for row in actions if row.growing is not None]
    stored = [
        (row, row.growing, row.energy - row.growing)
        for row in memories
        if row.growing is not None and row.energy is not None
    ]
    growing = by_number(own.chip, ((row.action, up) for row, up, _ in grown), ((row, up) for row, up, _ in stored))
    resting = by_number(own.chip, ((row.action, rest) for row, _, rest in grown), ((row, at) for row, _, at in stored))
    return growing, resting


def _range(found: list[Settings]) -> Range:
    """(theirs - resting) / growing, each uncertain number alike in all three."""
    ends = [tuple((up, other - rest) for up, rest, other in each) for each in found]
    nominal = sum(each[1][1] for each in ends) / sum(each[1][0] for each in ends)
    return Range(-largest_quotient(negated(ends)), nominal, largest_quotient(ends))
