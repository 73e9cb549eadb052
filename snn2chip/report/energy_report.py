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
from snn2chip.hw_models.results import NetworkReport, Range
from snn2chip.report import prices
from snn2chip.report.about import About
from snn2chip.report.break_even import BreakEven, break_even
from snn2chip.report.membrane import Membrane, membrane
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
        about: what stands behind each network, in the same order; empty where nobody said.

    Raises: UserError without a network, or where `about` does not go with the networks.
    """

    networks: tuple[NetworkReport, ...]
    notes: tuple[str, ...] = ()
    tool_version: str = __version__
    about: tuple[About, ...] = ()

    def __post_init__(self) -> None:
        if not self.networks:
            raise UserError("an energy report needs at least one network")
        if self.about and len(self.about) != len(self.networks):
            raise UserError(f"about has {len(self.about)} entries for {len(self.networks)} networks: give one for each")

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

    @cached_property
    def break_even(self) -> tuple[BreakEven, ...]:
        """Where one's own network would cost what a baseline on an array does."""
        arrays = (item for item in self.baselines if item.chip.model == "array")
        found = (break_even(self.own, other) for other in arrays)
        return tuple(item for item in found if item is not None)

    @cached_property
    def membrane(self) -> tuple[Membrane, ...]:
        """What the traffic of potentials costs, for the networks that need none of it."""
        found = (membrane(network) for network in self.networks)
        return tuple(item for item in found if item is not None)

    def to_document(self) -> dict[str, Any]:
        """A JSON-ready document. From ``comparisons`` to ``membrane`` all follows from the networks."""
        return {
            "schema": SCHEMA,
            "tool_version": self.tool_version,
            "networks": [network.to_document() for network in self.networks],
            "about": [asdict(item) for item in self.about],
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
            "energy_delay": [_range(energy_delay(network)) for network in self.networks],
            "uncertainty": [_uncertainty(network) for network in self.networks],
            "break_even": [asdict(item) for item in self.break_even],
            "membrane": [asdict(item) for item in self.membrane],
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """The document as text: the same report gives the same bytes."""
        return json.dumps(self.to_document(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def energy_delay(network: NetworkReport) -> Range | None:
    """Total energy of one inference times its latency, in joule-seconds; None where the model has no time.

    Its ends are those of prices and times together.
    """
    seconds = network.latency.seconds_range
    return None if seconds is None else network.energy.total.by(seconds)


def _range(value: Range | None) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


def _uncertainty(network: NetworkReport) -> dict[str, Any]:
    """What each uncertain number leaves open of the energies of one network."""
    return {
        "label": network.label,
        "chip": network.chip.name,
        "dynamic": [asdict(item) for item in prices.swings(network)],
        "total": [asdict(item) for item in prices.swings(network, prices.total)],
    }


def read(path: str | Path) -> EnergyReport:
    """The report in a file that `EnergyReport.to_json` wrote.

    Raises: UserError naming the file and the place in it that is missing, unknown or of the wrong type.
    """
    document = read_json(Path(path))
    _check_schema(document, SCHEMA, str(path))
    for key, kind in (("tool_version", str), ("networks", list), ("about", list), ("notes", list)):
        if not isinstance(document.get(key), kind):
            raise UserError(f"{path}: '{key}' is missing or malformed: write the report again with --json")
    if not all(isinstance(note, str) for note in document["notes"]):
        raise UserError(f"{path}: notes: expected a list of texts")
    networks = [_network(item, f"{path}: networks[{index}]") for index, item in enumerate(document["networks"])]
    about = [build(About, item, f"{path}: about[{index}]") for index, item in enumerate(document["about"])]
    return EnergyReport(tuple(networks), tuple(document["notes"]), document["tool_version"], tuple(about))


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
