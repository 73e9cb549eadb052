"""What lives on cores, what connects it, and how deep it lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings

from snn2chip.errors import GraphError
from snn2chip.graph import Graph, Node, Region, frozen
from snn2chip.hw_models.traffic import met_and_places
from snn2chip.lowering import Network, Role, to_populations
from snn2chip.ops import Conv2d, Flatten, Input, MultiLevelIF, Readout, SumPool2d
from tests.differential.strategies import EVERYTHING, Case, cases
from tests.hw.networks import residual


def described(network: Network) -> dict[str, tuple[str, int, list[tuple[str, str, int]]]]:
    return {
        population.name: (
            population.role.value,
            population.depth,
            [(found.source, found.node, found.delay) for found in population.projections],
        )
        for population in network.populations
    }


def test_barrier_takes_the_sum_into_its_synapses() -> None:
    assert described(to_populations(residual())) == {
        "x": ("input", 0, []),
        "n0": ("neuron", 1, [("x", "c0", 0)]),
        "n1": ("neuron", 2, [("n0", "c1", 0)]),
        "bar": ("neuron", 3, [("n1", "bar", 0), ("n0", "bar", 1)]),
        "pool": ("adder", 4, [("bar", "pool", 0)]),
        "out": ("readout", 5, [("pool", "fc", 0)]),
    }


def test_a_sum_that_feeds_no_neuron_is_a_population_of_adders() -> None:
    network = to_populations(residual(barrier=False))
    assert described(network)["sum"] == ("adder", 3, [("n1", "sum", 0), ("n0", "sum", 1)])
    assert network["sum"].payload_bits == (4 + 4).bit_length()
    assert network.depth == 5


def test_projections_know_weights_bias_and_widths() -> None:
    network = to_populations(residual())
    (projection,) = network["n1"].projections
    assert (projection.weights, projection.weight_bits, projection.is_weighted) == (4 * 4 * 9, 8, True)
    assert network["n1"].biased.all()
    assert not network["bar"].biased.any()
    assert network["bar"].shifts.all()  # theta = 1
    assert network["n0"].payload_bits == 3
    assert network["out"].payload_bits == 0
    assert network["n1"].operation == "Conv2d + MultiLevelIF"
    assert network["bar"].operation == "Add + MultiLevelIF"


@settings(max_examples=100)
@given(cases(**EVERYTHING))
def test_every_delay_closes_the_gap_to_the_source(case: Case) -> None:
    network = _network(case)
    for population in network.populations:
        for projection in population.projections:
            source = network[projection.source]
            assert projection.delay >= 0
            assert source.depth + 1 + projection.delay == population.depth
        if population.projections:
            assert min(projection.delay for projection in population.projections) == 0
    assert network.populations[-1].role is Role.READOUT


@settings(max_examples=100)
@given(cases(**EVERYTHING))
def test_regions_share_out_the_fan_out(case: Case) -> None:
    network = _network(case)
    for population in network.populations:
        shape = population.shape
        middle = shape[0] // 2
        halves = [Region(channels, Region.whole(shape).rows) for channels in (range(middle), range(middle, shape[0]))]
        for projection in population.projections:
            whole = projection.fan_out(Region.whole(shape))
            assert whole.shape == network[projection.source].shape
            np.testing.assert_array_equal(sum(projection.fan_out(half) for half in halves), whole)
            met, places = met_and_places(projection, Region.whole(shape))
            np.testing.assert_array_equal(met.reshape(-1, *[1] * (whole.ndim - 1)) * places, whole)


def _network(case: Case) -> Network:
    try:
        return to_populations(case.graph)
    except GraphError:  # a pool or a Flatten of currents
        assume(False)
        raise


def test_a_pool_of_currents_is_refused_by_name() -> None:
    kernel = frozen(np.ones((1, 1, 1, 1)), np.int8)
    graph = Graph(
        (
            Node("x", Input((1, 4, 4), 1)),
            Node("conv", Conv2d(kernel), ("x",)),
            Node("pool", SumPool2d((2, 2), (2, 2)), ("conv",)),
            Node("n", MultiLevelIF(frozen([1], np.int32), 1), ("pool",)),
            Node("conv2", Conv2d(frozen(np.ones((1, 1, 2, 2)), np.int8)), ("n",)),
            Node("flat", Flatten(), ("conv2",)),
            Node("out", Readout(), ("flat",)),
        ),
        1,
    )
    with pytest.raises(GraphError, match=r"node 'pool' .* reads currents"):
        to_populations(graph)
