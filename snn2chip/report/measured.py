"""Prices fitted to measured joules: non-negative least squares on how often each network performs each action."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snn2chip import files
from snn2chip.errors import UserError
from snn2chip.hw_models.chip import Chip
from snn2chip.hw_models.quantity import UNITS
from snn2chip.hw_models.results import NetworkReport, Range
from snn2chip.hw_models.rules import suggest
from snn2chip.report.energy_report import read

Floats = NDArray[np.float64]

#: What stands for the static power among the prices.
STATIC = "static"
COLUMNS = ("report", "joules")
#: So many characters of a first line that is something else are shown: it may belong to any file.
_QUOTED = 40
#: How the source of a fitted number begins.
FITTED = "fitted to"
_LARGEST_CSV = 1 << 20
#: All sets of so many prices are tried out.
_MOST = 12


@dataclass(frozen=True)
class Measurement:
    """One network: what was counted of it, and the joules of one inference that someone measured."""

    report: str
    network: NetworkReport
    joules: float


@dataclass(frozen=True)
class Fit:
    """Fitted prices, in joules (the static power, in watts), and what they make of the measurements.

    Attributes:
        prices: by action. Low and high are the ends of the fits that leave out one measurement each; all three are the
            same where there are as many prices as measurements.
        before, after: joules of each measurement at the nominal prices of the chip file, and at the fitted ones.
    """

    chip: Chip
    measurements: tuple[Measurement, ...]
    prices: Mapping[str, Range]
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def residuals(self) -> tuple[float, ...]:
        """(fitted - measured) / measured, of each measurement."""
        return tuple(after / item.joules - 1.0 for after, item in zip(self.after, self.measurements, strict=True))


def read_measurements(path: str | Path, chip: Chip) -> tuple[Measurement, ...]:
    """A CSV with the columns ``report`` (a file of `snn2chip simulate --json`, seen from the CSV) and ``joules``.

    Of each report its first network is taken. Raises: UserError naming the file and its line.
    """
    path = Path(path)
    files.check_regular(path, _LARGEST_CSV)
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig", errors="replace")))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        there = ascii(",".join(rows.fieldnames))[:_QUOTED] if rows.fieldnames else "nothing"
        raise UserError(f"{path}: the first line must be '{','.join(COLUMNS)}', not {there}")
    found = tuple(_measurement(path, number, row, chip) for number, row in enumerate(rows, start=2))
    if not found:
        raise UserError(f"{path}: it holds no measurement: give a line for each network")
    return found


def _measurement(path: Path, line: int, row: Mapping[str, Any], chip: Chip) -> Measurement:
    place = f"{path}, line {line}"
    name, text = row["report"], row["joules"]
    if not name or text is None or None in row:
        raise UserError(f"{place}: two values are needed: a report and its joules")
    try:
        joules = float(text)
    except ValueError:
        joules = 0.0
    if not 0 < joules < float("inf"):
        raise UserError(f"{place}: joules is {text!r}, but it must be a number above 0, such as 3.2e-6")
    own = read(path.parent / name).own
    if own.chip.digest != chip.digest:
        raise UserError(
            f"{place}: {name} was simulated on {own.chip.name}, in another version or another chip than {chip.name}: "
            f"simulate it again with --chip {chip.name}"
        )
    return Measurement(name, own, joules)


def fit(chip: Chip, measurements: Sequence[Measurement], names: Sequence[str]) -> Fit:
    """The prices `names` (actions, or ``static`` for the static power) that come nearest to the measured joules.

    All other prices stay nominal. The sum of squared *relative* errors is the smallest that prices of at least 0 allow.
    Raises: UserError where a name cannot be fitted, or where the measurements do not determine the prices.
    """
    nominal = {name: _nominal(chip, name) for name in names}
    if not nominal:
        raise UserError("there is nothing to fit: name prices with --price ACTION")
    if len(nominal) > len(measurements):
        unknown = f"{len(measurements)} measurements cannot determine {len(nominal)} prices"
        raise UserError(f"{unknown}: fit fewer, or measure more networks")
    if len(nominal) > _MOST:
        raise UserError(f"{len(nominal)} prices are to be fitted, and at most {_MOST} can be: name fewer")
    measured = np.array([item.joules for item in measurements])
    before = np.array([item.network.energy.total.nominal for item in measurements])
    each = [[_amount(item.network, name, price) * price for name, price in nominal.items()] for item in measurements]
    amounts = np.array(each) / measured[:, None]  # joules at the nominal price, as a share of what was measured
    rest = 1.0 - before / measured + amounts.sum(axis=1)
    _check_determined(amounts, list(nominal))
    factors = _positive(amounts, rest, list(nominal))
    spread = _spread(amounts, rest, factors)
    prices = {
        name: Range(*(float(price * end) for end in (spread[0][place], factors[place], spread[1][place])))
        for place, (name, price) in enumerate(nominal.items())
    }
    after = measured * (1.0 - rest + amounts @ factors)
    return Fit(chip, tuple(measurements), prices, tuple(map(float, before)), tuple(map(float, after)))


def _nominal(chip: Chip, name: str) -> float:
    """The price that the chip file gives. Raises UserError where it gives no number of its own."""
    if chip.model != "neurocore":
        raise UserError(f"{chip.name} prices by the size of memories: only prices of neurocore chips can be fitted")
    if name == STATIC:
        return chip.number("power.static")
    price = chip.prices.get(name)
    if price is None:
        raise UserError(f"--price {name}: {chip.name} has no such price ({suggest(name, [*chip.prices, STATIC])})")
    if price.quantity is None:
        why = f"included in {price.included_in}" if price.included_in else "absent"
        raise UserError(f"--price {name}: in {chip.name} it is {why}, and has no number to fit")
    return price.quantity.value


def _amount(network: NetworkReport, name: str, price: float) -> float:
    """How often the network performs the action; for the static power, the seconds of its latency on every chip."""
    if name == STATIC:
        return network.energy.static.nominal / price if network.energy.static else 0.0
    return sum(row.count for row in network.totals.actions if row.action == name)


def _check_determined(amounts: Floats, names: list[str]) -> None:
    for name, column in zip(names, amounts.T, strict=True):
        if not column.any():
            raise UserError(f"--price {name}: none of the networks performs it, so that nothing can be fitted")
    if np.linalg.matrix_rank(amounts / np.linalg.norm(amounts, axis=0), tol=1e-6) < len(names):
        raise UserError(
            f"the prices of {', '.join(names)} cannot be told apart, for all networks perform them in one proportion: "
            "fit fewer, or measure networks that differ"
        )


def _positive(amounts: Floats, rest: Floats, names: list[str]) -> Floats:
    factors = non_negative(amounts, rest)
    for name, factor in zip(names, factors, strict=True):
        if factor <= 0:
            raise UserError(
                f"--price {name}: the measurements come nearest with a price of 0, which would make it free: the other "
                "prices are too high, or it cannot be told from them; fit it together with them, or leave it out"
            )
    return factors


def _spread(amounts: Floats, rest: Floats, factors: Floats) -> tuple[Floats, Floats]:
    """Smallest and largest factors of the fits that leave out one measurement each; a fit that is no longer determined
    says nothing."""
    found = [factors]
    for left_out in range(len(rest)):
        kept = np.arange(len(rest)) != left_out
        if np.linalg.matrix_rank(amounts[kept]) == amounts.shape[1]:
            found.append(non_negative(amounts[kept], rest[kept]))
    return np.min(found, axis=0), np.max(found, axis=0)


def non_negative(matrix: Floats, target: Floats) -> Floats:
    """The x >= 0 that brings ``matrix @ x`` nearest to `target` (least squares), for columns that are independent.

    Of all sets of columns the best one whose free solution has no negative entry: exact, and quick for the few prices
    that measurements can determine.
    """
    columns = matrix.shape[1]
    best, least = np.zeros(columns), float(target @ target)
    for size in range(1, columns + 1):
        for chosen in map(list, itertools.combinations(range(columns), size)):
            part = np.linalg.lstsq(matrix[:, chosen], target, rcond=None)[0]
            error = target - matrix[:, chosen] @ part
            if (part >= 0).all() and float(error @ error) < least:
                best, least = np.zeros(columns), float(error @ error)
                best[chosen] = part
    return best


def toml_text(found: Fit, name: str, parent: str, path: Path) -> str:
    """A chip file that inherits from `parent` and states the fitted prices.

    Args:
        name: of the new chip.
        parent: name or path of the chip file that was fitted, seen from the new one.
        path: of the measurements: its name and digest go into the list of sources.
    """
    digest = files.sha256(path)[:12]
    key = f"fitted_{digest}"  # a chip that inherits from a fitted one has sources of both
    fitted = ", ".join(found.prices)
    count = f"{len(found.measurements)} measured network{'s' if len(found.measurements) > 1 else ''}"
    worst = max(map(abs, found.residuals))
    prices = [_number(action, price, "pJ", "energy", key) for action, price in found.prices.items() if action != STATIC]
    power = [_number(STATIC, price, "mW", "power", key) for action, price in found.prices.items() if action == STATIC]
    how = f"fitted to {count} (largest residual {100 * worst:.1f} %)"
    scenario = f"{fitted} {how}; the rest as in {found.chip.name}"
    note = f"{fitted}: fitted to measured joules. What is said of the prices of {found.chip.name} holds for the others."
    lines = [
        f"name = {_quoted(name)}",
        f"title = {_quoted(f'{found.chip.title}, fitted to measurements')}",
        f"inherits = {_quoted(parent)}",
        f"scenario = {_quoted(scenario)}",
        f"notes = [{_quoted(note)}]",
        "",
        "[sources]",
        f"{key} = {_quoted(f'{FITTED} {count}, {path.name}, sha256 {digest}')}",
        *(["", "[prices]", *prices] if prices else []),
        *(["", "[power]", *power] if power else []),
    ]
    return "\n".join(lines) + "\n"


def _number(key: str, value: Range, unit: str, dimension: str, source: str) -> str:
    low, nominal, high = (f"{end / UNITS[dimension][unit]:.6g}" for end in (value.low, value.nominal, value.high))
    figures = f"value = {nominal}" if low == high else f"low = {low}, nominal = {nominal}, high = {high}"
    return f'{key} = {{ {figures}, unit = "{unit}", kind = "derived", source = "{source}" }}'


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
