"""Connectivity: the fan-out maps against synapses counted one by one."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from snn2chip.graph import Array, Graph, Region
from snn2chip.ops import Input
from tests.differential.comparison import described
from tests.differential.strategies import graphs
from tests.oracle import oracle


@settings(max_examples=200)
@given(graphs(max_steps=1, allow_concat=False), st.data())
def test_fan_out_equals_counting(graph: Graph, data: st.DataObject) -> None:
    machines = oracle.build(*described(graph))
    for node in graph.nodes:
        if isinstance(node.op, Input):
            continue
        target = graph.signals[node.name].shape
        region = data.draw(_regions(target))
        for port, source in enumerate(node.inputs):
            shape = graph.signals[source].shape
            for effective in (False, True):
                found = node.op.fan_out(shape, region, effective)
                expected = _counted(_synapses(machines[node.name], port), shape, target, region, effective)
                assert found.dtype == np.int64
                assert found.tolist() == expected.tolist(), f"{node.name} in {region}, effective={effective}"


@settings(max_examples=50)
@given(graphs(max_steps=1, allow_concat=False), st.data())
def test_regions_that_share_out_the_target_share_out_the_synapses(graph: Graph, data: st.DataObject) -> None:
    for node in graph.nodes[1:]:
        source, target = graph.signals[node.inputs[0]].shape, graph.signals[node.name].shape
        channels = _halves(target[0], data)
        rows = _halves(target[1], data) if len(target) > 1 else [range(1)]
        shares = [node.op.fan_out(source, Region(some, lines)) for some in channels for lines in rows]
        assert np.sum(shares, axis=0).tolist() == node.op.fan_out(source, Region.whole(target)).tolist()


def _halves(size: int, data: st.DataObject) -> list[range]:
    cut = data.draw(st.integers(0, size))
    return [range(cut), range(cut, size)]


@st.composite
def _regions(draw: st.DrawFn, target: tuple[int, ...]) -> Region:
    """A box of the output, empty ones included."""

    def part(size: int) -> range:
        start = draw(st.integers(0, size))
        return range(start, draw(st.integers(start, size)))

    if draw(st.booleans()):
        return Region.whole(target)
    return Region(part(target[0]), part(target[1]) if len(target) > 1 else range(1))


def _synapses(machine: oracle.Machine, port: int) -> list[oracle.Synapse]:
    if isinstance(machine, oracle.Wiring):
        return [synapse for synapse in machine.synapses if synapse.port == port]
    if isinstance(machine, oracle.Maxima):
        return [oracle.Synapse(port, source, n, 1) for n, sources in enumerate(machine.sources) for source in sources]
    # Every neuron and integrator has its own position as its only source.
    return [oracle.Synapse(port, n, n, 1) for n in range(math.prod(machine.shape))]


def _counted(
    synapses: list[oracle.Synapse], source: tuple[int, ...], target: tuple[int, ...], region: Region, effective: bool
) -> Array:
    counts = np.zeros(math.prod(source), np.int64)
    for synapse in synapses:
        place = np.unravel_index(synapse.target, target)
        inside = place[0] in region.channels and (len(target) == 1 or place[1] in region.rows)
        if inside and (synapse.weight or not effective):
            counts[synapse.source] += 1
    return counts.reshape(source)
