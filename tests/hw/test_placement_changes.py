"""What does not fit is named with layer, limit and numbers, and the change that is proposed makes it fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snn2chip.errors import UserError
from snn2chip.graph import Graph, Node, Region, frozen
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.hw_models.cutting import Broken
from snn2chip.hw_models.fitting import fit
from snn2chip.hw_models.needs import Needs
from snn2chip.hw_models.placement import place
from snn2chip.hw_models.simulate import simulate
from snn2chip.lowering import to_populations
from snn2chip.ops import Add, Input, Linear, MultiLevelIF, Readout
from tests.hw.networks import chain, graded_skip, images, residual, thresholds, unit


def with_capacity(folder: Path, **bits: int) -> Chip:
    """The unit chip with capacities in bits, its synaptic memory left out of account."""
    lines = ['name = "small"', 'title = "small"', 'inherits = "unit"']
    for key, value in {"synapse": 10**9, **bits}.items():
        lines.append(f'capacity.{key} = {{ value = {value}, unit = "bit", kind = "assumed", source = "unit" }}')
    path = folder / "small.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_chip(path)


def long_skip() -> Graph:
    """One input up to 3 that reaches the readout at once and through two layers of one neuron."""
    one = frozen([[1]], np.int8)
    return Graph(
        (
            Node("x", Input((1,), 3)),
            Node("l0", Linear(one), ("x",)),
            Node("n0", MultiLevelIF(thresholds(1), 3), ("l0",)),
            Node("l1", Linear(one), ("n0",)),
            Node("n1", MultiLevelIF(thresholds(1), 3), ("l1",)),
            Node("l2", Linear(one), ("n1",)),
            Node("n2", MultiLevelIF(thresholds(1), 3), ("l2",)),
            Node("sum", Add(), ("n2", "n0")),
            Node("bar", MultiLevelIF(thresholds(1), 3), ("sum",)),
            Node("fc", Linear(one), ("bar",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=1,
    )


def test_a_skip_that_waits_takes_a_place_for_every_step(tmp_path: Path) -> None:
    network = to_populations(long_skip())
    (waiting,) = (found for found in network["bar"].projections if found.delay)
    assert waiting.delay == 2
    chip = with_capacity(tmp_path, delay=6, core=10**6)
    needs = Needs(network, network["bar"], chip, {})
    whole = Region.whole((1,))
    assert needs.of("delay_bits_per_core", whole) == 2 * (1 + 2)  # a bit for the event, two for a value up to 3
    assert needs.of("memory_bits_per_core", whole) == 6 + needs.of("state_bits_per_core", whole)
    assert place(network, chip).broken == ()
    assert place(network, with_capacity(tmp_path, delay=5)).broken == (Broken("bar", "delay_bits_per_core", 6, 5),)


def test_a_shorter_skip_is_proposed(tmp_path: Path) -> None:
    found = fit(long_skip(), with_capacity(tmp_path, delay=5))
    assert found["reason"] == (
        "layer 'bar' is too big for any core: one row of one channel needs 6 bits of delay buffers and a core has 5: "
        "let its skip wait at most 1 step instead of 2"
    )


def test_delay_buffers_cut_layers_like_every_other_limit(tmp_path: Path) -> None:
    network = to_populations(residual())
    free = place(network, with_capacity(tmp_path)).slots["bar"]
    # One map of 6 x 6 waits a step: 5 levels take 3 bits, the event one.
    tight = place(network, with_capacity(tmp_path, delay=4 * 36)).slots["bar"]
    assert (len(free), len(tight)) == (1, 4)
    assert place(network, with_capacity(tmp_path, delay=4 * 36)).broken == ()


def change(graph: Graph, chip: Chip, limit: str) -> str:
    (text,) = {entry["change"] for entry in fit(graph, chip)["broken"] if entry["limit"] == limit}
    return str(text)


def wide_sources(bits: int) -> Graph:
    """10 inputs, 1 class, weights of `bits` bits."""
    most = 2 ** (bits - 1) - 1
    return Graph(
        (
            Node("x", Input((10,), 1)),
            Node("fc", Linear(frozen([[most] * 10], np.int8)), ("x",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=1,
    )


@pytest.mark.parametrize(("have", "bits"), [(79, 7), (70, 7), (69, 6), (20, 2)])
def test_the_proposed_weight_bits_fit(tmp_path: Path, have: int, bits: int) -> None:
    chip = with_capacity(tmp_path, synapse=have)
    said = change(wide_sources(8), chip, "synapse_bits_per_core")
    assert said == f"weights of {bits} instead of 8 bits would fit"
    assert fit(wide_sources(bits), chip)["fits"]
    assert bits == 7 or not fit(wide_sources(bits + 1), chip)["fits"]


def test_where_no_weights_are_small_enough_the_layer_before_is_too_wide(tmp_path: Path) -> None:
    said = change(wide_sources(8), with_capacity(tmp_path, synapse=19), "synapse_bits_per_core")
    assert said == "let 'x', which it reads, have at most 2 neurons (10 now)"


def test_a_map_too_wide_for_a_core_is_proposed_narrower(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="4")
    said = change(residual(size=6), chip, "neurons_per_core")
    assert said == "make its maps at most 4 columns wide (they have 6)"
    assert fit(residual(size=4), unit(tmp_path, "more", limits__neurons_per_core="4", structure__cores="999"))["fits"]


def test_readers_on_too_many_cores_are_proposed_narrower(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="2", limits__axons_out_per_core="1")
    assert change(graded_skip(), chip, "axons_out_per_core") == (
        "narrow the layers that read it until they take at most 1 cores (a neuron reaches 3 now)"
    )


def test_a_core_that_holds_not_even_one_neuron_asks_for_another_chip(tmp_path: Path) -> None:
    chip = with_capacity(tmp_path, state=1)
    assert "choose a chip with at least" in fit(chain(), chip)["reason"]


def test_weights_small_enough_for_one_chip_are_proposed(tmp_path: Path) -> None:
    bits = with_capacity(tmp_path, synapse=400)
    chip = replace(
        bits,
        numbers={**bits.numbers, "structure.cores": unit(tmp_path, structure__cores="7").numbers["structure.cores"]},
    )
    found = fit(residual(), chip)
    assert [(entry["limit"], entry["need"], entry["have"]) for entry in found["broken"]] == [("cores", 11, 7)]
    assert found["broken"][0]["change"] == "use 2 chips, or weights of 5 instead of 8 bits, which take 7 cores"
    network = to_populations(residual())
    assert [place(network, chip, width).cores for width in (8, 6, 5)] == [11, 11, 7]


def test_a_message_between_chips_needs_a_price(tmp_path: Path) -> None:
    chip = unit(tmp_path, limits__neurons_per_core="1", structure__cores="4", structure__tile_columns="2")
    unpriced = replace(chip, prices={key: price for key, price in chip.prices.items() if key != "chip_crossing"})
    with pytest.raises(UserError, match=r"performs 'chip_crossing', which \[prices\] does not mention"):
        simulate(chain(), images(chain()), None, unpriced)
    one = unit(tmp_path, "one", limits__neurons_per_core="1")
    alone = replace(one, prices={key: price for key, price in one.prices.items() if key != "chip_crossing"})
    assert simulate(chain(), images(chain()), None, alone).placement is not None
