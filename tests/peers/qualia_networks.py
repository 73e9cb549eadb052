"""Networks that both we and Qualia estimate, and the way from a graph to the file that `qualia_program` reads."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.kernels import DECAY_ONE
from snn2chip.ops import (
    LIF,
    Add,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    MultiLevelIF,
    Readout,
    SumPool2d,
)

ENVIRONMENT = Path(__file__).parents[2] / ".venv-qualia"
PROGRAM = Path(__file__).with_name("qualia_program.py")
CHANNELS, CLASSES = 6, 5


@dataclass(frozen=True)
class Case:
    """A network with its inputs ``[B, C, H, W]``; `formal` asks for ReLUs instead of neurons."""

    graph: Graph
    inputs: Array
    word: int = 16
    formal: bool = False


class Builder:
    """Nodes in order, with random weights; `biased` says whether convolutions have biases (Qualia wants Linear to)."""

    def __init__(self, size: int, largest: int, seed: int, biased: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = [Node("x", Input((2, size, size), largest))]
        self.biased = biased

    def add(self, name: str, op: Op, *inputs: str) -> str:
        self.nodes.append(Node(name, op, inputs or (self.nodes[-1].name,)))
        return name

    def _weights(self, *shape: int) -> tuple[Array, Array]:
        bias = frozen(self.rng.integers(-40, 40, shape[0]), np.int32)
        return frozen(self.rng.integers(-90, 110, shape), np.int8), bias

    def conv(self, name: str, *inputs: str, into: int = CHANNELS, kernel: int = 3, stride: int = 1) -> str:
        weight, bias = self._weights(CHANNELS, into, kernel, kernel)
        padding = (kernel // 2, kernel // 2)
        return self.add(name, Conv2d(weight, bias if self.biased else None, (stride, stride), padding), *inputs)

    def linear(self, name: str, inputs: int, outputs: int) -> str:
        return self.add(name, Linear(*self._weights(outputs, inputs)))

    def neurons(self, name: str, theta: int, levels: int = 1, width: int = CHANNELS, *inputs: str) -> str:
        return self.add(name, MultiLevelIF(frozen(np.full(width, theta), np.int32), levels), *inputs)

    def graph(self, steps: int) -> Graph:
        self.add("out", Readout())
        return Graph(tuple(self.nodes), steps)


def sequential(steps: int, levels: int = 1, largest: int = 1, seed: int = 0, biased: bool = True) -> Graph:
    """Convolutions with a pool and a stride, then two fully connected layers: a VGG in small."""
    net, shrink = Builder(8, largest, seed, biased), levels
    net.conv("c0", into=2)
    net.neurons("n0", 180 * largest // shrink + 1, levels)
    net.conv("c1")
    net.neurons("n1", 400, levels)
    net.add("p1", MaxPool2d((2, 2), (2, 2)))
    net.conv("c2", stride=2)
    net.neurons("n2", 350, levels)
    net.add("flat", Flatten())
    net.linear("f0", CHANNELS * 4, 12)
    net.neurons("n3", 250, levels, 12)
    net.linear("f1", 12, CLASSES)
    return net.graph(steps)


def residual(steps: int, levels: int = 1, largest: int = 1, barrier: bool = False, seed: int = 0) -> Graph:
    """Two blocks, the second with a projection: sums of spikes that convolutions read (SEW), or that barriers read."""
    net = Builder(6, largest, seed)
    net.conv("c0", into=2)
    last = net.neurons("n0", 150 * largest // levels + 1, levels)
    for block in "ab":
        net.conv(f"c{block}1", last)
        net.neurons(f"n{block}1", 400, levels)
        net.conv(f"c{block}2")
        right = net.neurons(f"n{block}2", 350, levels)
        left = last
        if block == "b":
            net.conv("cs", last, kernel=1)
            left = net.neurons("ns", 60, levels)
        last = net.add(f"sum{block}", Add(), right, left)
        if barrier:
            last = net.neurons(f"bar{block}", 1, levels)
    net.conv("ce", last)
    net.neurons("ne", 500, levels)
    net.add("whole", SumPool2d((6, 6), (6, 6)))
    net.add("flat", Flatten())
    net.linear("fc", CHANNELS, CLASSES)
    return net.graph(steps)


def chained(steps: int, seed: int = 0) -> Graph:
    """Sums that feed a sum, a convolution, a pool and a fully connected layer."""
    net = Builder(4, 1, seed)
    net.conv("c0", into=2)
    net.neurons("n0", 150)
    net.conv("c1")
    net.neurons("n1", 300)
    first = net.add("suma", Add(), "n1", "n0")
    net.conv("c2", first)
    net.neurons("n2", 400)
    second = net.add("sumb", Add(), "n2", first)
    net.conv("c3", second)
    net.neurons("n3", 400)
    net.add("pool", MaxPool2d((2, 2), (2, 2)), second)
    net.conv("c4")
    net.neurons("n4", 400)
    net.add("whole", SumPool2d((2, 2), (2, 2)))
    net.add("flat", Flatten())
    net.linear("fc", CHANNELS, CLASSES)
    net.add("lines", Flatten(), "n3")
    net.linear("fd", CHANNELS * 16, CLASSES)
    net.add("both", Add(), "fc", "fd")
    return net.graph(steps)


def currents(steps: int, seed: int = 0) -> Graph:
    """Branches of currents that meet before a neuron, as in a spiking ResNet."""
    net = Builder(6, 1, seed, biased=False)
    net.conv("c0", into=2)
    net.neurons("n0", 150)
    net.conv("c1")
    net.conv("c2", "n0", kernel=1)
    net.add("sum", Add(), "c1", "c2")
    net.neurons("n1", 400)
    net.conv("c3")
    net.neurons("n2", 400)
    net.add("flat", Flatten())
    net.linear("fc", CHANNELS * 36, CLASSES)
    return net.graph(steps)


def leaking(steps: int, largest: int = 1, seed: int = 0) -> Graph:
    """Neurons that lose half of their potential in a step."""
    net = Builder(6, largest, seed)
    half = frozen(np.full(CHANNELS, DECAY_ONE // 2), np.int32)
    net.conv("c0", into=2)
    for name, threshold in (("n0", 120 * largest), ("n1", 120)):
        theta = frozen(np.full(CHANNELS, threshold), np.int32)
        if name == "n1":
            net.conv("c1")
        net.add(name, LIF(theta, theta, half))
    net.add("flat", Flatten())
    net.linear("fc", CHANNELS * 36, CLASSES)
    return net.graph(steps)


def images(graph: Graph, samples: int = 3, density: float = 0.5) -> Array:
    """uint8 ``[B, C, H, W]`` with a share `density` of values that are not zero."""
    op = graph.input.op
    assert isinstance(op, Input)
    rng = np.random.default_rng(7)
    values = rng.integers(1, op.largest + 1, (samples, *op.shape))
    return (values * (rng.random(values.shape) < density)).astype(np.uint8)


def describe(node: Node, graph: Graph) -> dict[str, Any]:
    """One node as `qualia_program` builds it."""
    op, inputs = node.op, [_written(graph, name) for name in node.inputs]
    found: dict[str, Any] = {"name": node.name, "kind": node.kind, "inputs": inputs}
    if isinstance(op, Conv2d):
        channels = graph.signals[node.inputs[0]].shape[0], op.outputs
        found |= {"channels": channels, "kernel": op.kernel, "stride": op.stride, "padding": op.padding}
    if isinstance(op, Linear):
        found |= {"channels": op.weight.shape[::-1]}
    if isinstance(op, (Conv2d, Linear)):
        found |= {"biased": op.bias is not None}
    if isinstance(op, MaxPool2d):
        found |= {"kernel": op.kernel, "stride": op.stride}
    if isinstance(op, MultiLevelIF):
        found |= {"theta": float(op.theta[0]), "levels": op.levels}
    if isinstance(op, LIF):
        found |= {"theta": float(op.theta[0]), "tau": DECAY_ONE / (DECAY_ONE - int(op.decay[0]))}
    return found


def _written(graph: Graph, name: str) -> str:
    """The node that gives `name` in the program: Qualia's global pool already gives flat vectors."""
    node = graph[name]
    return node.inputs[0] if _is_flat_already(graph, node) else name


