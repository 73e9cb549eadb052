"""Payload widths, and what floats are: the parts of a signal that integers alone do not show."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snn2chip import interpreter
from snn2chip.graph import Graph, Interval, Node, frozen
from snn2chip.ops import AvgPool2d, BatchNorm2d, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, Scale
from tests.differential.comparison import meaning
from tests.differential.strategies import Case


@given(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31))
def test_bits_are_the_fewest_that_hold_every_value(one: int, other: int) -> None:
    low, high = sorted((one, other))
    bits = Interval(frozen([low]), frozen([high])).bits
    assert _held(low, high, bits)
    assert bits == 1 or not _held(low, high, bits - 1)


def _held(low: int, high: int, bits: int) -> bool:
    if low >= 0:
        return high < 1 << bits
    return -(1 << (bits - 1)) <= low and high < 1 << (bits - 1)


@given(st.integers(1, 5), st.integers(1, 255), st.integers(1, 8), st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_bounds_are_reached(features: int, largest: int, steps: int, theta: int, entropy: int) -> None:
    """No bound of a first layer is looser than need be: an input exists that gives it."""
    rng = np.random.default_rng(entropy)
    weight, bias = rng.integers(-127, 128, features), int(rng.integers(-9999, 10000))
    nodes = (
        Node("x", Input((features,), largest)),
        Node("current", Linear(frozen(weight[None], np.int8), frozen([bias], np.int32)), ("x",)),
        Node("spikes", MultiLevelIF(frozen([theta], np.int32), 255), ("current",)),
        Node("fc", Linear(frozen([[1]], np.int8)), ("spikes",)),
        Node("logits", Readout(), ("fc",)),
    )
    case = Case(Graph(nodes, steps), (largest * np.stack([weight > 0, weight < 0])).astype(np.uint8))
    truth, current = meaning(case), case.graph.signals["current"].interval
    reached = truth.tensors["current"]
    assert (current.min, current.max) == (reached.min(initial=0), reached.max(initial=0))
    membrane = MultiLevelIF(frozen([theta], np.int32), 255).membrane(current, steps)
    assert membrane.min == truth.potentials["spikes"].min(initial=0)
    if steps == 1:
        assert membrane.max == truth.potentials["spikes"].max(initial=0)
        assert case.graph.signals["spikes"].interval.max == truth.tensors["spikes"].max()


def test_a_float_graph_is_computed_in_float64() -> None:
    """Every float-only operation; the image, uint8, reaches float weights with and without a scale before it."""
    rng = np.random.default_rng(0)
    weight, gain, offset = rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3), rng.normal(size=3)
    theta, last = np.array([0.3, 0.5, 0.7]), rng.normal(size=(4, 12))
    for factor in (1.0, 1 / 255):
        scale = (Node("scale", Scale(factor), ("x",)),) if factor != 1 else ()
        nodes = (
            Node("x", Input((2, 6, 6))),
            *scale,
            Node("conv", Conv2d(frozen(weight), frozen(offset)), ("scale" if scale else "x",)),
            Node("norm", BatchNorm2d(frozen(gain), frozen(offset)), ("conv",)),
            Node("spikes", MultiLevelIF(frozen(theta), 3), ("norm",)),
            Node("mean", AvgPool2d((2, 2), (2, 2)), ("spikes",)),
            Node("flat", Flatten(), ("mean",)),
            Node("fc", Linear(frozen(last)), ("flat",)),
            Node("logits", Readout(), ("fc",)),
        )
        graph = Graph(nodes, 1)
        x = rng.integers(0, 256, (2, 2, 6, 6)).astype(np.uint8)
        recorder = _Floats()
        per_step = interpreter.run(graph, x, [recorder])
        windows = np.lib.stride_tricks.sliding_window_view(x * factor, (3, 3), axis=(2, 3))
        current = np.einsum("bcijyx,ocyx->boij", windows, weight) + offset[:, None, None]
        np.testing.assert_allclose(recorder.seen["conv"], current, rtol=1e-12)
        v = current * gain[:, None, None] + offset[:, None, None]
        spikes = np.clip(np.floor(v / theta[:, None, None]), 0, 3)
        mean = spikes.reshape(2, 3, 2, 2, 2, 2).mean(axis=(3, 5))
        np.testing.assert_allclose(per_step[:, 0], mean.reshape(2, -1) @ last.T, rtol=1e-12)
        interval = graph.signals["norm"].interval
        assert (v.min(axis=(0, 2, 3)) >= interval.low).all()
        assert (v.max(axis=(0, 2, 3)) <= interval.high).all()


class _Floats:
    """Keeps the tensors of the first step as they are."""

    def __init__(self) -> None:
        self.seen: dict[str, np.ndarray] = {}

    def observe(self, first_sample: int, step: int, node: Node, tensor: np.ndarray) -> None:
        self.seen[node.name] = np.array(tensor)
