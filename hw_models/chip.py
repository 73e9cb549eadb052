"""Chip files: a chip as TOML, checked when it is read. ``docs/adding-a-chip.md`` shows how to write one."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snn2chip.errors import UserError
from snn2chip.hw_models.actions import ACTIONS
from snn2chip.hw_models.quantity import Malformed, Quantity, Table, parse_quantity, parse_table
from snn2chip.hw_models.results import ChipSummary, SourcedPrice
from snn2chip.hw_models.rules import KEYS, SECTIONS, check_number, check_table, suggest
from snn2chip.hw_models.toml_lines import line_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "chips"

_TEXTS = {"name", "title", "model", "scenario", "inherits"}


@dataclass(frozen=True)
class Price:
    """Energy or time of one action: a number, a table, or where (or why not) it is accounted for."""

    action: str
    quantity: Quantity | None = None
    table: Table | None = None
    included_in: str | None = None
    absent: str | None = None

    @property
    def known(self) -> Quantity | Table | None:
        """The number, where there is one."""
        return self.quantity or self.table


@dataclass(frozen=True)
class Chip:
    """A chip file, read and checked.

    Attributes:
        path: the file, named in errors.
        numbers: by ``section.key``, such as ``limits.neurons_per_core``; SI units, information in bits.
        prices, times: per action.
        choices: how the chip works, such as ``idle_neurons = "visited"``.
        notes: sentences that every report on this chip shows.
        sources: where the numbers come from, by the key that the file gives each source.
        digest: sha256 of the contents, parents included.
    """

    name: str
    title: str
    model: str
    scenario: str | None
    path: Path
    numbers: Mapping[str, Quantity]
    prices: Mapping[str, Price]
    times: Mapping[str, Price]
    choices: Mapping[str, str]
    notes: tuple[str, ...]
    sources: Mapping[str, str]
    digest: str

    def number(self, key: str) -> float:
        """The nominal value of ``section.key``. Raises UserError naming file and key where it is missing."""
        if key not in self.numbers:
            where = "[{}] {}".format(*key.split(".", 1))
            raise UserError(f"chip file {self.path}: {where} is missing, and {self.model} chips need it")
        return self.numbers[key].value

    def count(self, key: str) -> int:
        return int(self.number(key))

    def limit(self, key: str) -> float | None:
        """A limit, or None where the chip states none."""
        return self.numbers[key].value if key in self.numbers else None

    def choice(self, key: str, *known: str) -> str:
        """One of the texts `known`. Raises UserError naming file and key."""
        if self.choices.get(key) not in known:
            found, wanted = self.choices.get(key), " or ".join(map(repr, known))
            raise UserError(f"chip file {self.path}: [choices] {key} is {found!r}, but it must be {wanted}")
        return self.choices[key]

    def price(self, action: str, layer: str) -> Price:
        """What `action` costs. Raises UserError naming action and layer where the file says nothing."""
        return self._lookup("prices", self.prices, action, layer)

    def time(self, action: str, layer: str) -> Price:
        """How long `action` takes. Raises UserError naming action and layer where the file says nothing."""
        return self._lookup("times", self.times, action, layer)

    def check_prices(self, performed: Mapping[str, Iterable[str]]) -> None:
        """UserError naming all actions that the file gives no price for; `performed`: those of each layer."""
        missing: dict[str, str] = {}
        for layer, actions in performed.items():
            missing |= {action: layer for action in actions if action not in self.prices and action not in missing}
        if missing:
            raise self._unmentioned("prices", missing)

    def _lookup(self, section: str, found: Mapping[str, Price], action: str, layer: str) -> Price:
        if action not in found:
            raise self._unmentioned(section, {action: layer})
        return found[action]

    def _unmentioned(self, section: str, missing: Mapping[str, str]) -> UserError:
        """`missing`: actions, and the first layer that performs each."""
        by_layer: dict[str, list[str]] = {}
        for action, layer in missing.items():
            by_layer.setdefault(layer, []).append(repr(action))
        said = ", ".join(f"layer {layer!r} performs {', '.join(actions)}" for layer, actions in by_layer.items())
        return UserError(
            f"chip file {self.path}: {said}, which [{section}] does not mention: give "
            f"{'it' if len(missing) == 1 else 'each'} a number, or say included_in or absent"
        )

    @property
    def has_uncertain_times(self) -> bool:
        return any(time.quantity is not None and time.quantity.is_open for time in self.times.values())

    def with_times(self, end: str) -> Chip:
        """The same chip with every time at its ``low`` or ``high`` end."""
        times = {
            action: time if time.quantity is None else replace(time, quantity=time.quantity.at(end))
            for action, time in self.times.items()
        }
        return replace(self, times=MappingProxyType(times))

    @property
    def summary(self) -> ChipSummary:
        """What a report says about the chip: every number with its source."""
        return ChipSummary(self.name, self.title, self.model, self.scenario, self.digest, tuple(self._sourced()))

    def _sourced(self) -> Iterator[SourcedPrice]:
        for key, number in sorted(self.numbers.items()):
            yield SourcedPrice(key, number.text, number.kind, number.source, number.range)
        for section, prices in (("prices", self.prices), ("times", self.times)):
            for action, price in sorted(prices.items()):
                if (known := price.known) is not None:
                    ends = known.range if isinstance(known, Quantity) else None
                    yield SourcedPrice(f"{section}.{action}", known.text, known.kind, known.source, ends)
                elif price.included_in is not None:
                    yield SourcedPrice(f"{section}.{action}", f"included in {price.included_in}", "derived", "")
                else:
                    yield SourcedPrice(f"{section}.{action}", "absent", "assumed", price.absent or "")


def available_chips() -> tuple[str, ...]:
    """Names of the shipped chips."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def load_chip(name: str | Path) -> Chip:
    """A shipped chip by name, or a chip file by path. Raises UserError naming file, key and the mend."""
    path = _find(name, Path())
    files: dict[Path, str] = {}
    document = _document(path, files)
    canonical = json.dumps(document, sort_keys=True).encode()
    return _Reader(path, document, files).chip(hashlib.sha256(canonical).hexdigest())


