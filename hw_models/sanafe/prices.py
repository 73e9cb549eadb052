"""What SANA-FE's units cost, from a chip file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snn2chip.errors import UserError
from snn2chip.hw_models.chip import Chip, Price

#: Actions for which SANA-FE has no price of their own.
WITHOUT_PLACE = (
    "synapse_read",
    "accumulator_read",
    "accumulator_write",
    "delay_read",
    "delay_write",
    "state_read",
    "state_write",
    "axon_out_read",
    "chip_crossing",
)


@dataclass(frozen=True)
class Prices:
    """One action each, in joules or in seconds; 0 for what is included elsewhere."""

    synaptic_operation: float
    access: float
    update: float
    spike_out: float
    message: float
    arrival: float
    hop_x: float
    hop_y: float


def energies(chip: Chip) -> Prices:
    """Raises UserError, naming the action, where the chip prices something that SANA-FE cannot."""
    _refuse(chip, "prices", (*WITHOUT_PLACE, "barrier"))
    hops = (_value(chip.price(action, "network")) for action in ("hop_x", "hop_y"))
    return _prices(chip.price, *hops)


def times(chip: Chip) -> Prices:
    """The same for times. Those of links are 0 where the chip has none: its ``simple`` model does without."""
    _refuse(chip, "times", WITHOUT_PLACE)
    hops = (_value(chip.times[action]) if action in chip.times else 0.0 for action in ("hop_x", "hop_y"))
    return _prices(chip.time, *hops)


def barrier(chip: Chip, tiles: int) -> float:
    """Seconds of the synchronisation that ends a step."""
    price = chip.time("barrier", "network")
    return price.table.at(tiles) if price.table is not None else _value(price)


def _prices(lookup: Callable[[str, str], Price], hop_x: float, hop_y: float) -> Prices:
    def value(action: str) -> float:
        return _value(lookup(action, "network"))

    access = value("neuron_update_inactive")
    return Prices(
        synaptic_operation=value("synaptic_operation"),
        access=access,
        update=value("neuron_update_active") - access,
        spike_out=value("spike_out"),
        message=value("message"),
        arrival=value("axon_in_read"),
        hop_x=hop_x,
        hop_y=hop_y,
    )


def _value(price: Price) -> float:
    return price.quantity.value if price.quantity is not None else 0.0


def _refuse(chip: Chip, section: str, actions: tuple[str, ...]) -> None:
    lookup = chip.prices if section == "prices" else chip.times
    for action in actions:
        if action in lookup and lookup[action].known is not None:
            raise UserError(
                f"chip file {chip.path}: [{section}] gives {action} a number of its own, which SANA-FE has no place "
                "for: say included_in, or choose loihi1-sanafe"
            )
