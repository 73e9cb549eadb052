"""Ratios of energies and their ranges, by hand and against brute force."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn2chip.hw_models.results import Range
from snn2chip.report.ratios import compare_networks
from tests.report.builder import DENSE, STATIC, network, priced, without_time

PRICES = {"a": Range(1.0, 2.0, 3.0), "b": Range(1.0, 1.0, 10.0)}


def test_twice_the_counts_on_one_chip_is_exactly_twice_whatever_the_prices() -> None:
    own, other = priced("own", {"a": 1, "b": 4}, PRICES), priced("other", {"a": 2, "b": 8}, PRICES)
    assert compare_networks(own, other).dynamic == Range(2.0, 2.0, 2.0)


def test_shared_prices_move_together() -> None:
    own, other = priced("own", {"a": 1, "b": 1}, PRICES), priced("other", {"a": 2, "b": 1}, PRICES)
    # smallest where a is cheap and b dear: (2*1 + 10) / (1 + 10); largest the other way round: (2*3 + 1) / (3 + 1)
    assert compare_networks(own, other).dynamic == Range(12 / 11, 5 / 3, 7 / 4)


def test_prices_of_two_chips_are_independent() -> None:
    own, other = priced("own", {"a": 1}, PRICES), priced("other", {"b": 1}, PRICES, chip_name="another")
    assert compare_networks(own, other).dynamic == Range(1 / 3, 1 / 2, 10.0)
    assert not compare_networks(own, other).same_chip


counts = st.lists(st.integers(0, 50), min_size=4, max_size=4)
ends = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=4, max_size=4)


@given(mine=counts.filter(any), theirs=counts, ends=ends)
def test_the_range_is_that_of_all_choices_of_ends(
    mine: list[int], theirs: list[int], ends: list[tuple[int, int]]
) -> None:
    names = "abcd"
    prices = {name: Range(low, low + more / 2, low + more) for name, (low, more) in zip(names, ends, strict=True)}
    own = priced("own", dict(zip(names, mine, strict=True)), prices)
    other = priced("other", dict(zip(names, theirs, strict=True)), prices)
    choices = list(product(*((low, low + more) for low, more in ends)))
    ratios = [_dot(theirs, choice) / _dot(mine, choice) for choice in choices]
    found = compare_networks(own, other).dynamic
    assert found is not None
    assert [found.low, found.high] == pytest.approx([min(ratios), max(ratios)])


def _dot(counts: list[int], prices: tuple[float, ...]) -> float:
    return sum(count * price for count, price in zip(counts, prices, strict=True))


def test_nothing_is_related_to_zero() -> None:
    own, other = priced("own", {"a": 0, "b": 0}, PRICES), priced("other", {"a": 2, "b": 1}, PRICES)
    assert compare_networks(own, other).dynamic is None


def test_a_price_that_may_be_zero_leaves_no_ratio() -> None:
    prices = {"a": Range(0.0, 1.0, 2.0)}
    assert compare_networks(priced("own", {"a": 1}, prices), priced("other", {"a": 2}, prices)).dynamic is None


def test_totals_are_related_only_where_both_chips_state_a_static_power() -> None:
    own = network("own", static_power=STATIC)
    assert compare_networks(own, network("other", 2.0, static_power=STATIC)).total is not None
    assert compare_networks(own, network("other", 2.0, chip_name="dense-45nm", prices=DENSE)).total is None


def test_time_events_and_accuracy() -> None:
    own = network("own", accuracy=0.99)
    other = compare_networks(own, network("other", 0.5, steps=4, accuracy=0.98))
    assert other.latency == pytest.approx(11 / 8)
    assert other.events == pytest.approx(2.0)
    assert other.accuracy == pytest.approx(-0.01)
    assert compare_networks(own, without_time(own)).latency is None
    assert compare_networks(own, network("other", accuracy=None)).accuracy is None
