"""Numbers as text."""

from __future__ import annotations

import pytest

from snn2chip.hw_models.results import Range
from snn2chip.report.units import apart, change, count, factor, factor_range, percent, points, quantity, quantity_range


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 J"),
        (4.2e-7, "420 nJ"),
        (1.0, "1.00 J"),
        (9.996e-7, "1.00 µJ"),
        (9.994e-7, "999 nJ"),
        (1.2345e-12, "1.23 pJ"),
        (5.6e-16, "560 aJ"),
        (3e-25, "3.00e-25 J"),
        (None, "n/a"),
    ],
)
def test_quantity(value: float | None, text: str) -> None:
    assert quantity(value, "J") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (512, "512"), (51.23, "51.2"), (999.9, "1.00 k"), (12345.6, "12.3 k"), (0.0213, "0.0213")],
)
def test_count(value: float, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(("value", "text"), [(2.125, "2.12×"), (0.4786, "0.479×"), (124.4, "124×"), (1.0, "1.00×")])
def test_factor(value: float, text: str) -> None:
    assert factor(value) == text


def test_ranges_name_their_ends_only_where_they_differ() -> None:
    assert factor_range(Range(1.9, 2.125, 2.4)) == "2.12× (1.90..2.40)"
    assert factor_range(Range(2.0, 2.0, 2.0)) == "2.00×"
    assert quantity_range(Range(1e-9, 2e-9, 4e-9), "J") == "2.00 nJ (1.00 nJ..4.00 nJ)"
    assert quantity_range(Range(2e-9, 2e-9, 2e-9), "J") == "2.00 nJ"


def test_shares_and_changes() -> None:
    assert percent(0.99111) == "99.1 %"
    assert (percent(0.9996), percent(0.996, 0), percent(1.0)) == ("99.96 %", "99.6 %", "100.0 %")
    assert points(-0.0044) == "-0.44 points"
    assert change(2.0, 1.5) == "-25 %"
    assert change(0.0, 1.5) == "from zero"
    assert change(4.0, 55.0) == "+1275 %"
    assert change(1.5, 1.5) == "same"
    assert percent(None) == points(None) == count(None) == factor(None) == "n/a"


def test_figures_that_differ_are_told_apart() -> None:
    assert apart(1.392e-7, 1.388e-7, "J") == ("139.2 nJ", "138.8 nJ")
    assert apart(1.0e-7, 2.0e-7, "J") == ("100 nJ", "200 nJ")
    assert apart(1234567.0, 1234568.0, "") == ("1.234567 M", "1.234568 M")
    assert apart(0.12345, 0.12346, "") == ("0.12345", "0.12346")
    assert apart(1.5e-9, 1.5e-9, "J") == ("1.50 nJ", "1.50 nJ")
    assert apart(None, 1.0, "J") == ("n/a", "1.00 J")
    assert apart(1.0, 1.0 + 1e-12, "J") == ("1.00000000 J", "1.00000000 J")
