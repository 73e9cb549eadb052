"""What each uncertain number leaves open of an energy and of a ratio, by hand."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import product

import pytest

from snn2chip.hw_models.results import ChipSummary, NetworkReport, Range, SourcedPrice
from snn2chip.report import EnergyReport, prices
from snn2chip.report.drawing import NARROW, WIDE, Format
from snn2chip.report.prices import Swing
from snn2chip.report.ratios import compare_networks
from snn2chip.report.side_by_side import uncertainty
from snn2chip.report.tornado import tornado_figure, visible
from tests.report.builder import STATIC, full_report, network, priced

PRICES = {"a": Range(1.0, 2.0, 3.0), "b": Range(1.0, 1.0, 10.0), "c": Range(5.0, 5.0, 5.0)}
SHARED = SourcedPrice("words.access", "32 (1 to 64) bit", "assumed", "somebody, 2014")


def analytic(report: NetworkReport, name: str, number: SourcedPrice = SHARED) -> NetworkReport:
    """The same network on an analytic chip whose file states `number`."""
    chip = ChipSummary(name, name, "formula", None, name, (number,))
    return replace(report, chip=chip)


def test_swings_of_an_energy() -> None:
    own = priced("own", {"a": 1, "b": 1, "c": 2}, PRICES)  # 2 + 1 + 10 = 13
    assert prices.swings(own) == (Swing("prices.b", "loihi2", 13.0, 22.0), Swing("prices.a", "loihi2", 12.0, 14.0))


def test_static_power_is_a_number_of_its_own() -> None:
    own = network("own", static_power=STATIC)
    assert "power.static" not in {swing.number for swing in prices.swings(own)}
    (swing,) = (swing for swing in prices.swings(own, prices.total) if swing.number == "power.static")
    assert own.energy.static is not None
    assert swing.span == pytest.approx(own.energy.static.high - own.energy.static.low, rel=1e-9, abs=0)


def test_swings_of_a_ratio_move_on_both_sides() -> None:
    own, other = priced("own", {"a": 1, "b": 1}, PRICES), priced("other", {"a": 2, "b": 1}, PRICES)
    found = prices.ratio_swings(own, other)  # nominal 5 / 3; b high: (4 + 10) / (2 + 10); a low 3 / 2, a high 7 / 4
    assert found == (Swing("prices.b", "loihi2", 5 / 3, 14 / 12), Swing("prices.a", "loihi2", 3 / 2, 7 / 4))
    assert compare_networks(own, other).swings == found


def test_a_number_that_cannot_matter_to_a_ratio_is_left_out() -> None:
    own, other = priced("own", {"a": 1}, PRICES), priced("other", {"a": 7}, PRICES)
    assert prices.ratio_swings(own, other) == ()


def test_accesses_to_all_memories_rest_on_one_number() -> None:
    both = {"weight_read": PRICES["a"], "potential_read": PRICES["b"]}
    own = analytic(priced("own", {"weight_read": 1, "potential_read": 1}, both), "x")
    assert prices.swings(own) == (Swing("words.access", "x", 13.0, 2.0),)


def test_a_number_that_two_files_state_alike_is_one_number() -> None:
    read = {"weight_read": PRICES["a"]}
    own, other = priced("own", {"weight_read": 1}, read), priced("other", {"weight_read": 3}, read)
    assert compare_networks(analytic(own, "x"), analytic(other, "y")).dynamic == Range(3.0, 3.0, 3.0)
    unlike = replace(SHARED, source="somebody else, 2015")
    apart = compare_networks(analytic(own, "x"), analytic(other, "y", unlike))
    assert apart.dynamic == Range(3 * 1 / 3, 3.0, 3 * 3 / 1)
    assert [swing.chip for swing in apart.swings] == ["x", "y"]


def test_a_range_holds_the_nominal_ratio_where_prices_bend() -> None:
    """Ends of one number need not lie on a line: both ratios at the ends may be above that of the nominal prices."""
    bent = {"weight_read": Range(1.0, 4.0, 5.0), "potential_read": Range(1.0, 1.0, 3.0)}
    own = analytic(priced("own", {"weight_read": 1, "potential_read": 1}, bent), "x")
    other = analytic(priced("other", {"potential_read": 1}, bent), "x")
    ratio = compare_networks(own, other).dynamic
    assert ratio == Range(1 / 5, 1 / 5, 1 / 2)


def test_the_largest_and_smallest_ratio_of_all_choices() -> None:
    own, other = priced("own", {"a": 3, "b": 1, "c": 1}, PRICES), priced("other", {"a": 1, "b": 5, "c": 0}, PRICES)
    ends = [(price.low, price.nominal, price.high) for price in PRICES.values()]
    ratios = [(a + 5 * b) / (3 * a + b + c) for a, b, c in product(*ends)]
    found = compare_networks(own, other).dynamic
    assert found is not None
    assert [found.low, found.high] == pytest.approx([min(ratios), max(ratios)])


def test_the_table_names_the_number_that_dominates() -> None:
    own = priced("own", {"a": 1, "b": 1, "c": 2}, PRICES)
    other = priced("other", {"a": 2, "b": 1}, PRICES)
    rows = uncertainty(EnergyReport((own, other))).rows
    assert [row[:2] for row in rows] == [("own", "b"), ("own", "a"), ("other", "b"), ("other, ratio", "b")]


@pytest.mark.parametrize("form", [WIDE, NARROW])
def test_the_tornado_draws_a_bar_for_each_end(form: Format) -> None:
    swings = prices.swings(full_report().own)
    shown = visible(swings)
    assert 1 < len(shown) <= 8
    nominal = full_report().own.energy.dynamic.nominal
    drawn = tornado_figure(swings, nominal, lambda value: f"{value:.3g}", "energy", form)
    assert drawn == tornado_figure(swings, nominal, lambda value: f"{value:.3g}", "energy", form)
    colours = [
        path.attrib.get("style", "") for path in ElementTree.fromstring(drawn).iter() if path.tag.endswith("path")
    ]
    for colour in ("#0072b2", "#d55e00"):
        assert sum(f"fill: {colour}" in style for style in colours) == len(shown) + 1  # and one in the legend


def test_what_is_too_small_to_see_is_not_drawn() -> None:
    swings = [Swing("wide", "x", 0.0, 100.0), Swing("narrow", "x", 0.0, 0.5)]
    assert visible(swings) == swings[:1]
