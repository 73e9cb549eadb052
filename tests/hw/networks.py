"""Small networks that can be worked out by hand, and variants of the unit chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.hw_models.chip import Chip, load_chip
from snn2chip.ops import (
    LIF,
    Add,
    Conv2d,
    Flatten,
    Input,
    LeakyIntegrator,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    SumPool2d,
)


def weight(rows: list[list[int]]) -> Array:
    return frozen(rows, np.int8)


def thresholds(*values: int) -> Array:
    return frozen(values, np.int32)


def chain() -> Graph:
    """2 inputs, 3 binary neurons, 2 classes, T = 2: docs/hardware-models.md works it out."""
    return Graph(
        (
            Node("x", Input((2,), 1)),
            Node("in", Linear(weight([[2, 0], [1, 1], [0, 3]])), ("x",)),
            Node("hidden", MultiLevelIF(thresholds(2, 2, 2), 1), ("in",)),
            Node("fc", Linear(weight([[1, 1, 0], [0, 1, 1]])), ("hidden",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=2,
    )


def graded_skip() -> Graph:
    """2 inputs up to 3, two layers of 2 neurons with N = 3, a skip and a barrier, 1 class, T = 1."""
    return Graph(
        (
            Node("x", Input((2,), 3)),
            Node("l1", Linear(weight([[1, 0], [0, 1]])), ("x",)),
            Node("n1", MultiLevelIF(thresholds(1, 3), 3), ("l1",)),
            Node("l2", Linear(weight([[1, 1], [2, 0]])), ("n1",)),
            Node("n2", MultiLevelIF(thresholds(1, 3), 3), ("l2",)),
            Node("sum", Add(), ("n1", "n2")),
            Node("bar", MultiLevelIF(thresholds(2, 2), 3), ("sum",)),
            Node("fc", Linear(weight([[1, 2]])), ("bar",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=1,
    )


def fading() -> Graph:
    """2 inputs, 3 neurons whose synaptic current and membrane fade, 1 class, T = 2."""
    decays = frozen([2048, 0, 4096], np.int32), frozen([2048, 2048, 2048], np.int32)
    return Graph(
        (
            Node("x", Input((2,), 1)),
            Node("in", Linear(weight([[4, 0], [1, 0], [0, 1]])), ("x",)),
            Node("current", LeakyIntegrator(decays[0]), ("in",)),
            Node("hidden", LIF(thresholds(3, 3, 3), thresholds(1, 1, 1), decays[1], reset="zero"), ("current",)),
            Node("fc", Linear(weight([[1, 1, 1]])), ("hidden",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps=2,
    )


def maxima() -> Graph:
    """A row of 4 inputs up to 3, the larger of each pair, 1 class, T = 1."""
    return Graph(
        (
            Node("x", Input((1, 1, 4), 3)),
            Node("max", MaxPool2d((1, 2), (1, 2)), ("x",)),
            Node("flat", Flatten(), ("max",)),
            Node("fc", Linear(weight([[1, 2]])), ("flat",)),
            Node("logits", Readout(), ("fc",)),
        ),
        steps=1,
    )


def residual(steps: int = 1, levels: int = 4, barrier: bool = True, size: int = 6, seed: int = 0) -> Graph:
    """A residual network of convolutions: stem, a block with identity skip, pool, classes."""
    rng = np.random.default_rng(seed)

    def conv(outputs: int, inputs: int) -> Conv2d:
        kernel = frozen(rng.integers(-127, 128, (outputs, inputs, 3, 3)), np.int8)
        return Conv2d(kernel, frozen(rng.integers(-300, 300, outputs), np.int32), padding=(1, 1))

    def neuron(theta: int) -> MultiLevelIF:
        return MultiLevelIF(frozen(np.full(4, theta), np.int32), levels)

    end = (Node("bar", neuron(1), ("sum",)),) if barrier else ()
    last = "bar" if barrier else "sum"
    return Graph(
        (
            Node("x", Input((2, size, size), 16)),
            Node("c0", conv(4, 2), ("x",)),
            Node("n0", neuron(900), ("c0",)),
            Node("c1", conv(4, 4), ("n0",)),
            Node("n1", neuron(300), ("c1",)),
            Node("sum", Add(), ("n1", "n0")),
            *end,
            Node("pool", SumPool2d((2, 2), (2, 2)), (last,)),
            Node("flat", Flatten(), ("pool",)),
            Node("fc", Linear(frozen(rng.integers(-127, 128, (3, size * size)), np.int8)), ("flat",)),
            Node("out", Readout(), ("fc",)),
        ),
        steps,
    )


def images(graph: Graph, samples: int = 4, seed: int = 1) -> Array:
    op = graph.input.op
    assert isinstance(op, Input)
    values = np.random.default_rng(seed).integers(0, op.largest + 1, (samples, *op.shape))
    return values.astype(np.uint8)


def unit(folder: Path, name: str = "variant", **changes: str) -> Chip:
    """The unit chip with some numbers or choices replaced: ``unit(tmp_path, limits__neurons_per_core="2")``."""
    lines = [f'name = "{name}"', 'title = "variant"', 'inherits = "unit"']
    for key, value in changes.items():
        section, entry = key.split("__")
        quantity = f'{{ value = {value}, unit = "1", kind = "assumed", source = "unit" }}'
        lines.append(f"{section}.{entry} = {value if section == 'choices' else quantity}")
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_chip(path)