def _find(name: str | Path, folder: Path) -> Path:
    if Path(name).suffix == ".toml":
        path = folder / name
        if not path.is_file():
            names = ", ".join(available_chips())
            raise UserError(f"chip file {path} does not exist: give the path of a .toml file, or one of {names}")
        return path
    shipped = SHIPPED / f"{name}.toml"
    if not shipped.is_file():
        raise UserError(f"there is no chip {str(name)!r}: name a .toml file or one of {', '.join(available_chips())}")
    return shipped


def _document(path: Path, files: dict[Path, str]) -> dict[str, Any]:
    """The file, laid over the one that it inherits from; the texts of both are added to `files`."""
    if path.resolve() in (child.resolve() for child in files):
        chain = " -> ".join(child.name for child in (*files, path))
        raise UserError(f"chip file {path} inherits from itself: {chain}")
    try:
        files[path] = path.read_text(encoding="utf-8")
        document = tomllib.loads(files[path])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"chip file {path} is not TOML: {error}") from None
    parent, notes = document.pop("inherits", None), document.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise UserError(f"chip file {path}: notes must be a list of sentences, not {notes!r}")
    if parent is None:
        return document
    if not isinstance(parent, str):
        raise UserError(f"chip file {path}: inherits must name a chip or a .toml file, not {parent!r}")
    below = _document(_find(parent, path.parent), files)
    return {**_overlay(below, document), "notes": [*below.get("notes", []), *notes]}


_LEAVES = ("value", "nominal", "low", "high", "points", "included_in", "absent")


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        section = isinstance(value, dict) and not any(leaf in value for leaf in _LEAVES)
        old = merged.get(key)
        merged[key] = _overlay(old if isinstance(old, dict) else {}, value) if section else value
    return merged


