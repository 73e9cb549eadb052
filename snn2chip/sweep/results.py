"""The results of a sweep: one row per point, which of them are not beaten, and the files that say so."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snn2chip import files
from snn2chip.hw_models.results import Range
from snn2chip.sweep import pareto
from snn2chip.sweep.pareto import Objective
from snn2chip.sweep.points import Point
from snn2chip.sweep.store import FORMAT, Store

#: What is broken where one chip is too small: several chips are then priced.
_CORES = "cores"
#: Where all prices of a chip file may lie: at the low end of their ranges, as stated, and at the high end.
PRICES = ("low", "nominal", "high")


@dataclass(frozen=True)
class Row:
    """A point with its result.

    Attributes:
        number: 1, 2, .. along the front by energy, front after front; None for what is on none.
        front_at: at which prices it is on the front, of `PRICES`.
        refused: why there are no figures, or why they count for nothing: the network does not fit on a core.
        values: by objective, at nominal prices; None where the model does not know it.
        energy: dynamic joules with their range; None without a result. A network whose placement breaks a limit is
            `refused` as well, and has the energy of a chip that could hold it.
        samples: how many inputs stand behind the accuracy.
        result: what the store holds (see `snn2chip.sweep.evaluate.summary`); None where the chip refused the network.
    """

    point: Point
    number: int | None
    front_at: tuple[str, ...]
    refused: str | None
    values: Mapping[str, float | None]
    energy: Range | None
    samples: int
    result: Mapping[str, Any] | None


@dataclass(frozen=True)
class Results:
    """All points of a sweep, in the order of the plan."""

    rows: tuple[Row, ...]
    objectives: tuple[Objective, ...]

    @property
    def front(self) -> tuple[Row, ...]:
        """The rows that no other beats, by their number (with a front per chip, those of all chips)."""
        found = [(row.number, place) for place, row in enumerate(self.rows) if row.number is not None]
        return tuple(self.rows[place] for _, place in sorted(found))

    @property
    def refused(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.refused is not None)

    @property
    def incomparable(self) -> tuple[Row, ...]:
        """Rows with figures that lack one of the objectives."""
        names = [objective.name for objective in self.objectives]
        return tuple(
            row for row in self.rows if row.refused is None and any(row.values[name] is None for name in names)
        )

    def to_json(self) -> str:
        """Everything, as text: the same points give the same bytes."""
        document = {
            "format": FORMAT,
            "objectives": [objective.name for objective in self.objectives],
            "points": [_document(row) for row in self.rows],
        }
        return files.canonical_json(document)

    def to_csv(self) -> str:
        """One line per point; joules, seconds, and empty cells for what is unknown."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_cells(row) for row in self.rows)
        return text.getvalue()


def collect(store: Store, points: Sequence[Point], objectives: Sequence[Objective], per_chip: bool = False) -> Results:
    """Read the results of `points`, and say which are not beaten: by any other, or by any on the same chip file.

    Raises: UserError where a result is missing or damaged.
    """
    rows = [_row(point, store.result(point.key)) for point in points]
    groups = list(dict.fromkeys(point.chip for point in points)) if per_chip else [None]
    for chip in groups:
        rivals = [place for place, row in enumerate(rows) if chip is None or row.point.chip == chip]
        for place, row in zip(rivals, _judged([rows[place] for place in rivals], objectives), strict=True):
            rows[place] = row
    best = sorted((row for row in rows if "nominal" in row.front_at), key=lambda row: _order(row, groups))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(row.point.key for row in best), start=1)}
    numbered = (replace(row, number=numbers[row.point.key]) if "nominal" in row.front_at else row for row in rows)
    return Results(tuple(numbered), tuple(objectives))


def _judged(rivals: Sequence[Row], objectives: Sequence[Objective]) -> list[Row]:
    """The same rows, each with the prices at which it is on their front."""
    fronts = {
        prices: pareto.front([_values(row.result, prices, row.refused) for row in rivals], objectives)
        for prices in PRICES
    }
    return [
        replace(row, front_at=tuple(prices for prices in PRICES if fronts[prices][place]))
        for place, row in enumerate(rivals)
    ]


def _order(row: Row, groups: Sequence[str | None]) -> tuple[int, float, str]:
    """Chip after chip where each has a front of its own, and then by energy."""
    assert row.energy is not None
    return groups.index(row.point.chip) if row.point.chip in groups else 0, row.energy.nominal, row.point.label


def _row(point: Point, document: Mapping[str, Any]) -> Row:
    result = document["result"]
    refused = document["refused"] if result is None else _broken(result["placement"])
    values = _values(result, "nominal", refused)
    energy = None if result is None else Range(**result["energy"]["dynamic"])
    return Row(point, None, (), refused, values, energy, 0 if result is None else result["samples"], result)


def _values(result: Mapping[str, Any] | None, prices: str, refused: str | None) -> dict[str, float | None]:
    """By objective; nothing where there are no figures, or they count for nothing."""
    if result is None or refused is not None:
        return dict.fromkeys(pareto.OBJECTIVES)
    energy, latency = result["energy"], result["latency"]
    return {
        "accuracy": result["accuracy"],
        "energy": energy["dynamic"][prices],
        "total": None if energy["static"] is None else energy["total"][prices],
        "latency": latency["seconds"],
        "interval": latency["interval_seconds"],
    }


def _broken(placement: Mapping[str, Any] | None) -> str | None:
    """What no number of chips would mend."""
    for found in () if placement is None else placement["broken"]:
        if found["limit"] != _CORES:
            return (
                f"does not fit: {found['layer']} needs {found['need']} of {found['limit']}, there are {found['have']}"
            )
    return None


_COLUMNS = (
    *(
        "front",
        "front_at",
        "network",
        "block",
        "levels",
        "steps",
        "bits",
        "chip",
        "settings",
        "refused",
        "samples",
        "accuracy",
    ),
    *("energy_low", "energy", "energy_high", "total", "latency", "interval", "cores", "chips"),
    *("events", "spikes", "synaptic_operations", "weights", "key"),
)


def _cells(row: Row) -> list[Any]:
    point, values, result = row.point, row.values, row.result
    settings = " ".join(f"{key}={value}" for key, value in point.settings.items())
    energy = ("", "", "") if row.energy is None else (row.energy.low, row.energy.nominal, row.energy.high)
    placement = {} if result is None or result["placement"] is None else result["placement"]
    totals = {} if result is None else result["totals"]
    cells = [
        *(
            row.number,
            " ".join(row.front_at),
            point.network,
            point.block,
            point.levels,
            point.steps,
            point.bits,
            point.chip,
            settings,
        ),
        *(row.refused, row.samples, values["accuracy"], *energy, values["total"], values["latency"]),
        *(values["interval"], placement.get("cores"), placement.get("chips")),
        *(totals.get(name) for name in ("events_out", "spikes_out", "synaptic_operations", "weights")),
        point.key,
    ]
    return ["" if cell is None else cell for cell in cells]


def _document(row: Row) -> dict[str, Any]:
    point = row.point
    return {
        "front": row.number,
        "front_at": list(row.front_at),
        "network": point.network,
        "block": point.block,
        "levels": point.levels,
        "steps": point.steps,
        "bits": point.bits,
        "chip": point.chip,
        "settings": dict(point.settings),
        "key": point.key,
        "refused": row.refused,
        "result": row.result,
    }
