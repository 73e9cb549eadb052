"""At which activity one's own network would cost what another one does.

The energy of a network that works event by event is a part that does not depend on its activity (updates of neurons,
biases, barriers, and all that the input sends and the first layer receives of it) and a part that grows with the events
of its layers. The second is scaled until both networks cost the same. What this leaves out: with other activity, other
neurons would be reached, and the split of events over the layers would be another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snn2chip.hw_models.results import NOTHING, ActionRow, LayerRow, NetworkReport, Range
from snn2chip.report import prices
from snn2chip.report.prices import Number, Parts
from snn2chip.report.ratios import largest_quotient, negated

#: What an event costs the layer that it reaches.
_ARRIVING = frozenset(
    {
        *("synaptic_operation", "payload_multiply", "synapse_read", "axon_in_read"),
        *("accumulator_read", "accumulator_write", "delay_read", "delay_write"),
        *("event_read", "weight_read", "address", "address_multiply", "multiply"),
    }
)
#: What an event costs the layer that sends it.
_LEAVING = frozenset(
    {
        *("spike_out", "message", "hop_x", "hop_y", "payload_bit_hop", "chip_crossing", "axon_out_read"),
        "event_write",
    }
)
#: Of these, one for every synaptic operation; the rest is for updates.
_SHARED = frozenset({"potential_read", "potential_write", "accumulate"})


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

    Nor does it under Qualia's equations, which charge mean rates and whole maps.
    """
    growing = _by_number(own, growing_share)
    rates = any(number.name == "words.word" for number in own.chip.numbers)
    if own.chip.model == "array" or rates or sum(part.low for part in growing.values()) <= 0:
        return None
    resting, theirs = _by_number(own, resting_share), prices.dynamic(other)
    factor = _range(growing, resting, theirs)
    return BreakEven(other.label, other.chip.name, factor, Range(*(own.totals.activity * end for end in _ends(factor))))


def growing_share(row: LayerRow, action: ActionRow) -> float:
    """Which share of an action's count grows with the events of the network's own layers."""
    arrives = 0.0 if row.depth <= 1 else 1.0  # what the first stage receives is the input, which stays as it is
    if action.action in _LEAVING:
        return 1.0 if row.neurons else 0.0
    if action.action in _ARRIVING:
        return arrives
    if action.action in _SHARED and action.count:
        return arrives * min(1.0, row.synaptic_operations / action.count)
    return 0.0


def resting_share(row: LayerRow, action: ActionRow) -> float:
    return 1.0 - growing_share(row, action)


def _by_number(network: NetworkReport, share: Callable[[LayerRow, ActionRow], float]) -> Parts:
    found: dict[Number, Range] = {}
    for row in network.layers:
        for action in row.actions:
            number = prices.number_behind(network.chip, action.action)
            part = action.energy.times(share(row, action))
            found[number] = found.get(number, NOTHING) + part
    return found


def _range(growing: Parts, resting: Parts, theirs: Parts) -> Range:
    """(theirs - resting) / growing, each uncertain number low or high in all three alike."""
    numbers = dict.fromkeys([*growing, *resting, *theirs])
    parts = [tuple(_ends(found.get(number, NOTHING)) for found in (growing, resting, theirs)) for number in numbers]
    ends = [tuple((up[end], other[end] - rest[end]) for end in range(3)) for up, rest, other in parts]
    nominal = sum(each[1][1] for each in ends) / sum(each[1][0] for each in ends)
    return Range(-largest_quotient(negated(ends)), nominal, largest_quotient(ends))


def _ends(value: Range) -> tuple[float, float, float]:
    return value.low, value.nominal, value.high
