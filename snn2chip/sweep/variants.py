"""Chips of a sweep: shipped ones, chip files, and variants of both with other numbers (``--set``)."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snn2chip import files
from snn2chip.errors import UserError
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.rules import SECTIONS

_SOURCE = "sweep"
#: A unit where the chip file has none to go by: these have only one.
_UNITS = {"count": "1"}


@dataclass(frozen=True)
class Variant:
    """A chip with the numbers that were set.

    Attributes:
        file: what `load_chip` takes: a name or a path.
        digest: of the chip, as `load_chip` gives it.
        text: what `write` puts into `file`; None for a chip as it is.
    """

    chip: str
    settings: Mapping[str, str]
    file: str
    digest: str
    text: str | None = None


@dataclass(frozen=True)
class Setting:
    """One number or choice of chip files, and the values it takes: ``limits.neurons_per_core=512,1024``."""

    key: str
    values: tuple[str, ...]


def parse(text: str) -> Setting:
    """``SECTION.KEY=VALUE,VALUE``. Raises: UserError where it reads otherwise."""
    key, equals, values = text.partition("=")
    parts = tuple(dict.fromkeys(part.strip() for part in values.split(",")))
    if not equals or key.count(".") != 1 or "" in (*key.split("."), *parts):
        raise UserError(f"--set {text}: write SECTION.KEY=VALUE,VALUE, such as limits.neurons_per_core=512,1024")
    return Setting(key.strip(), parts)


def variants(chips: Sequence[str], settings: Sequence[Setting], folder: Path) -> tuple[Variant, ...]:
    """Every chip with every combination of values: files that inherit, which `write` puts into `folder`.

    Raises: UserError where a chip is unknown, or a value is not what chip files take.
    """
    keys = [setting.key for setting in settings]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"--set {twice[0]} is given twice: write its values with commas between")
    loaded = {name: load_chip(name) for name in dict.fromkeys(chips)}
    combinations = list(itertools.product(*(setting.values for setting in settings)))
    return tuple(
        _variant(name, chip, dict(zip(keys, values, strict=True)), folder)
        for name, chip in loaded.items()
        for values in combinations
    )


def _variant(name: str, chip: Chip, settings: Mapping[str, str], folder: Path) -> Variant:
    if not settings:
        return Variant(chip.name, {}, name, chip.digest)
    text = _toml(name, chip, settings)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "chip.toml")
        path.write_text(text, encoding="utf-8")
        try:
            digest = load_chip(path).digest
        except UserError as error:
            said = str(error).partition(": ")[2]  # its file is ours, and gone: what was set is named instead
            given = " ".join(f"--set {key}={value}" for key, value in settings.items())
            raise UserError(f"{given} on {name}: {said}") from None
    return Variant(chip.name, settings, str(folder / f"{chip.name}-{digest[:12]}.toml"), digest, text)


def write(found: Iterable[Variant]) -> None:
    """Write the files of the variants that have one."""
    for variant in found:
        if variant.text is not None:
            files.write_bytes(Path(variant.file), variant.text.encode())


def _toml(name: str, chip: Chip, settings: Mapping[str, str]) -> str:
    """A chip file that inherits from `name`; its numbers are assumed, whatever the parent's are."""
    parent = str(Path(name).absolute()) if name.endswith(".toml") else name
    changed = ", ".join(f"{key} = {value}" for key, value in settings.items())
    lines = [
        f"inherits = {json.dumps(parent)}",
        f"notes = [{json.dumps(f'A sweep set {changed}.')}]",
        f"sources.{_SOURCE} = {json.dumps('set by snn2chip sweep --set')}",
    ]
    for key, value in settings.items():
        section, _, entry = key.partition(".")
        lines.append(f"{section}.{json.dumps(entry)} = {_entry(chip, key, value)}")
    return "\n".join(lines) + "\n"


def _entry(chip: Chip, key: str, value: str) -> str:
    section = key.partition(".")[0]
    if section == "choices":
        return json.dumps(value)
    if section not in SECTIONS:
        raise UserError(f"--set {key}: there is no section [{section}]: choose from {', '.join(SECTIONS)}, choices")
    number, _, unit = value.partition(" ")
    try:
        amount = float(number)
    except ValueError:
        raise UserError(f"--set {key}={value}: give a number, with its unit where it has one: '10 pJ'") from None
    written = number if number.isdecimal() else repr(amount)
    unit = unit.strip() or _unit(chip, key, section)
    return f'{{ value = {written}, unit = {json.dumps(unit)}, kind = "assumed", source = "{_SOURCE}" }}'


def _unit(chip: Chip, key: str, section: str) -> str:
    """The unit that the chip's own file writes, or the only one there is."""
    if key in chip.numbers:
        return chip.numbers[key].unit
    prices = {"prices": chip.prices, "times": chip.times}.get(section, {})
    price = prices.get(key.partition(".")[2])
    if price is not None and price.quantity is not None:
        return price.quantity.unit
    if (unit := _UNITS.get(SECTIONS[section])) is None:
        raise UserError(f"--set {key}: {chip.name} has no number there to take the unit from: write it, as in '10 pJ'")
    return unit
