"""The whole report: one's own network first, then the baselines. The schema stands in ``docs/report-schema.md``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from snn2chip import __version__
from snn2chip.errors import UserError
from snn2chip.files import read_json
from snn2chip.hw_models import results
from snn2chip.hw_models.results import NetworkReport
from snn2chip.report.ratios import Comparison, compare_networks
from snn2chip.report.reading import build

#: Name and version of the JSON document that `EnergyReport.to_json` writes.
SCHEMA = "snn2chip-report-1"


@dataclass(frozen=True)
class EnergyReport:
    """Networks side by side.

    Attributes:
        networks: one's own network first; the others are its baselines, each possibly on another chip.
        notes: sentences about the whole report, beside those that each network brings.
        tool_version: of the snn2chip that simulated.

    Raises: UserError without a network.
    """

    networks: tuple[NetworkReport, ...]
    notes: tuple[str, ...] = ()
    tool_version: str = __version__

    def __post_init__(self) -> None:
        if not self.networks:
            raise UserError("an energy report needs at least one network")

    @property
    def own(self) -> NetworkReport:
        """The network that the report is about."""
        return self.networks[0]

    @property
    def baselines(self) -> tuple[NetworkReport, ...]:
        """What it is compared with."""
        return self.networks[1:]

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Each baseline in relation to one's own network, in the same order."""
        return tuple(compare_networks(self.own, other) for other in self.baselines)

    def to_document(self) -> dict[str, Any]:
        """A JSON-ready document. ``comparisons`` follow from the rest; they are there for those who read JSON alone."""
        return {
            "schema": SCHEMA,
            "tool_version": self.tool_version,
            "networks": [network.to_document() for network in self.networks],
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """The document as text: the same report gives the same bytes."""
        return json.dumps(self.to_document(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def read(path: str | Path) -> EnergyReport:
    """The report in a file that `EnergyReport.to_json` wrote.

    Raises: UserError naming the file and the place in it that is missing, unknown or of the wrong type.
    """
    document = read_json(Path(path))
    _check_schema(document, SCHEMA, str(path))
    for key, kind in (("tool_version", str), ("networks", list), ("notes", list)):
        if not isinstance(document.get(key), kind):
            raise UserError(f"{path}: '{key}' is missing or malformed: write the report again with --json")
    if not all(isinstance(note, str) for note in document["notes"]):
        raise UserError(f"{path}: notes: expected a list of texts")
    networks = [_network(item, f"{path}: networks[{index}]") for index, item in enumerate(document["networks"])]
    return EnergyReport(tuple(networks), tuple(document["notes"]), document["tool_version"])


def _check_schema(document: Any, wanted: str, place: str) -> None:
    found = document.get("schema") if isinstance(document, dict) else None
    if found != wanted:
        raise UserError(
            f"{place}: this is not a {wanted} document (schema: {found!r:.60}): "
            "give a file that `snn2chip simulate --json` wrote"
        )


def _network(document: Any, place: str) -> NetworkReport:
    _check_schema(document, results.SCHEMA, place)
    return build(NetworkReport, {key: value for key, value in document.items() if key != "schema"}, place)
