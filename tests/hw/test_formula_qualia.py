"""Lemaire's model as Qualia computes it, on figures from elsewhere; tests/peers/test_qualia.py asks Qualia itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snn2chip.errors import GraphError, UserError
from snn2chip.graph import Graph, Node, frozen
from snn2chip.hw_models import Chip, load_chip, pricing, simulate
from snn2chip.hw_models.activity import Activity, Tally
from snn2chip.hw_models.chip import SHIPPED
from snn2chip.hw_models.qualia import formula
from snn2chip.hw_models.results import LayerRow
from snn2chip.hw_models.sram import Memory, access_energy
from snn2chip.lowering import Network, Role, to_populations
from snn2chip.ops import Conv2d, Flatten, Input, Linear, MaxPool2d, MultiLevelIF, Readout
from tests.hw.networks import fading, graded_skip, images, residual

SAMPLES = 1000
WIDTHS = (64, 64, 128, 128, 256, 256, 256, *[512] * 6)
POOLED = (1, 3, 6, 9, 12)


def vgg16(steps: int, levels: int, features: tuple[int, ...] = (512, 512, 10)) -> Network:
    """VGG-16 for 32 x 32 images: 13 convolutions with biases, pools behind 5 of them, and linear layers."""
    nodes, last, channels = [Node("x", Input((3, 32, 32), 255))], "x", 3

    def neurons(name: str, width: int) -> str:
        nodes.append(Node(name, MultiLevelIF(frozen(np.ones(width), np.int32), levels), (nodes[-1].name,)))
        return name

    for index, width in enumerate(WIDTHS):
        kernel, bias = np.zeros((width, channels, 3, 3)), np.zeros(width)
        conv = Conv2d(frozen(kernel, np.int8), frozen(bias, np.int32), padding=(1, 1))
        nodes.append(Node(f"conv{index}", conv, (last,)))
        last, channels = neurons(f"n{index}", width), width
        if index in POOLED:
            nodes.append(Node(f"pool{index}", MaxPool2d((2, 2), (2, 2)), (last,)))
            last = f"pool{index}"
    nodes.append(Node("flat", Flatten(), (last,)))
    for index, width in enumerate(features):
        linear = Linear(frozen(np.zeros((width, channels)), np.int8), frozen(np.zeros(width), np.int32))
        nodes.append(Node(f"fc{index}", linear, (nodes[-1].name,)))
        channels = width
        if index < len(features) - 1:
            neurons(f"m{index}", width)
    nodes.append(Node("out", Readout(), (nodes[-1].name,)))
    return to_populations(Graph(tuple(nodes), steps))


NETWORKS = {(4, 1): vgg16(4, 1), (1, 4): vgg16(1, 4)}


def seen(network: Network, levels: int, rate: float) -> Activity:
    """As if a share `rate` of every hidden map had been at its largest value in every step, and all of the input."""
    activity = Activity(network, SAMPLES)
    for population in network.populations:
        share, largest = (1.0, 255) if population.role is Role.INPUT else (rate, levels)
        events = np.full(population.shape, round(share * SAMPLES) * network.graph.steps)
        activity.tallies[population.name] = Tally(events, events * largest, np.zeros(population.shape[0], np.int64))
    return activity


def nanojoules(chip: Chip, steps: int, levels: int, rate: float = 0.1, network: Network | None = None) -> float:
    network = network or NETWORKS[steps, levels]
    rows = formula(network, chip).layers(seen(network, levels, rate))
    return pricing.energy(row for layer in rows for row in layer.actions).nominal * 1e9


def variant(folder: Path, parent: str, changes: str) -> Chip:
    path = folder / "mine.toml"
    path.write_text(f'name = "mine"\ntitle = "mine"\ninherits = "{parent}"\n{changes}', encoding="utf-8")
    return load_chip(path)


def width(bits: int) -> str:
    return f'words.word = {{ value = {bits}, unit = "bit", kind = "published", source = "qualia" }}\n'


#: b, T, N and nJ of VGG-16 with every hidden map at a rate of 0.1, worked out beforehand, apart from this code.
REGRESSION = [(16, 4, 1, 2.906e7), (16, 1, 4, 7.383e6), (32, 4, 1, 5.290e7), (32, 1, 4, 1.334e7)]


@pytest.mark.parametrize(("bits", "steps", "levels", "expected"), REGRESSION)
def test_vgg16_at_a_rate_of_a_tenth(tmp_path: Path, bits: int, steps: int, levels: int, expected: float) -> None:
    chip = variant(tmp_path, "lemaire-45nm-qualia", width(bits))
    assert nanojoules(chip, steps, levels) == pytest.approx(expected, rel=3e-4)


#: What Qualia prices an operation at, where words have 8 bits.
EIGHT_BITS = "".join(
    f'prices.{action} = {{ points = [[8, {price}]], x_unit = "bit", unit = "pJ", kind = "published-simulated", '
    'source = "horowitz2014" }\n'
    for action, price in {"accumulate": 0.03, "address": 0.03, "multiply": 0.2}.items()
)


@pytest.mark.parametrize(("bits", "expected"), [(1, 1.2905e7), (8, 3.73e7), (16, 6.72e7), (32, 1.251e8)])
def test_dense_vgg16(tmp_path: Path, bits: int, expected: float) -> None:
    chip = variant(tmp_path, "lemaire-45nm-qualia-dense", width(bits) + (EIGHT_BITS if bits == 8 else ""))
    assert nanojoules(chip, 1, 4) == pytest.approx(expected, rel=1e-3)


def test_the_dense_figure_that_is_quoted_is_that_of_one_bit_words() -> None:
    """12.9 million nJ; at every other width, and in the corrected model, it would be another number."""
    assert round(nanojoules(load_chip("lemaire-45nm-as-published-dense"), 1, 4) / 1e6, 1) == 12.9


@pytest.mark.parametrize(("features", "expected"), [((10,), 12.895), ((4096, 4096, 10), 16.323)])
def test_the_dense_figure_with_other_last_layers(features: tuple[int, ...], expected: float) -> None:
    """Millions of nJ: the figure that is quoted cannot tell 512-512-10 from 10 alone, but 4096-4096-10 apart."""
    found = nanojoules(load_chip("lemaire-45nm-as-published-dense"), 1, 4, network=vgg16(1, 4, features))
    assert found / 1e6 == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("steps", "levels", "quoted", "rate"), [(4, 1, 8.5e6, 0.128), (1, 4, 4.41e6, 0.253)])
def test_rates_that_the_quoted_spiking_figures_imply(steps: int, levels: int, quoted: float, rate: float) -> None:
    """Only the figures are quoted: each rate is the one uniform rate at which the model gives the figure."""
    chip = load_chip("lemaire-45nm-as-published")
    silent, full = (nanojoules(chip, steps, levels, share) for share in (0.0, 1.0))
    assert (quoted - silent) / (full - silent) == pytest.approx(rate, abs=5e-4)
    assert nanojoules(chip, steps, levels, rate) == pytest.approx(quoted, rel=2e-3)


def test_arithmetic_is_next_to_nothing() -> None:
    chip = load_chip("lemaire-45nm-qualia")
    for (steps, levels), share in {(4, 1): 0.00065, (1, 4): 0.0143}.items():
        rows = formula(NETWORKS[steps, levels], chip).layers(seen(NETWORKS[steps, levels], levels, 0.1))
        actions = [found for layer in rows for found in layer.actions]
        spent = pricing.energy(found for found in actions if found.action.startswith(("accum", "mult", "addr"))).nominal
        assert spent / pricing.energy(actions).nominal == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize(("bits", "picojoules"), [(1, 38.9), (16, 424.7), (32, 836.1)])
def test_the_line_of_the_memory_is_extended_without_limit(tmp_path: Path, bits: int, picojoules: float) -> None:
    """One weight of 512 x 512 x 3 x 3; a whole access to the largest memory that Horowitz gives is 100 pJ."""
    chip = variant(tmp_path, "lemaire-45nm-qualia", width(bits))
    words = 512 * 512 * 9
    energy = access_energy(chip, "conv", Memory("weight", bits, words * bits))
    assert energy.low == energy.high == pytest.approx(picojoules * 1e-12, rel=1e-3, abs=0)
    assert energy.nominal == pytest.approx((1.09e-5 * words * bits + 13.2) * 1e-12, rel=1e-12, abs=0)


def row(graph: Graph, name: str, chip: str, inputs: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> LayerRow:
    return next(found for found in simulate(graph, inputs, None, load_chip(chip)).layers if found.name == name)


def counts(found: LayerRow) -> dict[str, float]:
    return {action.action: action.count for action in found.actions}


def test_a_strided_convolution_term_by_term() -> None:
    """1 event in the corner of a 4 x 4 map, 3 x 3 taps, stride 2, padded, 2 channels out, T = 2, one spike a step."""
    kernel = np.zeros((2, 1, 3, 3))
    kernel[0, 0, 1, 1] = 1
    graph = Graph(
        (
            Node("x", Input((1, 4, 4), 1)),
            Node("conv", Conv2d(frozen(kernel, np.int8), None, (2, 2), (1, 1)), ("x",)),
            Node("n", MultiLevelIF(frozen([1, 1], np.int32), 1), ("conv",)),
            Node("flat", Flatten(), ("n",)),
            Node("fc", Linear(frozen(np.ones((3, 8)), np.int8), frozen([1, 1, 1], np.int32)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=2,
    )
    image = np.zeros((1, 1, 4, 4), np.uint8)
    image[0, 0, 0, 0] = 1
    assert counts(row(graph, "n", "lemaire-45nm-qualia", image)) == {
        "event_read": 2,
        "weight_read": 2 * 2 * 9,  # the corner has 1 target, not 9
        "potential_read": 2 * 2 * 9 + 2 * 8,
        "potential_write": 2 * 2 * 9 + 2 * 8,
        "event_write": 2,
        "accumulate": 2 * 2 * 4 + 2 * 8 + 2,  # 3 taps over stride 2 is 2 along each axis; updates; resets
        "address_multiply": 2 * 2,
        "address": 2 * 2 + 2 * 9,
    }
    assert counts(row(graph, "out", "lemaire-45nm-qualia", image)) == {
        "event_read": 2,
        "weight_read": 2 * 3,
        "bias_read": 2 * 3,
        "potential_read": 2 * 3 + 2 * 3,
        "potential_write": 2 * 3 + 2 * 3,
        "accumulate": 2 * 3 + 2 * 3,
        "address": 2 / 8 * 3,  # N_in is missing
    }
    exact = row(graph, "n", "lemaire-45nm", image)
    assert exact.synaptic_operations == 2 * 2
    assert counts(exact)["weight_read"] == 2 * 2


def test_barriers_sums_and_pools_are_free() -> None:
    barrier = row(graded_skip(), "bar", "lemaire-45nm-qualia", np.array([[3, 0]], np.uint8))
    assert barrier.actions == ()
    assert barrier.energy.high == 0
    graph = residual(barrier=False)
    assert row(graph, "sum", "lemaire-45nm-qualia", images(graph)).energy.high == 0
    assert row(graph, "sum", "lemaire-45nm", images(graph)).energy.low > 0
    assert row(graph, "pool", "lemaire-45nm-qualia", images(graph)).energy.high == 0


def test_a_map_that_is_not_binary_is_read_in_one_step_only() -> None:
    once, twice = (
        counts(row(graph, "n1", "lemaire-45nm-qualia", images(graph)))
        for graph in (residual(steps=steps, levels=4) for steps in (1, 2))
    )
    events = [row(graph, "n0", "unit", images(graph)).events_out for graph in (residual(1, 4), residual(2, 4))]
    assert once["event_read"] == events[0]
    assert twice["event_read"] == events[1] / 2
    assert twice["bias_read"] == 2 * once["bias_read"]  # biases and potentials are charged in both
    assert twice["potential_read"] == events[1] * 4 * 9 + 2 * 144


def test_a_current_that_fades_is_refused() -> None:
    graph = fading()
    with pytest.raises(GraphError, match=r"node 'current' \(LeakyIntegrator\) is a current that fades, for which"):
        simulate(graph, images(graph), None, load_chip("lemaire-45nm-qualia"))


def test_a_formula_says_how_it_counts(tmp_path: Path) -> None:
    text = (SHIPPED / "lemaire-45nm.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text.replace('counting = "exact"\n', ""), encoding="utf-8")
    graph = residual()
    with pytest.raises(UserError, match=r"\[choices\] counting is None, but it must be 'exact' or 'rates' or 'dense'"):
        simulate(graph, images(graph), None, load_chip(tmp_path / "mine.toml"))
