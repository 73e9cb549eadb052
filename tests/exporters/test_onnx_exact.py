"""``model.onnx`` computes the interpreter's integers, in onnxruntime and in ONNX's own reference evaluator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from snn2chip import interpreter
from snn2chip.exporters.onnx_form import OnnxExporter, run_file
from snn2chip.exporters.onnx_form.model import build
from snn2chip.graph import Array, Graph, Node, Op, frozen
from snn2chip.ops import Add, Conv2d, Flatten, Input, Linear, MultiLevelIF, Readout, SumPool2d, Upsample2d
from snn2chip.spec import check_integer


class Net:
    """Builds a graph node by node, with drawn parameters."""

    def __init__(self, shape: tuple[int, ...], largest: int = 255, seed: int = 0, image: str = "image") -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = [Node(image, Input(shape, largest))]
        self.last = image

    def add(self, name: str, op: Op, *sources: str) -> Net:
        self.nodes.append(Node(name, op, sources or (self.last,)))
        self.last = name
        return self

    def conv(self, name: str, shape: tuple[int, ...], *sources: str, bias: int | None = 300, **geometry: object) -> Net:
        weight = frozen(self.rng.integers(-127, 128, shape), np.int8)
        drawn = None if bias is None else frozen(self.rng.integers(-bias, bias + 1, shape[0]), np.int32)
        op = Linear(weight, drawn) if len(shape) == 2 else Conv2d(weight, drawn, **geometry)  # type: ignore[arg-type]
        return self.add(name, op, *sources)

    def neuron(self, name: str, channels: int, theta: int, levels: int = 4) -> Net:
        drawn = frozen(self.rng.integers(max(1, theta // 2), theta + 1, channels), np.int32)
        return self.add(name, MultiLevelIF(drawn, levels))

    def head(self, features: int, classes: int = 5) -> Net:
        return self.add("flat", Flatten()).conv("fc", (classes, features))

    def graph(self, steps: int) -> Graph:
        graph = Graph((*self.nodes, Node("out", Readout(), (self.last,))), steps)
        check_integer(graph)
        return graph


def sparse_residual(steps: int) -> Graph:
    net = Net((2, 6, 6)).conv("c1", (4, 2, 3, 3), padding=(1, 1)).neuron("n1", 4, 9000)
    net.conv("c2", (4, 4, 3, 3), padding=(1, 1)).neuron("n2", 4, 300)
    net.add("sum", Add(), "n1", "n2").add("barrier", MultiLevelIF(frozen([1, 1, 1, 1], np.int32), 4))
    return net.add("pool", SumPool2d((6, 6), (6, 6))).head(4).graph(steps)


def sew_residual(steps: int) -> Graph:
    net = Net((2, 6, 6)).conv("c1", (4, 2, 3, 3), padding=(1, 1)).neuron("n1", 4, 9000)
    net.conv("c2", (4, 4, 3, 3), padding=(1, 1)).neuron("n2", 4, 300).add("sum1", Add(), "n1", "n2")
    net.conv("c3", (4, 4, 3, 3), padding=(1, 1)).neuron("n3", 4, 500).add("sum2", Add(), "n3", "sum1", "n1")
    return net.add("pool", SumPool2d((6, 6), (6, 6))).head(4).graph(steps)


def geometry(steps: int) -> Graph:
    net = Net((4, 11, 9))
    net.conv("grouped", (6, 2, 3, 2), groups=2, stride=(2, 1), padding=(2, 1), dilation=(1, 2)).neuron("n1", 6, 15000)
    net.conv("depthwise", (6, 1, 1, 3), groups=6, stride=(1, 2), dilation=(2, 1), bias=None).neuron("n2", 6, 100, 7)
    return net.conv("pointwise", (3, 6, 1, 1)).neuron("n3", 3, 200, 1).head(3 * 7 * 4).graph(steps)


def pools(steps: int) -> Graph:
    net = Net((3, 10, 9), largest=15).add("overlapping", SumPool2d((3, 2), (2, 1), (1, 1)))
    net.conv("c1", (4, 3, 3, 3), padding=(1, 1)).add("of_currents", SumPool2d((2, 3), (1, 3))).neuron("n1", 4, 4000)
    net.add("single_column", SumPool2d((2, 1), (1, 1))).add("global", SumPool2d((3, 3), (1, 1)))
    return net.head(4).graph(steps)


def wide_operands(steps: int) -> Graph:
    """Sums past one, two and three bytes reach a convolution and a linear layer."""
    net = Net((2, 16, 16)).add("n1", MultiLevelIF(frozen([1, 2], np.int32), 255))
    net.add("twice", Add(), "n1", "n1").conv("c1", (2, 2, 1, 1), bias=None).neuron("n2", 2, 900, 255)
    net.add("four", Add(), "twice", "n2", "n1").add("pool4", SumPool2d((2, 2), (2, 2)))
    net.conv("c2", (2, 2, 3, 3), padding=(1, 1)).neuron("n3", 2, 7000, 255).add("up", Upsample2d((2, 2)))
    net.add("eight", Add(), "up", "four", "four").add("pool", SumPool2d((16, 16), (16, 16)))
    return net.head(2).graph(steps)


def upsampled(steps: int) -> Graph:
    net = (
        Net((1, 4, 3), largest=16).add("up", Upsample2d((2, 3))).conv("c1", (3, 1, 3, 3)).add("up2", Upsample2d((1, 2)))
    )
    return net.neuron("n1", 3, 2000).add("flat_currents", Flatten()).conv("fc", (3, 3 * 6 * 14)).graph(steps)


def flat(steps: int) -> Graph:
    net = Net((7,), largest=9).conv("f1", (6, 7), bias=None).neuron("n1", 6, 700, 3)
    return net.add("barrier", MultiLevelIF(frozen([2] * 6, np.int32), 2)).conv("f2", (4, 6), bias=None).graph(steps)


def no_neuron(steps: int) -> Graph:
    return Net((2, 3, 3)).conv("c1", (4, 2, 3, 3)).add("flat", Flatten()).graph(steps)


def clashing_names(steps: int) -> Graph:
    net = Net((2, 3, 3), image="logits").conv("x", (2, 2, 1, 1)).neuron("frames", 2, 9000)
    net.conv("c", (2, 2, 1, 1), bias=None).neuron("c/weight", 2, 90).neuron("frame", 2, 1).neuron("batch_size", 2, 1)
    return net.head(18).graph(steps)


GRAPHS: tuple[Callable[[int], Graph], ...] = (
    sparse_residual,
    sew_residual,
    geometry,
    pools,
    wide_operands,
    upsampled,
    flat,
    no_neuron,
    clashing_names,
)


#: In `wide_operands`: the operands past 255, and the bytes that they take.
WIDE = {"twice": 2, "pool4": 2, "flat": 3}


def images(graph: Graph, count: int, frames: bool = False, seed: int = 1) -> Array:
    """Random inputs, after one that is all zero and one that is all at the maximum."""
    largest, shape = graph.signals[graph.input.name].interval.max, graph.signals[graph.input.name].shape
    shape = (graph.steps, *shape) if frames else shape
    x = np.random.default_rng(seed).integers(0, largest + 1, (count, *shape)).astype(np.uint8)
    x[0], x[1] = 0, largest
    return x


def expected(graph: Graph, x: Array) -> dict[str, Array]:
    """What the interpreter yields at every neuron layer and at the output."""
    names = frozenset(node.name for node in (*graph.of_kind(MultiLevelIF), graph.output))
    recorder = interpreter.Recorder(names)
    interpreter.run(graph, x, [recorder])
    return recorder.tensors


def assert_exact(graph: Graph, folder: Path, x: Array) -> None:
    exporter = OnnxExporter()
    assert exporter.refusal(graph) is None
    exporter.write(graph, folder)
    found, wanted = exporter.executors[0].run(graph, folder, x), expected(graph, x)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


@pytest.mark.parametrize("frames", [False, True], ids=["direct", "frames"])
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("make", GRAPHS)
def test_every_neuron_layer_and_the_logits_are_exact(
    make: Callable[[int], Graph], steps: int, frames: bool, tmp_path: Path
) -> None:
    graph = make(steps)
    x = images(graph, 5, frames)
    assert_exact(graph, tmp_path, x)
    active = {node.name: int(expected(graph, x)[node.name].max()) for node in graph.of_kind(MultiLevelIF)}
    assert all(active.values()), f"a silent layer proves nothing: {active}"


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("make", GRAPHS)
def test_the_reference_evaluator_agrees(make: Callable[[int], Graph], steps: int) -> None:
    graph = make(steps)
    x = images(graph, 3)
    (logits,) = ReferenceEvaluator(build(graph)).run(None, {"x": x})
    np.testing.assert_array_equal(logits, interpreter.logits(graph, x))


def test_more_samples_than_one_batch(tmp_path: Path) -> None:
    graph = flat(3)
    assert_exact(graph, tmp_path, images(graph, 70))


def test_no_samples_at_all(tmp_path: Path) -> None:
    graph = sparse_residual(2)
    OnnxExporter().write(graph, tmp_path)
    assert run_file(tmp_path / "model.onnx", images(graph, 2)[:0]).shape == (0, 5)


def test_every_level_of_a_255_level_neuron(tmp_path: Path) -> None:
    """One sample per potential from below zero to past saturation, at thresholds of either parity."""
    weight = frozen(np.full((4, 2), 1), np.int8)
    bias = frozen([-20, -20, -20, -20], np.int32)
    net = Net((2,)).add("f1", Linear(weight, bias)).add("n1", MultiLevelIF(frozen([1, 2, 3, 7], np.int32), 255))
    graph = net.conv("f2", (2, 4)).graph(2)
    x = np.stack([np.clip(np.arange(511), 0, 255), np.clip(np.arange(511) - 255, 0, 255)], axis=1).astype(np.uint8)
    assert_exact(graph, tmp_path, x)


@given(data=st.data())
def test_drawn_convolutions_and_pools(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

    groups, seed = data.draw(st.sampled_from([1, 2])), data.draw(st.integers(0, 99))
    net = Net((2 * groups, 9, 8), seed=seed).add("pool", SumPool2d(pair(1, 3), pair(1, 2), pair(0, 1)))
    net.conv("c", (4, 2, *pair(1, 2)), stride=pair(1, 3), padding=pair(0, 3), dilation=pair(1, 2), groups=groups)
    net.neuron("n", 4, data.draw(st.integers(1, 20000)), data.draw(st.integers(1, 255))).add("flat", Flatten())
    size = Graph(tuple(net.nodes), 1).signals["flat"].size
    graph = net.conv("fc", (3, size)).graph(data.draw(st.integers(1, 3)))
    assert_exact(graph, tmp_path_factory.mktemp("drawn"), images(graph, 3, seed=seed))


def test_wide_operands_take_one_product_per_byte() -> None:
    graph = wide_operands(1)
    products = [node.input[0] for node in build(graph).graph.node if node.op_type in ("ConvInteger", "MatMulInteger")]
    assert graph.signals["pool"].interval.max >= 2**16
    assert products == [f"{source}/byte{place}" for source, count in WIDE.items() for place in range(count)]