@dataclass(frozen=True)
class _Reader:
    path: Path
    document: Mapping[str, Any]
    #: The texts of the file and of those that it inherits from, nearest first.
    files: Mapping[Path, str]

    def fail(self, what: str, section: str = "", key: str = "") -> UserError:
        """An error that names the file and line where ``[section] key`` is set, which may be in a parent."""
        for path, text in self.files.items():
            if section and (line := line_of(text, section, key)) is not None:
                return UserError(f"chip file {path}, line {line}: {what}")
        return UserError(f"chip file {self.path}: {what}")

    def chip(self, digest: str) -> Chip:
        self.check_keys()
        self.check_sections()
        numbers, prices, times = self.numbers(), self.prices("prices"), self.prices("times")
        for section, found in (("prices", prices), ("times", times)):
            self.check_inclusions(section, found)
        return Chip(
            name=self.text("name"),
            title=self.text("title"),
            model=self.text("model"),
            scenario=self.document.get("scenario"),
            path=self.path,
            numbers=MappingProxyType(numbers),
            prices=MappingProxyType(prices),
            times=MappingProxyType(times),
            choices=MappingProxyType(dict(self.document.get("choices", {}))),
            notes=tuple(self.document.get("notes", ())),
            sources=MappingProxyType(dict(self.sources)),
            digest=digest,
        )

    def check_keys(self) -> None:
        known = {*_TEXTS, *SECTIONS, "choices", "sources", "notes"}
        if unknown := sorted(set(self.document) - known):
            raise self.fail(
                f"it has the unknown key or section {unknown[0]!r} ({suggest(unknown[0], known)})", unknown[0]
            )
        if not isinstance(self.document.get("scenario", ""), str):
            raise self.fail(f"scenario is {self.document['scenario']!r}, but it must be a sentence", "scenario")
        if self.text("model") not in ACTIONS:
            raise self.fail(f"model is {self.text('model')!r}, but one of {', '.join(ACTIONS)} is needed", "model")

    def check_sections(self) -> None:
        for section in (*SECTIONS, "choices", "sources"):
            if not isinstance(self.document.get(section, {}), dict):
                raise self.fail(
                    f"{section} is {self.document[section]!r}, but a section [{section}] is needed", section
                )
        for key, source in self.sources.items():
            if not isinstance(source, str) or not source:
                raise self.fail(
                    f"[sources] {key} is {source!r}, but it must say in words where numbers come from", "sources", key
                )
        known = KEYS[self.text("model")]
        for section in (*SECTIONS, "choices"):
            for key in self.document.get(section, {}) if section not in ("prices", "times") else ():
                if key not in known.get(section, ()):
                    hint = suggest(key, known.get(section, ()))
                    raise self.fail(f"[{section}] {key} is no key of {self.text('model')} chips ({hint})", section, key)

    def text(self, key: str) -> str:
        value = self.document.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(f"{key} is missing")
        return value

    @property
    def sources(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.document.get("sources", {})
        return found

    def numbers(self) -> dict[str, Quantity]:
        sections = [section for section in SECTIONS if section not in ("prices", "times")]
        return {
            f"{section}.{key}": self.quantity(section, key, self.entry(section, key, entry))
            for section in sections
            for key, entry in self.document.get(section, {}).items()
        }

    def prices(self, section: str) -> dict[str, Price]:
        actions = ACTIONS[self.text("model")]
        found = {}
        for action, entry in self.document.get(section, {}).items():
            if action not in actions:
                hint = suggest(action, actions)
                raise self.fail(
                    f"[{section}] names {action!r}, which no {self.text('model')} chip performs ({hint})",
                    section,
                    action,
                )
            found[action] = self.price(section, action, self.entry(section, action, entry))
        return found

    def price(self, section: str, action: str, entry: Mapping[str, Any]) -> Price:
        for key in ("included_in", "absent"):
            if key in entry:
                if set(entry) != {key} or not isinstance(entry[key], str) or not entry[key]:
                    raise self.fail(
                        f"[{section}] {action}: {key} stands alone and names an action or a reason", section, action
                    )
                return Price(action, **{key: entry[key]})
        if "points" in entry:
            return Price(action, table=self.table(section, action, entry))
        return Price(action, quantity=self.quantity(section, action, entry))

    def entry(self, section: str, key: str, entry: Any) -> Mapping[str, Any]:
        if not isinstance(entry, dict):
            raise self.fail(
                f"[{section}] {key} is {entry!r}, but a number is a table: value, unit, kind, source", section, key
            )
        return entry

    def quantity(self, section: str, key: str, entry: Mapping[str, Any]) -> Quantity:
        try:
            number = parse_quantity(entry, SECTIONS[section], self.sources)
            check_number(section, key, number)
        except Malformed as error:
            raise self.fail(f"[{section}] {key}: {error}", section, key) from None
        return number

    def table(self, section: str, action: str, entry: Mapping[str, Any]) -> Table:
        try:
            table = parse_table(entry, SECTIONS[section], self.sources)
            check_table(self.text("model"), section, action, table)
        except Malformed as error:
            raise self.fail(f"[{section}] {action}: {error}", section, action) from None
        return table

    def check_inclusions(self, section: str, found: Mapping[str, Price]) -> None:
        for action, price in found.items():
            if price.included_in is None:
                continue
            holder = found.get(price.included_in)
            if holder is None or (holder.quantity is None and holder.table is None):
                raise self.fail(
                    f"[{section}] {action} is included in {price.included_in!r}, which has no number there",
                    section,
                    action,
                )
