"""Real Lava environments, and ways to break what runs in them."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from snn2chip import lava_environment
from snn2chip.graph import Array, Graph, Node, frozen
from snn2chip.lava_environment import LavaEnvironment
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d
from tests.lava.faults import Faulty

#: Channels of the layer that faults are planted in: no other layer of `residual_graph` has so many.
MARKED = 5


def _found_or_built(kind: str, root: Path) -> LavaEnvironment:
    """One test process builds, and those beside it wait for that: a build begins by emptying its folder."""
    with root.with_name(f"{root.name}.tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lava_environment.find(root) or lava_environment.build(kind, root=root)


@pytest.fixture(scope="session")
def environment() -> LavaEnvironment:
    """The environment that users get; built where it is missing."""
    return _found_or_built("auto", lava_environment.default_root())


@pytest.fixture(scope="session")
def current_environment() -> LavaEnvironment:
    """An environment of the kind for machines without Python 3.10, kept beside the ordinary one."""
    root = lava_environment.default_root()
    return _found_or_built("current", root.with_name(f"{root.name}-current"))


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder of this test and of its worker, which must be empty afterwards; its path is short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)
        assert list(Path(folder).iterdir()) == []


@pytest.fixture
def faulty(environment: LavaEnvironment, tmp_path: Path, scratch: Path) -> Iterator[Callable[..., Faulty]]:
    """Makes environments whose worker carries a fault, and checks afterwards that nothing of them is left."""
    made: list[Faulty] = []

    def make(fault: str = "", shell: str = "") -> Faulty:
        made.append(Faulty(environment, tmp_path / f"fault{len(made)}", fault, shell))
        return made[-1]

    yield make
    for one in made:
        assert one.started, "the worker was never started: this test shows nothing"
        assert one.living_processes() == []
        assert one.left_shared_memory() == []


@pytest.fixture
def residual_graph() -> Graph:
    """Three neuron layers, one with `MARKED` channels, a barrier on a residual sum that skips a layer; T = 2."""
    rng = np.random.default_rng(7)

    def conv(inputs: int, outputs: int) -> Conv2d:
        weight = frozen(rng.integers(-3, 4, (outputs, inputs, 3, 3)), np.int8)
        return Conv2d(weight, frozen(rng.integers(-3, 4, outputs), np.int32), padding=(1, 1))

    def neuron(channels: int, theta: int) -> MultiLevelIF:
        return MultiLevelIF(frozen(np.full(channels, theta), np.int32), levels=4)

    nodes = (
        Node("input", Input((2, 4, 4), largest=16)),
        Node("conv1", conv(2, 3), ("input",)),
        Node("if1", neuron(3, 20), ("conv1",)),
        Node("conv2", conv(3, MARKED), ("if1",)),
        Node("marked", neuron(MARKED, 5), ("conv2",)),
        Node("conv3", conv(MARKED, 3), ("marked",)),
        Node("if3", neuron(3, 5), ("conv3",)),
        Node("sum", Add(), ("if3", "if1")),
        Node("barrier", neuron(3, 1), ("sum",)),
        Node("pool", SumPool2d((4, 4), (4, 4)), ("barrier",)),
        Node("flat", Flatten(), ("pool",)),
        Node("fc", Linear(frozen(rng.integers(-9, 10, (4, 3)), np.int8)), ("flat",)),
        Node("logits", Readout(), ("fc",)),
    )
    return Graph(nodes, steps=2)


@pytest.fixture
def images() -> Array:
    """Five samples for `residual_graph`, so that batches of two leave a rest."""
    return np.random.default_rng(3).integers(0, 17, (5, 2, 4, 4)).astype(np.uint8)
