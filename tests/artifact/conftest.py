"""A small artifact, written once: what the tests spoil is a copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snn2chip import api
from snn2chip.artifact import Samples
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.hw_models.chip import load_chip
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout


def small_graph() -> Graph:
    """One residual block on 4x4 images, T = 1."""
    rng = np.random.default_rng(3)

    def weight(*shape: int) -> Array:
        return frozen(rng.integers(-127, 128, shape), np.int8)

    def level(value: int) -> Array:
        return frozen(np.full(3, value), np.int32)

    return Graph(
        (
            Node("x", Input((1, 4, 4), 16)),
            Node("conv1", Conv2d(weight(3, 1, 3, 3), frozen([5, -7, 0], np.int32), padding=(1, 1)), ("x",)),
            Node("if1", MultiLevelIF(level(300), 4), ("conv1",)),
            Node("conv2", Conv2d(weight(3, 3, 3, 3), padding=(1, 1)), ("if1",)),
            Node("if2", MultiLevelIF(level(200), 4), ("conv2",)),
            Node("add", Add(), ("if1", "if2")),
            Node("barrier", MultiLevelIF(level(1), 4), ("add",)),
            Node("flat", Flatten(), ("barrier",)),
            Node("head", Linear(weight(5, 48)), ("flat",)),
            Node("out", Readout(), ("head",)),
        ),
        1,
    )


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of `small_graph`, every form included."""
    rng = np.random.default_rng(4)
    samples = Samples(rng.integers(0, 17, (6, 1, 4, 4)).astype(np.uint8), rng.integers(0, 5, 6))
    folder = tmp_path_factory.mktemp("artifacts") / "small-loihi2"
    exported = api.write(api.Compiled(small_graph(), "small", samples=samples), load_chip("loihi2"), folder)
    assert exported.certificate.verdict == "EXACT"
    return folder
