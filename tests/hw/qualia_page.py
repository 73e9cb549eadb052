"""The tables of docs/qualia.md, from the shipped networks of digits: ``python -m tests.hw.qualia_page`` prints them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from snn2chip import api, engine, zoo
from snn2chip.hw_models import Chip, NetworkReport, load_chip, simulate

IMAGES = 100
NETWORKS = ("sparse-n4-t1", "sew-n4-t1", "ms-n4-t1", "binary-t1", "binary-t4", "qann-3bit")
#: Chips of the columns; `EXACT` stands for Qualia's prices under exact counts.
EXACT = "exact"
CHIPS = ("lemaire-45nm-as-published", "lemaire-45nm-qualia", EXACT, "lemaire-45nm", "lemaire-45nm-qualia-dense")
COUNTED = ("sparse-n4-t1", "binary-t4")
ACTIONS = (
    "event_read",
    "event_write",
    "weight_read",
    "bias_read",
    "potential_read",
    "accumulate",
    "multiply",
    "address",
    "address_multiply",
)
_EXACT = """name = "exact"
title = "Qualia's prices, exact counts"
inherits = "lemaire-45nm-qualia"
choices.counting = "exact"
prices.compare = { points = [[32, 0.1]], x_unit = "bit", unit = "pJ", kind = "derived", source = "horowitz2014" }
"""


def chip(name: str) -> Chip:
    if name != EXACT:
        return load_chip(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exact.toml"
        path.write_text(_EXACT, encoding="utf-8")
        return load_chip(path)


def reports() -> dict[str, dict[str, NetworkReport]]:
    """By network and chip: the first images of the test set."""
    chips = {name: chip(name) for name in CHIPS}
    found: dict[str, dict[str, NetworkReport]] = {}
    for network in NETWORKS:
        compiled = api.compile_file(zoo.path(network))
        assert compiled.samples is not None
        images = compiled.samples.x[:IMAGES]
        found[network] = {
            name: simulate(compiled.graph, images, None, one, execute=engine.run) for name, one in chips.items()
        }
    return found


def energies(found: Mapping[str, Mapping[str, NetworkReport]]) -> list[str]:
    """Microjoules of an inference."""
    lines = []
    for network, by_chip in found.items():
        ranges = [by_chip[name].energy.dynamic for name in CHIPS]
        cells = [_microjoules(each.nominal) for each in ranges]
        corrected = ranges[CHIPS.index("lemaire-45nm")]
        cells[CHIPS.index("lemaire-45nm")] += f" ({_microjoules(corrected.low)} to {_microjoules(corrected.high)})"
        lines.append(_line([f"`{network}`", *cells]))
    return lines


def _microjoules(energy: float) -> str:
    return f"{energy * 1e6:#.3g}".rstrip(".")


def free(found: Mapping[str, Mapping[str, NetworkReport]]) -> list[str]:
    """The layers that Qualia charges nothing for, and their share of the energy once they are counted."""
    lines = []
    for network, by_chip in found.items():
        names = [row.name for row in by_chip["lemaire-45nm-qualia"].layers[1:] if row.energy.nominal == 0]
        shares = []
        for name in (EXACT, "lemaire-45nm"):
            spent = sum(row.energy.nominal for row in by_chip[name].layers if row.name in names)
            shares.append(f"{100 * spent / by_chip[name].energy.dynamic.nominal:.2f} %")
        lines.append(_line([f"`{network}`", ", ".join(names), *shares]))
    return lines


def counts(found: Mapping[str, Mapping[str, NetworkReport]]) -> list[str]:
    """How often Qualia counts an action, and how often it happens."""
    lines = []
    for action in ACTIONS:
        cells = [f"`{action}`"]
        for network in COUNTED:
            told, true = (_count(found[network][name], action) for name in ("lemaire-45nm-qualia", EXACT))
            cells += [f"{told:,.0f}", f"{true:,.0f}", f"{told / true:.2f}"]
        lines.append(_line(cells))
    return lines


def _count(report: NetworkReport, action: str) -> float:
    return next(row.count for row in report.totals.actions if row.action == action)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    all_reports = reports()
    sys.stdout.write("\n".join([*energies(all_reports), "", *free(all_reports), "", *counts(all_reports)]) + "\n")