def _is_flat_already(graph: Graph, node: Node) -> bool:
    return isinstance(node.op, Flatten) and isinstance(graph[node.inputs[0]].op, SumPool2d)


def described(graph: Graph) -> list[dict[str, Any]]:
    """The nodes between input and readout, as `qualia_program` builds them."""
    nodes = (node for node in graph.nodes if not isinstance(node.op, (Input, Readout)))
    return [describe(node, graph) for node in nodes if not _is_flat_already(graph, node)]


def arrays(prefix: str, case: Case) -> Mapping[str, Array]:
    found = {f"{prefix}/x": case.inputs}
    for node in case.graph.nodes:
        if isinstance(node.op, (Conv2d, Linear)):
            found[f"{prefix}/{node.name}.weight"] = node.op.weight
            if node.op.bias is not None:
                found[f"{prefix}/{node.name}.bias"] = node.op.bias
    return found


def estimate(cases: Mapping[str, Case], queue: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Qualia's rows for every case, from its own program; scratch files go into `folder`."""
    python = ENVIRONMENT / "bin" / "python"
    assert python.exists(), f"{ENVIRONMENT.name} is missing: requirements/install_qualia.sh (make test-peers) builds it"
    jobs: list[dict[str, Any]] = []
    stored: dict[str, Array] = {}
    for name, case in cases.items():
        steps = 0 if case.formal else case.graph.steps
        jobs.append({"nodes": described(case.graph), "arrays": name, "steps": steps, "word": case.word, "queue": queue})
        stored.update(arrays(name, case))
    stored["jobs"] = np.array(json.dumps(jobs))
    np.savez(folder / "jobs.npz", **stored)  # type: ignore[arg-type]  # numpy's stub takes the names for its options
    command = [str(python), str(PROGRAM), "jobs.npz", "energies.json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(zip(cases, json.loads((folder / "energies.json").read_text(encoding="utf-8")), strict=True))
