"""Fronts over results that are written by hand, so that every answer can be read off."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from snn2chip.sweep import pareto
from snn2chip.sweep.figure import figure
from snn2chip.sweep.networks import Source
from snn2chip.sweep.points import Point
from snn2chip.sweep.results import Results, collect
from snn2chip.sweep.store import Store

FITS = {"fits": True, "cores": 3, "chips": 1, "broken": []}


def _result(
    accuracy: float | None,
    energy: tuple[float, float, float],
    seconds: float | None,
    static: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    dynamic = dict(zip(("low", "nominal", "high"), energy, strict=True))
    constant = None if static is None else dict.fromkeys(dynamic, static)
    total = {key: value + (static or 0) for key, value in dynamic.items()}
    result = {
        "accuracy": accuracy,
        "samples": 10,
        "energy": {"dynamic": dynamic, "static": constant, "total": total},
        "latency": {"seconds": seconds, "interval_seconds": seconds},
        "totals": {"events_out": 1.0, "spikes_out": 2.0, "synaptic_operations": 3.0, "weights": 4},
        "placement": FITS,
    }
    return {"refused": None, "result": {**result, **more}}


def _collect(folder: Path, found: dict[str, dict[str, Any]], objectives: str, chips: str = "", **more: Any) -> Results:
    """Points a, b, ... in that order, on the chips of the letters in `chips`."""
    store = Store.create(folder)
    points = []
    for place, (name, content) in enumerate(found.items()):
        chip = chips[place] if chips else "c"
        point = Point(name, None, 4, 1, 8, chip, {}, Source("x"), chip, {"graph": name, "chip": chip})
        store.write(point.key, content)
        points.append(point)
    return collect(store, points, pareto.parse(objectives.split(",")), **more)


def test_prices_decide_who_is_on_the_front(tmp_path: Path) -> None:
    points = {
        "cheap-if-low": _result(0.9, (1.0, 3.0, 9.0), 1.0),
        "steady": _result(0.9, (2.0, 2.0, 2.0), 1.0),
        "better": _result(0.95, (8.0, 8.0, 9.0), 1.0),
        "beaten": _result(0.8, (2.0, 4.0, 9.0), 1.0),
    }
    found = _collect(tmp_path / "store", points, "accuracy,energy")
    assert [row.front_at for row in found.rows] == [
        ("low",),
        ("nominal", "high"),
        ("low", "nominal", "high"),
        (),
    ]
    assert [row.number for row in found.rows] == [None, 1, 2, None]
    assert [row.point.network for row in found.front] == ["steady", "better"]


def test_chips_apart_have_fronts_apart(tmp_path: Path) -> None:
    points = {
        name: _result(0.9, (joules,) * 3, 1.0) for name, joules in (("a", 5.0), ("b", 4.0), ("c", 1.0), ("d", 2.0))
    }
    together = _collect(tmp_path / "store", points, "accuracy,energy", "xxyy")
    assert [row.number for row in together.rows] == [None, None, 1, None]
    apart = _collect(tmp_path / "store", points, "accuracy,energy", "xxyy", per_chip=True)
    assert [row.number for row in apart.rows] == [None, 1, 2, None]


def test_what_cannot_be_compared_is_told_from_what_is_refused(tmp_path: Path) -> None:
    broken = {"layer": "conv", "limit": "synapse_bits_per_core", "need": 9, "have": 8}
    small = {"layer": "conv", "limit": "cores", "need": 9, "have": 8}
    points = {
        "timeless": _result(0.99, (1.0,) * 3, None),
        "unlabelled": _result(None, (1.0,) * 3, 1.0),
        "refused": {"refused": "no price", "result": None},
        "unfit": _result(0.99, (1.0,) * 3, 1.0, placement={**FITS, "fits": False, "broken": [small, broken]}),
        "two-chips": _result(0.5, (9.0,) * 3, 9.0, placement={**FITS, "fits": False, "chips": 2, "broken": [small]}),
    }
    found = _collect(tmp_path / "store", points, "accuracy,energy,latency")
    assert [row.point.network for row in found.incomparable] == ["timeless", "unlabelled"]
    assert [row.refused for row in found.refused] == [
        "no price",
        "does not fit: conv needs 9 of synapse_bits_per_core, there are 8",
    ]
    assert [row.point.network for row in found.front] == ["two-chips"]
    lines = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [line["latency"] for line in lines] == ["", "1.0", "", "", "9.0"]
    assert [line["energy"] for line in lines] == ["1.0", "1.0", "", "1.0", "9.0"]
    assert [line["chips"] for line in lines] == ["1", "1", "", "1", "2"]
    assert [point["result"] is None for point in json.loads(found.to_json())["points"]] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_static_power_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    points = {
        "slow": _result(0.9, (1.0,) * 3, 2.0, static=4.0),
        "fast": _result(0.9, (2.0,) * 3, 1.0, static=2.0),
        "unknown": _result(0.9, (0.1,) * 3, 0.1),
    }
    found = _collect(tmp_path / "store", points, "accuracy,total")
    assert [row.values["total"] for row in found.rows] == [5.0, 4.0, None]
    assert [row.point.network for row in found.front] == ["fast"]
    assert [row.point.network for row in found.incomparable] == ["unknown"]


def test_one_point_under_two_names_has_one_number(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    identity = {"graph": "the same"}
    points = [Point(name, None, 4, 1, 8, "c", {}, Source(name), "c", identity) for name in ("a", "b")]
    store.write(points[0].key, _result(0.9, (1.0,) * 3, 1.0))
    found = collect(store, points, pareto.parse(("accuracy", "energy")))
    assert [row.number for row in found.rows] == [1, 1]
    assert [row.point.network for row in found.front] == ["a", "b"]


def test_the_picture_numbers_the_front_and_shows_no_more_names_than_can_be_told_apart(tmp_path: Path) -> None:
    points = {f"net-{place:02d}": _result(0.5 + place / 40, (1.0 + place,) * 3, 1.0) for place in range(11)}
    chips = "abcdefghijk"
    found = _collect(tmp_path / "store", points, "accuracy,energy,latency", chips)
    assert [row.number for row in found.rows] == list(range(1, 12))
    drawn = figure(found)
    assert drawn == figure(found)
    texts = set(re.findall("<!-- (.*?) -->", drawn))
    assert {f"{number}" for number in range(1, 12)} <= texts, "every point stands apart in the first panel"
    assert "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11" not in texts
    assert {"net-06", "net-07 and 3 more, colours and shapes repeat"} <= texts
    assert not {"net-07", "net-08"} & texts
    assert {"energy: dynamic energy per inference", "latency: time of one inference alone", "accuracy"} <= texts


def test_points_under_one_another_share_a_label(tmp_path: Path) -> None:
    points = {name: _result(0.9, (1.0,) * 3, 1.0) for name in ("a", "b", "c")}
    points["d"] = _result(0.99, (4.0,) * 3, 1.0)
    texts = re.findall("<!-- (.*?) -->", figure(_collect(tmp_path / "store", points, "accuracy,energy")))
    assert "1, 2, 3" in texts
    assert "4" in texts


def test_a_picture_of_nothing_is_drawn(tmp_path: Path) -> None:
    found = _collect(tmp_path / "store", {"a": {"refused": "no price", "result": None}}, "energy,latency")
    assert "latency: time of one inference alone" in figure(found)
