"""Every shipped chip on the network of docs/hardware-models.md: 2 inputs, 3 hidden neurons, 2 classes, T = 2.

With the input [1, 0], 2 events reach the hidden neurons, which send 3. What happens is counted by hand here; energies
are counts times the prices of the chip files, low, nominal and high in pJ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pytest

from snn2chip.hw_models import load_chip, simulate
from snn2chip.hw_models.chip import available_chips
from tests.hw.networks import chain


class Golden(NamedTuple):
    """How often each action happens, of those that the chip prices, and the energy of all."""

    counts: Mapping[str, int]
    energy: tuple[float, float, float]


#: Each layer has one core: a message for each of the 2 + 3 events. 2 x 3 + 3 x 2 operations, 2 x (3 + 2) updates, two
#: cores at 3 barriers.
SPIKING = {"synaptic_operation": 12, "neuron_update_active": 10, "message": 5, "spike_out": 3, "barrier": 6}
#: The chip visits 5 neurons in each of 3 steps: 15 visits, 10 of them active.
LOIHI = {**SPIKING, "neuron_update_inactive": 5}
#: An event of 3 weights of 3 bits takes 2 words of 8 bits, one of 2 weights of 2 bits takes 1: 2 x 2 + 3 x 1. A link
#: lies between the tiles of the two layers.
MEMORY = {"synapse_read": 7, "accumulator_read": 12, "accumulator_write": 12, "state_read": 10, "state_write": 10}
UNIT = {**SPIKING, **MEMORY, "axon_in_read": 5, "axon_out_read": 3, "hop_x": 3}
#: Potentials are touched by 12 operations and 10 updates; 3 soft resets, 3 events sent.
POTENTIALS = {"event_read": 5, "weight_read": 12, "potential_read": 22, "potential_write": 22}
#: 12 operations, 10 updates and 3 resets are additions; addresses follow the outputs: 3 + 2.
QUALIA = {**POTENTIALS, "event_write": 3, "accumulate": 25, "address": 5}
#: Corrected: the input's 2 events are written too; 12 operations, 3 resets and the 4 logits of 2 steps are additions.
CORRECTED = {**POTENTIALS, "event_write": 5, "accumulate": 19, "address": 12, "compare": 6}
#: 2 x (6 + 6) products; 4 inputs and 6 activations; 10 sums, to which the readout adds 4.
PRODUCTS = {"multiply": 24, "weight_read": 24, "activation_read": 10}
FORMAL = {**PRODUCTS, "activation_write": 10, "accumulate": 34, "address": 24}
#: The array keeps 5 potentials between 2 steps; its sums are done in one pass.
ARRAY = {"sum_read": 10, "sum_write": 10, "requantize": 6}
DENSE = {**PRODUCTS, **ARRAY, "activation_write": 14, "accumulate": 28}
#: Products with the 5 values that are not 0 only, and a bitmap of all 10.
SKIPPING = {"multiply": 12, "weight_read": 24, "activation_read": 5, "activation_write": 9, "accumulate": 16}

GOLDEN: Mapping[str, Golden] = {
    "unit": Golden(UNIT, (98, 98, 98)),
    "loihi1-davies2018": Golden(LOIHI, (1275.7, 1361.7, 2662.0)),  # 12 x 23.6 + 10 x 81 + 5 x 52 + 5 x 1.7
    "loihi1-sanafe": Golden(LOIHI, (2034.9, 2150.1, 2172.9)),  # 12 x 33.6 + 10 x 72.8 + 5 x 51.2 + 3 x 69.3 + 5 x 111
    "loihi2": Golden(LOIHI, (592.49, 1361.7, 1361.7)),  # low: 12 x 4.72 + 10 x 40.5 + 5 x 26 + 5 x 0.17
    "loihi2-scaled": Golden(LOIHI, (592.49, 592.49, 1361.7)),
    "lemaire-45nm": Golden(CORRECTED, (1.18028, 1.25055, 3.63014)),  # (19 + 12 + 6) x 0.03, and tiny memories
    "lemaire-45nm-as-published": Golden(QUALIA, (847.889,) * 3),  # 64 x 13.2 and (25 + 5) x 0.1, and 0.09 for sizes
    "lemaire-45nm-qualia": Golden(QUALIA, (849.227,) * 3),
    "lemaire-45nm-as-published-dense": Golden(FORMAL, (661.002,) * 3),  # 44 x 13.2, 24 x 3.1, (34 + 24) x 0.1
    "lemaire-45nm-qualia-dense": Golden(FORMAL, (661.034,) * 3),
    "dense-45nm": Golden(DENSE, (7.02609, 7.03219, 7.18663)),  # 24 x 0.2, 28 x 0.03, 6 x 0.23, and tiny memories
    "dense-45nm-zero-skipping": Golden({**SKIPPING, **ARRAY, "bitmap_read": 10, "bitmap_write": 10},
                                       (4.26631, 4.27262, 4.44036)),
}  # fmt: skip


def test_every_shipped_chip_has_a_golden_report() -> None:
    assert set(GOLDEN) == set(available_chips())


@pytest.mark.parametrize("name", GOLDEN)
def test_counts_times_prices(name: str) -> None:
    golden, chip = GOLDEN[name], load_chip(name)
    report = simulate(chain(), np.array([[1, 0]], np.uint8), None, chip)
    found = {row.action: row.count for row in report.totals.actions}
    assert golden.counts.items() <= found.items()
    priced = {row.action for row in report.totals.actions if row.energy.nominal}
    assert priced <= golden.counts.keys()  # nothing else costs anything
    energy, joules = report.energy.dynamic, [1e-12 * pJ for pJ in golden.energy]
    assert (energy.low, energy.nominal, energy.high) == pytest.approx(joules, rel=1e-5, abs=0)
    if chip.model == "neurocore":
        prices = {action: price.quantity.range.nominal for action, price in chip.prices.items() if price.quantity}
        spent = sum(count * prices.get(action, 0.0) for action, count in golden.counts.items())
        assert spent == pytest.approx(energy.nominal, rel=1e-12, abs=0)
