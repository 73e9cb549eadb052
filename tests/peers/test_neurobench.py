"""NeuroBench's synaptic operations, from its own code, beside ours: equal, and what it leaves out is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn2chip import interpreter
from snn2chip.graph import Array, Graph, Node, Region, frozen
from snn2chip.hw_models.activity import Activity
from snn2chip.hw_models.counts import Counts, count
from snn2chip.lowering import to_populations
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d

SIZE, CLASSES = 8, 5


@dataclass(frozen=True)
class Case:
    """A network, what it is shown, and what NeuroBench was told of it."""

    graph: Graph
    images: Array

    @property
    def counts(self) -> list[Counts]:
        network = to_populations(self.graph)
        activity = Activity(network, len(self.images))
        interpreter.run(network.graph, self.images, [activity])
        return [count(activity, population) for population in network.populations]


def conv(rng: np.random.Generator, outputs: int, inputs: int, **fields: Any) -> Conv2d:
    kernel = int(rng.integers(1, 4))
    weight = rng.integers(-3, 4, (outputs, inputs // fields.get("groups", 1), kernel, kernel))  # one in seven is 0
    return Conv2d(frozen(weight, np.int8), padding=(kernel // 2, kernel // 2), **fields)


def neuron(rng: np.random.Generator, levels: int) -> MultiLevelIF:
    return MultiLevelIF(frozen(rng.integers(2, 9, 4), np.int32), levels)


def sequential(seed: int, levels: int = 1, largest: int = 1) -> Case:
    """Convolutions with random kernels, strides, borders and groups, then classes."""
    rng = np.random.default_rng(seed)
    first = conv(rng, 4, 2, stride=(int(rng.integers(1, 3)),) * 2)
    second = conv(rng, 4, 4, groups=int(rng.choice([1, 2, 4])))
    nodes = [
        Node("x", Input((2, SIZE, SIZE), largest)),
        Node("c0", first, ("x",)),
        Node("n0", neuron(rng, levels), ("c0",)),
        Node("c1", second, ("n0",)),
        Node("n1", neuron(rng, levels), ("c1",)),
        Node("flat", Flatten(), ("n1",)),
    ]
    return case(nodes, rng, steps=int(rng.integers(1, 5)))


def residual(seed: int) -> Case:
    """Binary: a barrier behind the sum of two maps of spikes, and a pool."""
    rng = np.random.default_rng(seed)
    nodes = [
        Node("x", Input((2, SIZE, SIZE), 1)),
        Node("c0", conv(rng, 4, 2), ("x",)),
        Node("n0", neuron(rng, 1), ("c0",)),
        Node("c1", conv(rng, 4, 4), ("n0",)),
        Node("n1", neuron(rng, 1), ("c1",)),
        Node("sum", Add(), ("n0", "n1")),
        Node("bar", MultiLevelIF(frozen([1, 1, 2, 2], np.int32), 1), ("sum",)),
        Node("pool", SumPool2d((2, 2), (2, 2)), ("bar",)),
        Node("flat", Flatten(), ("pool",)),
    ]
    return case(nodes, rng, steps=4)


def case(nodes: list[Node], rng: np.random.Generator, steps: int) -> Case:
    first = nodes[0].op
    assert isinstance(first, Input)
    size = Graph((*nodes, Node("out", Readout(), ("flat",))), steps).signals["flat"].size
    weight = frozen(rng.integers(-3, 4, (CLASSES, size)), np.int8)
    graph = Graph((*nodes, Node("fc", Linear(weight), ("flat",)), Node("out", Readout(), ("fc",))), steps)
    return Case(graph, rng.integers(0, first.largest + 1, (3, *first.shape)).astype(np.uint8))


CASES = {
    **{f"binary {seed}": sequential(seed) for seed in range(12)},
    "binary, images": sequential(20, largest=16),
    "four levels": sequential(21, levels=4),
    "residual": residual(22),
}


def described(node: Node) -> dict[str, Any]:
    op, entry = node.op, {"name": node.name, "inputs": node.inputs}
    if isinstance(op, Conv2d):
        return {**entry, "kind": "conv", "stride": op.stride, "padding": op.padding, "groups": op.groups}
    if isinstance(op, MultiLevelIF):
        return {**entry, "kind": "neuron", "theta": op.theta.tolist(), "levels": op.levels}
    if isinstance(op, SumPool2d):
        return {**entry, "kind": "pool", "window": op.kernel[0]}
    return {**entry, "kind": {Linear: "linear", Flatten: "flatten", Add: "add"}[type(op)]}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What NeuroBench says of every case."""
    folder = tmp_path_factory.mktemp("neurobench")
    package = Path(sys.prefix) / "share" / "neurobench"
    assert package.exists(), "tests/peers runs in .venv-peers with NeuroBench: make test-peers"
    jobs: list[dict[str, Any]] = []
    arrays: dict[str, Array] = {}
    for name, case in CASES.items():
        nodes = [node for node in case.graph.nodes if not isinstance(node.op, Input | Readout)]
        jobs.append({"name": name, "steps": case.graph.steps, "nodes": [described(node) for node in nodes]})
        weights = {node.name: node.op.weight for node in nodes if isinstance(node.op, Conv2d | Linear)}
        arrays |= {f"{name}/{key}.weight": weight for key, weight in weights.items()} | {f"{name}/x": case.images}
    np.savez(folder / "jobs.npz", allow_pickle=False, jobs=np.array(json.dumps(jobs)), **arrays)
    program = Path(__file__).with_name("neurobench_program.py")
    command = [sys.executable, str(program), str(folder / "jobs.npz"), str(folder / "counts.json")]
    environment = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    results: dict[str, dict[str, Any]] = json.loads((folder / "counts.json").read_text(encoding="utf-8"))
    return results


