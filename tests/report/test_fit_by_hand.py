"""A fit of prices against the reports that it was made from: residuals recomputed, and no better prices near it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.results import NetworkReport
from snn2chip.report.measured import Measurement, fit
from tests.hw.networks import chain, fading, graded_skip, images, residual

CHIP = load_chip("loihi2")
NAMES = ("synaptic_operation", "static")


def joules(network: NetworkReport, prices: Mapping[str, float]) -> float:
    """Counts times prices, the chip file's where none is given; static power over the latency of every chip."""
    spent = 0.0
    for row in network.totals.actions:
        quantity = CHIP.prices[row.action].quantity
        spent += row.count * prices.get(row.action, quantity.value if quantity else 0.0)
    assert network.placement is not None
    assert network.latency.seconds is not None
    watts, chips = prices.get("static", CHIP.number("power.static")), int(network.placement["chips"])
    return spent + watts * chips * network.latency.seconds


@pytest.fixture(scope="module")
def measured() -> list[Measurement]:
    """Five networks, each with a measured value some per cent away from what the chip file says."""
    graphs = (chain(), graded_skip(), residual(size=8), residual(steps=2, seed=3), fading())
    networks = [simulate(graph, images(graph, samples=8), None, CHIP) for graph in graphs]
    noise = (1.31, 0.82, 1.17, 0.94, 1.05)
    return [
        Measurement(f"{place}.json", network, network.energy.total.nominal * factor)
        for place, (network, factor) in enumerate(zip(networks, noise, strict=True))
    ]


def errors(measured: list[Measurement], prices: Mapping[str, float]) -> list[float]:
    return [joules(item.network, prices) / item.joules - 1.0 for item in measured]


def test_residuals_are_those_of_the_fitted_prices(measured: list[Measurement]) -> None:
    found = fit(CHIP, measured, NAMES)
    prices = {name: price.nominal for name, price in found.prices.items()}
    assert found.residuals == pytest.approx(errors(measured, prices), rel=1e-7, abs=1e-12)
    assert found.before == pytest.approx([joules(item.network, {}) for item in measured], rel=1e-9, abs=0)
    assert max(map(abs, found.residuals)) > 0.05


@pytest.mark.parametrize("names", [NAMES[:1], NAMES[1:], NAMES])
def test_no_prices_nearby_come_nearer(measured: list[Measurement], names: tuple[str, ...]) -> None:
    found = fit(CHIP, measured, names)
    prices = {name: price.nominal for name, price in found.prices.items()}
    least = np.square(found.residuals).sum()
    for name in names:
        for factor in (0.99, 0.9999, 1.0001, 1.01):
            moved = prices | {name: prices[name] * factor}
            assert np.square(errors(measured, moved)).sum() > least


def test_ends_are_the_fits_without_one_measurement(measured: list[Measurement]) -> None:
    found = fit(CHIP, measured, ["static"]).prices["static"]
    fits = [fit(CHIP, measured[:place] + measured[place + 1 :], ["static"]) for place in range(len(measured))]
    values = [each.prices["static"].nominal for each in fits]
    assert (found.low, found.high) == pytest.approx((min(values), max(values)), rel=1e-9)
