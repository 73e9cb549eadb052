"""``--fail-if``: what is a condition, when it holds, and what is wrong with one that is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snn2chip.errors import UserError
from snn2chip.hw_models.results import NetworkReport
from snn2chip.report.limits import METRICS, parse
from tests.report.builder import STATIC, network, without_time


@pytest.fixture
def own() -> NetworkReport:
    """40 µs; static power 0.104 W, so that 4.16 µJ are static."""
    return network("own", static_power=STATIC)


def test_conditions_hold_or_do_not(own: NetworkReport) -> None:
    total, dynamic = own.energy.total.nominal, own.energy.dynamic.nominal
    for condition, holds in (
        (f"energy > {total * 0.99 * 1e6} uJ", True),
        (f"energy > {total * 1.01 * 1e6} uJ", False),
        (f"dynamic>={dynamic} J", True),
        (f"dynamic > {dynamic} J", False),
        ("latency > 39 us", True),
        ("latency > 0.041 ms", False),
        ("accuracy < 99.2 %", True),
        ("accuracy < 0.991", False),
        (f"edp > {total * 40e-6 * 0.99} J*s", True),
        (f"edp <= {total * 40e-6 * 0.99 * 1e12} uJ*us", False),
        ("events > 0.9 k", True),
        ("events > 1e3", False),
    ):
        assert (parse(condition).broken(own) is not None) == holds, condition


def test_the_sentence_says_figure_and_condition(own: NetworkReport) -> None:
    assert parse("latency > 5 \N{MICRO SIGN}s").broken(own) == (
        "own on loihi2: latency is 40.0 µs, and --fail-if says 'latency > 5 µs'"
    )


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("energy", r"this is no condition: write METRIC > NUMBER UNIT"),
        ("energy = 5 uJ", r"this is no condition"),
        ("energy > 5 uJ today", r"this is no condition"),
        ("power > 5 uJ", r"'power' is unknown: limit one of energy, dynamic, latency, edp, events, accuracy"),
        ("energy > 5 us", r"the unit is 'us', but energy is given in fJ, pJ, nJ, uJ, mJ, J"),
        ("energy > 5", r"the unit is '', but energy is given in"),
        ("edp > 5 uJ", r"the unit is 'uJ', but edp is given in J\*s and its like"),
        ("energy > 1.2.3 uJ", r"'1\.2\.3' is no number"),
        ("energy > 1e999 uJ", r"'1e999' is no number"),
        ("accuracy < 95", r"accuracy is a share from 0 to 1: write 95 % or 0\.95"),
    ],
)
def test_what_is_no_condition_is_refused(condition: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(condition)


@pytest.mark.parametrize(
    ("condition", "mend"), [("latency > 1 s", "time"), ("edp > 1 J*s", "time"), ("accuracy < 1 %", "classes")]
)
def test_a_figure_that_nobody_knows_is_an_error(condition: str, mend: str) -> None:
    unknown = without_time(network("own", accuracy=None))
    with pytest.raises(UserError, match=rf"own on loihi2 has no {condition.split()[0]}: .*{mend}"):
        parse(condition).broken(unknown)


def test_every_metric_has_a_figure(own: NetworkReport) -> None:
    for metric, units in METRICS.items():
        assert parse(f"{metric} >= 0 {next(iter(units))}").broken(own), metric


@pytest.mark.parametrize("percentage", range(101))
def test_a_figure_right_at_its_limit_is_at_it(percentage: int) -> None:
    """95 * 0.01 is above 0.95 in floating point."""
    own = network("own", accuracy=percentage / 100)
    assert parse(f"accuracy < {percentage} %").broken(own) is None
    assert parse(f"accuracy > {percentage} %").broken(own) is None
    assert parse(f"accuracy >= {percentage} %").broken(own)


@pytest.mark.parametrize("cycles", range(1, 60))
def test_microseconds_are_not_a_little_less(cycles: int) -> None:
    own = network("own")
    own = replace(own, latency=replace(own.latency, seconds=cycles * 1000 / 1e9))
    assert parse(f"latency > {cycles} us").broken(own) is None
    assert parse(f"latency <= {cycles} us").broken(own)
