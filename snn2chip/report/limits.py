"""``--fail-if``: a limit on one figure of one's own network, for use in someone's CI."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from snn2chip.errors import UserError
from snn2chip.hw_models.results import NetworkReport
from snn2chip.report.energy_report import energy_delay
from snn2chip.report.units import count, percent, quantity

_SIZES = ("1e-15", "1e-12", "1e-9", "1e-6", "1e-3", "1")
_JOULES, _SECONDS = ("fJ", "pJ", "nJ", "uJ", "mJ", "J"), ("ps", "ns", "us", "ms", "s")
#: Decimals, so that 95 % is the same number as 0.95: a figure right at its limit is on the side that it says.
_ENERGIES = {unit: Decimal(size) for unit, size in zip(_JOULES, _SIZES, strict=True)}
_TIMES = {unit: Decimal(size) for unit, size in zip(_SECONDS, _SIZES[1:], strict=True)}
_PRODUCTS = {f"{joule}*{second}": a * b for joule, a in _ENERGIES.items() for second, b in _TIMES.items()}
#: What may be limited, in which units. Energy and energy-delay product are those of the total, static energy included
#: where the chip states a static power.
METRICS: Mapping[str, Mapping[str, Decimal]] = {
    "energy": _ENERGIES,
    "dynamic": _ENERGIES,
    "latency": _TIMES,
    "edp": _PRODUCTS,
    "events": {"": Decimal(1), "k": Decimal(1000), "M": Decimal(1000000)},
    "accuracy": {"%": Decimal("0.01"), "": Decimal(1)},
}
_FORM = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*(\S*)\s*")
_HOW = "write METRIC > NUMBER UNIT or METRIC < NUMBER UNIT, such as 'energy > 5 uJ'"


@dataclass(frozen=True)
class Limit:
    """One condition under which a simulation fails: `value` in SI units."""

    text: str
    metric: str
    sign: str
    value: float

    def broken(self, network: NetworkReport) -> str | None:
        """A sentence where the condition holds for the nominal figure; None where it does not.

        Raises: UserError where the model does not know the figure.
        """
        found = _figure(network, self.metric)
        where = f"{network.label} on {network.chip.name}"
        if found is None:
            raise UserError(f"--fail-if {self.text!r}: {where} has no {self.metric}: {_why(self.metric)}")
        if not _holds(found, self.sign, self.value):
            return None
        return f"{where}: {self.metric} is {_shown(self.metric, found)}, and --fail-if says {self.text!r}"


def parse(text: str) -> Limit:
    """``energy > 5 uJ`` and its like. Raises UserError naming what is wrong and what is known."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise UserError(f"--fail-if {text!r}: this is no condition: {_HOW}")
    metric, sign, number, unit = match.groups()
    if metric not in METRICS:
        raise UserError(f"--fail-if {text!r}: {metric!r} is unknown: limit one of {', '.join(METRICS)}")
    units = METRICS[metric]
    plain = unit.replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    if plain not in units:
        known = "J*s and its like, such as uJ*us" if metric == "edp" else ", ".join(filter(None, units))
        raise UserError(f"--fail-if {text!r}: the unit is {unit!r}, but {metric} is given in {known}")
    value = float(_number(text, number) * units[plain])
    if metric == "accuracy" and not 0 <= value <= 1:
        raise UserError(f"--fail-if {text!r}: accuracy is a share from 0 to 1: write 95 % or 0.95")
    return Limit(text.strip(), metric, sign, value)


def _number(text: str, number: str) -> Decimal:
    try:
        value = Decimal(number)
    except InvalidOperation:
        value = Decimal("Infinity")
    if not math.isfinite(value):
        raise UserError(f"--fail-if {text!r}: {number!r} is no number: {_HOW}")
    return value


def _holds(found: float, sign: str, value: float) -> bool:
    return {">": found > value, ">=": found >= value, "<": found < value, "<=": found <= value}[sign]


def _figure(network: NetworkReport, metric: str) -> float | None:
    product = energy_delay(network)
    figures = {
        "energy": network.energy.total.nominal,
        "dynamic": network.energy.dynamic.nominal,
        "latency": network.latency.seconds,
        "edp": None if product is None else product.nominal,
        "events": network.totals.events_out,
        "accuracy": network.accuracy,
    }
    return figures[metric]


def _why(metric: str) -> str:
    if metric == "accuracy":
        return "give samples with classes y"
    return "choose a chip whose model knows time"


def _shown(metric: str, value: float) -> str:
    if metric == "accuracy":
        return percent(value, 2)
    unit = {"energy": "J", "dynamic": "J", "latency": "s", "edp": "J s"}.get(metric, "")
    return quantity(value, unit) if unit else count(value)
