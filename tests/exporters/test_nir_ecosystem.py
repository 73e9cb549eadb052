"""Neurons, maxima and concatenation of other frameworks in ``model.nir``: in one step, and over several."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.errors import GraphError
from snn2chip.exporters.nir_form import NirExporter
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.interop import nirtorch, norse
from snn2chip.ops import LIF, Concat, Conv2d, Flatten, Input, LeakyIntegrator, MaxPool2d, Readout, SpikingNeuron
from snn2chip.ops.lif import Reset
from snn2chip.spec import MEMBRANE_LIMIT, check_integer
from tests.differential.comparison import assert_same
from tests.exporters.ecosystem import KEEPS_ALL, NETWORKS, hard_reset, lif
from tests.exporters.nir_networks import Net, images, reference, sequential
from tests.exporters.stepping import step_by_step

IN_ONE_STEP = sorted(set(NETWORKS) - {"maxima", "concatenations"})


def _frames(graph: Graph) -> Array:
    """Another image at every step, some of them black."""
    x = images(graph, 12)
    return np.stack([np.roll(x, 5 * step, axis=0) for step in range(graph.steps)], axis=1)


def _assert_exact(graph: Graph, folder: Path, inputs: Array) -> None:
    form = NirExporter()
    assert form.refusal(graph) is None
    form.write(graph, folder)
    expected = reference(graph, inputs)
    found = form.executors[0].run(graph, folder, inputs)
    assert set(found) == {node.name for node in graph.of_kind(SpikingNeuron)} | {graph.output.name}
    assert_same(expected, found, graph)
    for library in (nirtorch, norse):
        module = library.load(folder / "model.nir")
        for _ in range(2):  # a module must not remember the samples before
            assert (step_by_step(module, graph, inputs) == expected[graph.output.name]).all(), library.__name__
    assert all(len(np.unique(tensor)) > 1 for tensor in found.values()), "a layer that never changes tests nothing"


@pytest.mark.parametrize("name", IN_ONE_STEP)
def test_everything_is_exact_in_one_step(name: str, tmp_path: Path) -> None:
    graph = NETWORKS[name](1)
    _assert_exact(graph, tmp_path, images(graph))


@pytest.mark.parametrize("frames", [False, True], ids=["direct", "frames"])
@pytest.mark.parametrize("steps", [2, 5, 16])
def test_stock_neurons_are_exact_over_several_steps(steps: int, frames: bool, tmp_path: Path) -> None:
    graph = hard_reset(steps)
    _assert_exact(graph, tmp_path, _frames(graph) if frames else images(graph))


@pytest.mark.parametrize("count", [0, 70])
def test_more_samples_than_one_batch_and_none_at_all(count: int, tmp_path: Path) -> None:
    graph = hard_reset(3)
    NirExporter().write(graph, tmp_path)
    inputs = images(graph, 70)[:count]
    found = NirExporter().executors[0].run(graph, tmp_path, inputs)["logits"]
    np.testing.assert_array_equal(found, interpreter.run(graph, inputs))


def _flat_and_repeated(steps: int) -> Graph:
    """A flat layer over a map, with a threshold and a drive for every position; and ``x + x`` before a neuron."""
    net = Net(2, 4, 4, seed=2)
    flat = net.put(Flatten(), net.conv("x", 2, 2, 3, 3, padding=(1, 1)))
    a = lif(net, flat, 32, theta=900, reset="zero", leaks=False)
    b = lif(net, flat, 32, theta=900, reset="zero", leaks=False, drive=200)
    c = lif(net, net.add(a, a, b), 32, theta=5, reset="zero", leaks=False)
    return net.graph(net.linear(net.put(Concat(), c, b), 5, 64), steps)


@pytest.mark.parametrize("steps", [1, 4])
def test_flat_layers_and_repeated_values(steps: int, tmp_path: Path) -> None:
    graph = _flat_and_repeated(steps)
    _assert_exact(graph, tmp_path, images(graph))


def test_concatenations_of_maps_and_of_flat_views(tmp_path: Path) -> None:
    net = Net(2, 4, 4, levels=3)
    a = net.neuron(net.conv("x", 4, 2, 3, 3, padding=(1, 1)), theta=900)
    b = net.neuron(net.conv(net.put(Concat(), a, "x", a), 3, 10, 3, 3), 3, theta=2000)
    flat = [net.put(Flatten(), b), net.put(Flatten(), a)]
    hidden = net.neuron(net.linear(net.put(Concat(), *flat), 6, 12 + 64), 6)
    graph = net.graph(net.put(Concat(), hidden, flat[0]))
    _assert_exact(graph, tmp_path, images(graph))


def test_maxima_of_currents_that_are_read_twice_are_refused() -> None:
    net = Net(2, 4, 4)
    pooled = net.put(MaxPool2d((2, 2), (2, 2)), net.conv("x", 4, 2, 1, 1))
    total = net.add(net.neuron(pooled, theta=50), net.neuron(pooled, theta=90))
    refusal = NirExporter().refusal(net.flat_head(total, 16))
    assert refusal is not None
    assert refusal.startswith("node 'maxpool2d2' (MaxPool2d): it takes maxima of currents")


def test_stock_neurons_with_fraction_bits(tmp_path: Path) -> None:
    """Without a leak a finer potential changes nothing but the numbers."""
    net = Net(2, 6, 6, seed=4)
    fired = lif(net, net.conv("x", 4, 2, 3, 3, padding=(1, 1)), theta=900 << 4, reset="zero", leaks=False, drive=500)
    op = net.nodes.pop().op
    assert isinstance(op, LIF)
    again = net.put(replace(op, fraction_bits=4), "conv2d1", name=fired)
    graph = net.flat_head(again, 144, steps=4)
    _assert_exact(graph, tmp_path, _frames(graph))


def test_maxima_forget_the_step_before(tmp_path: Path) -> None:
    """Windows that see spikes in some steps and none in others, over many steps."""
    net = Net(1, 4, 4, largest=1)
    spikes = lif(net, net.put(Conv2d(frozen([[[[3]]]], np.int8)), "x"), 1, theta=1, reset="zero", leaks=False)
    peaks = net.put(MaxPool2d((3, 3), (1, 1), (1, 1)), net.put(MaxPool2d((2, 2), (2, 2)), spikes))
    graph = net.graph(net.put(Flatten(), peaks), steps=40)
    inputs = (np.random.default_rng(0).random((6, 40, 1, 4, 4)) < 0.05).astype(np.uint8)
    _assert_exact(graph, tmp_path, inputs)


def test_potentials_at_both_ends_of_24_bits(tmp_path: Path) -> None:
    """Negative potential piles up to the last integer; the largest threshold is met, or missed by one."""
    quarter = MEMBRANE_LIMIT // 4
    weight = frozen(np.array([-1, 1, 1, 0, 1]).reshape(5, 1, 1, 1), np.int8)
    bias = frozen([3 - quarter, quarter - 3, quarter - 3, quarter, 1], np.int32)
    theta = frozen([1, 4 * quarter, 4 * quarter + 1, 4 * quarter, 4], np.int32)
    nodes = (
        Node("x", Input((1, 1, 1), 3)),
        Node("c", Conv2d(weight, bias), ("x",)),
        Node("n", LIF(*_equal(theta), reset="zero"), ("c",)),
        Node("flat", Flatten(), ("n",)),
        Node("logits", Readout(), ("flat",)),
    )
    graph = Graph(nodes, 4)
    check_integer(graph)
    inputs = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    NirExporter().write(graph, tmp_path)
    found = NirExporter().executors[0].run(graph, tmp_path, inputs)
    assert_same(reference(graph, inputs), found, graph)
    assert found["logits"].sum(axis=(0, 1)).tolist() == [0, 1, 0, 4, 1 + 2 + 2 + 4]
    module = norse.load(tmp_path / "model.nir")
    assert (step_by_step(module, graph, inputs) == found["logits"]).all()


def _equal(theta: Array) -> tuple[Array, Array, Array]:
    """Threshold, step and decay of neurons that keep everything."""
    return theta, theta, frozen(np.full(len(theta), KEEPS_ALL), np.int32)


def _facts(node: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(node.metadata["snn2chip"])
    return facts


@pytest.mark.parametrize("steps", [1, 4])
def test_a_stock_layer_is_one_node(steps: int, tmp_path: Path) -> None:
    """Between integers, no resistance, reset to zero; maxima are an IF of threshold 1/2."""
    graph = hard_reset(steps)
    NirExporter().write(graph, tmp_path)
    file = nir.read(tmp_path / "model.nir")
    assert {type(node) for node in file.nodes.values()} <= {nir.Input, nir.Conv2d, nir.IF, nir.Output}
    assert _facts(file)["steps"] == steps
    neurons = {_facts(node)["group"]: node for node in file.nodes.values() if isinstance(node, nir.IF)}
    for name in (node.name for node in graph.of_kind(SpikingNeuron)):
        op = graph[name].op
        assert isinstance(op, LIF)
        wanted = np.broadcast_to((op.theta - 0.5).reshape(-1, 1, 1), neurons[name].v_threshold.shape)
        assert (neurons[name].v_threshold == wanted).all()
        assert (neurons[name].r == 1).all()
        assert (neurons[name].v_reset == 0).all()
        assert _facts(neurons[name])["role"] == "neuron"
    (pool,) = graph.of_kind(MaxPool2d)
    assert _facts(neurons[pool.name])["role"] == "maximum"
    assert (neurons[pool.name].v_threshold == 0.5).all()


def test_an_undriven_binary_chain_has_two_nodes_a_layer(tmp_path: Path) -> None:
    net = Net(2, 6, 6)
    a = lif(net, net.conv("x", 4, 2, 3, 3), reset="zero", leaks=False)
    b = lif(net, net.conv(a, 4, 4, 3, 3), reset="zero", leaks=False)
    notes = NirExporter().write(net.flat_head(b, 16, steps=4), tmp_path)
    assert notes["primitives"] == {"Conv2d": 3, "IF": 2, "Input": 1, "Output": 1}


def _one(op: LIF | LeakyIntegrator) -> Graph:
    net = Net(2, 6, 6)
    last = net.put(op, net.conv("x", 4, 2, 3, 3, padding=(1, 1)), name="here")
    return net.flat_head(last if isinstance(op, LIF) else net.neuron(last), 144, steps=3)


def _lif(reset: Reset = "zero", delayed: bool = False, levels: int = 1, decay: int = KEEPS_ALL) -> LIF:
    theta, step, _ = _equal(frozen([400] * 4, np.int32))
    return LIF(theta, step, frozen([decay] * 4, np.int32), None, levels, reset, delayed)


def _maxima_of_counts() -> Graph:
    net = Net(2, 6, 6, largest=3)
    pooled = net.put(MaxPool2d((2, 2), (2, 2)), "x", name="here")
    return net.flat_head(pooled, 18, steps=3)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: _one(_lif(levels=2)), "node 'here' (LIF): over T = 3 steps NIR cannot say it: NIR's IF emits 0 or 1"),
        (lambda: _one(_lif(decay=4095)), "leaves to its readers how a leak is computed"),
        (lambda: _one(_lif("subtract")), "has no soft reset"),
        (lambda: _one(_lif("none")), "always resets"),
        (lambda: _one(_lif(delayed=True)), "not one step later"),
        (lambda: _one(replace(_lif(), floor=frozen([-9] * 4, np.int32))), "no floor under its potential"),
        (lambda: NETWORKS["largest_currents"](3), "node 'maxpool2d2' (MaxPool2d): it takes maxima of currents"),
        (
            lambda: _one(LeakyIntegrator(frozen([9] * 4, np.int32))),
            "node 'here' (LeakyIntegrator): over T = 3 steps NIR cannot say it: it leaves",
        ),
        (
            _maxima_of_counts,
            "node 'here' (MaxPool2d): over T = 3 steps NIR cannot say it: it takes maxima of counts up to 3",
        ),
        (lambda: sequential(steps=4), "node 'multilevelif2' (MultiLevelIF): over T = 4 steps NIR cannot say it"),
    ],
)
def test_what_nir_lacks_over_several_steps_is_named(make: Callable[[], Graph], reason: str, tmp_path: Path) -> None:
    graph, form = make(), NirExporter("portable")
    check_integer(graph)
    refusal = form.refusal(graph)
    assert refusal is not None
    assert reason in refusal
    assert any(mend in refusal for mend in ("with T = 1", "the forms onnx and lava can", "use profile composed"))
    with pytest.raises(GraphError) as caught:
        form.write(graph, tmp_path)
    assert str(caught.value) == refusal
    assert form.refusal(Graph(graph.nodes, 1)) is None