def dense(case: Case) -> int:
    """Synaptic operations where every value is an event."""
    projections = [flow.projection for counts in case.counts for flow in counts.flows]
    whole = [Region.whole(to_populations(case.graph)[projection.target].shape) for projection in projections]
    fans = (found.fan_out(region) for found, region in zip(projections, whole, strict=True) if found.is_weighted)
    return case.graph.steps * sum(int(fan.sum()) for fan in fans)


def effective(case: Case, graded: bool) -> float:
    flows = [flow for counts in case.counts for flow in counts.flows if flow.projection.is_weighted]
    return sum(flow.effective for flow in flows if flow.graded == graded)


@pytest.mark.parametrize("name", CASES)
def test_it_runs_the_same_network(found: dict[str, dict[str, Any]], name: str) -> None:
    case = CASES[name]
    assert found[name]["logits"] == interpreter.logits(case.graph, case.images).tolist()
    assert sum(counts.effective for counts in case.counts) > 0


@pytest.mark.parametrize("name", [name for name in CASES if name[:6] == "binary" and name[-1].isdigit()])
def test_binary_networks_count_alike(found: dict[str, dict[str, Any]], name: str) -> None:
    case = CASES[name]
    assert found[name]["Effective_MACs"] == 0
    assert found[name]["Effective_ACs"] == pytest.approx(sum(counts.effective for counts in case.counts), rel=1e-12)
    assert found[name]["Dense"] == dense(case)


@pytest.mark.parametrize("name", ["binary, images", "four levels"])
def test_events_with_values_are_its_macs(found: dict[str, dict[str, Any]], name: str) -> None:
    case = CASES[name]
    assert found[name]["Effective_MACs"] == pytest.approx(effective(case, graded=True), rel=1e-12)
    assert found[name]["Effective_ACs"] == pytest.approx(effective(case, graded=False), rel=1e-12)
    assert effective(case, graded=True) > 0


def test_sums_barriers_and_pools_are_what_it_leaves_out(found: dict[str, dict[str, Any]]) -> None:
    case = CASES["residual"]
    ours, theirs = sum(counts.effective for counts in case.counts), found["residual"]
    left_out = {
        counts.population.name: sum(flow.effective for flow in counts.flows if not flow.projection.is_weighted)
        for counts in case.counts
    }
    assert ours - theirs["Effective_ACs"] - theirs["Effective_MACs"] == pytest.approx(
        left_out["bar"] + left_out["pool"]
    )
    assert min(left_out["bar"], left_out["pool"]) > 0
    # The pool's sums may reach 4: here its events carry a value always, there in the steps in which one is above 1.
    assert 0 < theirs["Effective_MACs"] <= effective(case, graded=True)
